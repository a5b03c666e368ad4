#!/usr/bin/env bash
# The whole suite under the thread and the address sanitizer. Timing and memory are not asserted there.
# By hand; `CI/sanitize.sh thread` runs the one alone.
set -euo pipefail
cd "$(dirname "$0")/.."
export PREFORK_SANITIZED=1
# Leak detection needs ptrace, which containers deny.
export ASAN_OPTIONS=detect_leaks=0
# A race in a process under test ends it with a status that no test expects.
export TSAN_OPTIONS="halt_on_error=1 exitcode=66"
[ "$#" -gt 0 ] || set -- thread address
for sanitizer in "$@"; do
    printf '\n== %s\n' "$sanitizer"
    swift test --sanitize="$sanitizer" --scratch-path ".build/$sanitizer"
done
