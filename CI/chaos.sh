#!/usr/bin/env bash
# Kills, stops and traps children at random under a constant load of new connections, and fails where a connection is lost
# that no victim had accepted. Each way to run also gets the tests of queues that outlive their child, of the stop and of the
# distribution.
#
#     CI/chaos.sh [SECONDS] [SEED]    60 s by default, shared out over both ways of listening and three ways to run: as this user,
#                                  as an ordinary user without capabilities, in a network namespace of its own (the last two
#                                  where they can be had); then the cost of a crash-looping slot (half a minute)
#
# The seed decides what is done to the children; when, decides the machine. Besides the build: SECONDS and two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
seed=${2:-$((RANDOM * 32768 + RANDOM + 1))}
echo "CI/chaos.sh $seconds $seed"

swift build --build-tests
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
# Readable to everybody, wherever the package is.
chmod 755 "$programs"
bin=$(swift build --show-bin-path)
cp "$bin"/*.xctest "$bin/hello-prefork" "$programs/"
chmod -R a+rX "$programs"
test=$(echo "$programs"/*.xctest)

part() {
    name=$1
    shift
    echo "== $name"
    PREFORK_CHAOS_SECONDS=$each PREFORK_CHAOS_SEED=$seed \
        "$@" "$test" --testing-library swift-testing --filter "$filter" 2>&1 | tee "$programs/log" | grep --line-buffered -E 'chaos[,:]|connections, |recorded an issue|not so|Test run with' || true
    # The exit status says nothing of a filter that fits no test.
    grep -q 'Test run with [1-9].* passed' "$programs/log" || { cat "$programs/log" >&2; echo "failed: $name" >&2; exit 1; }
}

each=$(awk "BEGIN { print $seconds / 6 }")
filter='IntegrationTests.Integration/(Chaos/chaos|Outlive|Admission|Sharing)'
part "as $(id -un)" env
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    part "as an ordinary user without capabilities" \
        setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs
fi
if unshare --net true 2>/dev/null; then
    # shellcheck disable=SC2016
    part "in a network namespace of its own" unshare --net sh -c 'ip link set lo up && exec "$@"' sh
elif unshare --user --map-root-user --net true 2>/dev/null; then
    # shellcheck disable=SC2016
    part "in a network namespace of its own" unshare --user --map-root-user --net sh -c 'ip link set lo up && exec "$@"' sh
fi
filter='IntegrationTests.Integration/Chaos/oneSlotCrashLoops'
part "one slot crash-loops" env
