#!/usr/bin/env bash
# Starts the README's program in the given configuration, asks it, and stops it.
#
# usage: ./prove-readme.sh [debug|release]
set -euo pipefail
cd "$(dirname "$0")"
python3 ../../../CI/readme.py --program "$PWD/.build/${1:-release}/readme-server"
echo "ok the README's program answers and stops"
