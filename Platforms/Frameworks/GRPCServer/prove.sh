#!/usr/bin/env bash
# Proves this package with real clients. CI/frameworks.py --help lists the options.
exec "$(dirname "$0")/../../../CI/frameworks.py" GRPCServer "$@"
