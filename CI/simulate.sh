#!/usr/bin/env bash
# Plays N random schedules of a fleet's life against the rules (Tests/PreforkTests/Simulation*.swift) in a release
# build, with one thread per processor.
#
#   CI/simulate.sh [N]                            100,000 by default; a million takes about a minute on two processors
#   PREFORK_SEED_BASE=random CI/simulate.sh N     seeds other than 1...N
#   PREFORK_SEED=n CI/simulate.sh                 one schedule, with its trace
set -euo pipefail
cd "$(dirname "$0")/.."
. CI/support.sh
needs swift=
make_scratch

count=${1:-100000}
if ! [[ $count =~ ^[1-9][0-9]{0,11}$ ]]; then
    echo "usage: CI/simulate.sh [N]" >&2
    exit 64
fi
# This build enables testing. It has its own folder, so that it does not replace the usual release build each time.
build=(-c release --scratch-path .build/simulation)

# `swift test` enables testing in a release build. The filter matches no test, so this builds and runs nothing.
swift test "${build[@]}" --filter 'SimulationTests/none' >"$log" 2>&1 || fail "the tests do not build"
PREFORK_SIMULATE=$count swift test "${build[@]}" --skip-build --filter 'SimulationTests/schedules' >"$log" 2>&1 ||
    fail "a schedule breaks a rule"
if [ -n "${PREFORK_SEED:-}" ]; then
    cat "$log"
else
    # `swift test` also succeeds if the filter matches nothing.
    grep -A1 '^simulation: ' "$log" || fail "no schedule was played"
fi
