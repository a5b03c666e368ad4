#!/bin/bash
# Plays N random schedules of a fleet's life against the rules (Tests/PreforkTests/Simulation*.swift), in a release build,
# with as many threads as there are processors.
#
#   CI/simulate.sh [N]                            100,000 by default; a million takes about a minute on two processors
#   PREFORK_SEED_BASE=random CI/simulate.sh N     other seeds than 1...N
#   PREFORK_SEED=n CI/simulate.sh                 one schedule, with its trace
set -euo pipefail
cd "$(dirname "$0")/.."

count=${1:-100000}
if ! [[ $count =~ ^[1-9][0-9]{0,11}$ ]]; then
    echo "usage: CI/simulate.sh [N]" >&2
    exit 64
fi
# Its own folder, for this build is made for testing: it would be exchanged with the usual release build again and again.
build=(-c release --scratch-path .build/simulation)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# `swift test` makes a release build testable by itself. The filter that fits no test makes it build and run nothing.
if ! swift test "${build[@]}" --filter 'SimulationTests/none' >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
status=0
PREFORK_SIMULATE=$count swift test "${build[@]}" --skip-build --filter 'SimulationTests/schedules' >"$log" 2>&1 ||
    status=$?
# A filter that fits nothing succeeds too.
if [[ $status != 0 ]] || { [[ -z ${PREFORK_SEED:-} ]] && ! grep -q '^simulation: ' "$log"; }; then
    cat "$log" >&2
    exit 1
fi
if [[ -n ${PREFORK_SEED:-} ]]; then cat "$log"; else grep -A1 '^simulation: ' "$log"; fi
