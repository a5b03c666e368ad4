#!/usr/bin/env bash
# Proves this package with real clients. CI/frameworks.py --help lists the options. Says so and succeeds if Vapor cannot
# be resolved on this machine.
set -euo pipefail
cd "$(dirname "$0")/Server"
if ! swift package resolve >/tmp/vapor-resolve.$$ 2>&1; then
    tail -n 3 /tmp/vapor-resolve.$$
    rm -f /tmp/vapor-resolve.$$
    echo "skipped: Vapor cannot be resolved here, so nothing was built and nothing is proven"
    exit 0
fi
rm -f /tmp/vapor-resolve.$$
exec ../../../../CI/frameworks.py Vapor/Server "$@"
