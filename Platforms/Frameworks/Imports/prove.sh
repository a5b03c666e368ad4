#!/usr/bin/env bash
exec "$(dirname "$0")/../../../CI/frameworks.py" Imports "$@"
