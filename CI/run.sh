#!/usr/bin/env bash
# What a submission must pass: format, a build without warnings, the README's test command, and the demonstration server
# answering from outside, alone and in a container where there is an engine. Runs on a fresh Debian or Ubuntu with Swift, as
# root or not; six minutes on two busy cores.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

step "what the tests need"
missing=()
command -v curl >/dev/null || missing+=(curl)
command -v taskset >/dev/null || missing+=(util-linux)
command -v ip >/dev/null || missing+=(iproute2)
command -v python3 >/dev/null || missing+=(python3)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
# For the tests of socket activation, of inits and of a kernel without pidfd, which are skipped without them.
command -v systemd-socket-activate >/dev/null || missing+=(systemd)
for program in tini dumb-init catatonit strace; do
    command -v "$program" >/dev/null || missing+=("$program")
done
if [ "${#missing[@]}" -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
swift --version

step "format"
swift format lint --strict --recursive Package.swift Sources Tests
# What was fetched and built there is none of ours. Not by git: it refuses a working copy that is another user's, as in a
# workflow's container.
find Platforms -name .build -prune -o -name '*.swift' -print0 | xargs -0 swift format lint --strict

step "build, warnings as errors"
swift build --build-tests --scratch-path .build/strict \
    -Xswiftc -warnings-as-errors -Xswiftc -require-explicit-sendable

step "the library stands on the C library alone"
if grep -rnE '^ *(@[a-zA-Z]+ |public |package )*import (Foundation|FoundationEssentials|Dispatch)' Sources/Prefork; then
    echo "the library imports Foundation or Dispatch" >&2
    exit 1
fi
if grep -rnE '#if os|canImport' Sources/Prefork --include='*.swift' | grep -v '^Sources/Prefork/System/'; then
    echo "a platform difference outside of Sources/Prefork/System" >&2
    exit 1
fi

step "tests"
swift test

step "the demonstration server"
bash CI/smoke.sh
bash CI/readme.py

step "the container's and the units' files"
bash CI/manifests.sh

step "a fleet in a container"
python3 CI/container.py smoke

step "documentation, warnings as errors"
bash CI/docs.sh

step "done"
