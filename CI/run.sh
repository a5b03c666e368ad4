#!/usr/bin/env bash
# Checks what every submission must pass: format, a build without warnings, the README's test command, the demonstration
# server from outside, a container if there is an engine, and the documentation. Runs on a fresh Debian or Ubuntu with
# Swift, as root or not. Eight minutes on two processors.
set -euo pipefail
cd "$(dirname "$0")/.."
. CI/support.sh

step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

step "programs that the checks need"
needs swift= docc= curl ldd=libc-bin unshare=util-linux python3 python3:ensurepip=python3-venv "${suite_programs[@]}"
swift --version

step "format"
swift format lint --strict --recursive Package.swift Sources Tests
# Skips the build folders of the nested packages. Git can't list the files, because it refuses the working copy of
# another user, which a workflow's container has.
find Platforms -name .build -prune -o -name '*.swift' -print0 | xargs -0 swift format lint --strict
# swift-format does not check comments. In this locale grep counts characters, not bytes.
long=$(find Package.swift CI Platforms Sources Tests -name .build -prune -o \
    \( -name '*.swift' -o -name '*.sh' -o -name '*.py' \) -print0 |
    LC_ALL=C.UTF-8 xargs -0 grep -nHE '^.{121}' | cut -d: -f1,2) || true
[ -z "$long" ] || fail "lines over 120 columns:"$'\n'"$long"

step "build, warnings as errors"
swift build --build-tests --scratch-path .build/strict \
    -Xswiftc -warnings-as-errors -Xswiftc -require-explicit-sendable

step "the library needs the C library alone"
if grep -rnE '^ *(@[a-zA-Z]+ |public |package )*import (Foundation|FoundationEssentials|Dispatch)' Sources/Prefork; then
    fail "the library imports Foundation or Dispatch"
fi
if grep -rnE '#if os|canImport' Sources/Prefork --include='*.swift' | grep -v '^Sources/Prefork/System/'; then
    fail "a platform condition outside Sources/Prefork/System"
fi

step "tests"
# A reader of the log may get only its end, so the failures stand there too.
swift test 2>&1 | tee .build/tests.log || {
    grep -E -A3 '^✘|recorded an issue' .build/tests.log | tail -n 100
    fail "a test fails"
}

step "the demonstration server"
bash CI/smoke.sh
python3 CI/readme.py

step "the commit before and this one"
python3 CI/compatibility.py

step "the files for containers and units"
bash CI/manifests.sh

step "a fleet in a container"
python3 CI/container.py smoke

step "documentation, warnings as errors"
bash CI/docs.sh

step "done"
