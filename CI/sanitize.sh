#!/usr/bin/env bash
# Runs the whole suite under the thread sanitizer and the address sanitizer. Tests assert no times and no memory there.
#
# usage: CI/sanitize.sh [thread] [address]    both by default
set -euo pipefail
cd "$(dirname "$0")/.."
. CI/support.sh
needs swift= "${suite_programs[@]}"
export PREFORK_SANITIZED=1
# Leak detection needs ptrace, which containers deny.
export ASAN_OPTIONS=detect_leaks=0
# A data race ends the process with a status that no test expects.
export TSAN_OPTIONS="halt_on_error=1 exitcode=66"
[ "$#" -gt 0 ] || set -- thread address
for sanitizer in "$@"; do
    printf '\n== %s\n' "$sanitizer"
    swift test --sanitize="$sanitizer" --scratch-path ".build/$sanitizer"
done
