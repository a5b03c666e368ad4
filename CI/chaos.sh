#!/usr/bin/env bash
# Kills, stops and traps children at random while clients open new connections. Fails if a connection is lost that no
# victim had accepted. Each way to run also gets the tests of queues that outlive their child, of the stop and of the
# distribution.
#
# usage: CI/chaos.sh [SECONDS] [SEED]
#
# SECONDS (60 by default) are divided among both ways of listening and three ways to run: as this user, as an ordinary
# user without capabilities, and in its own network namespace. The last two need the privilege. At the end, the cost of
# a crash-looping slot takes another half minute. The seed determines what happens to the children, but not when. The
# whole takes SECONDS and two minutes, besides the build.
set -euo pipefail
cd "$(dirname "$0")/.."
. CI/support.sh
needs swift= setpriv=util-linux ip=iproute2
make_scratch
seconds=${1:-60}
seed=${2:-$((RANDOM * 32768 + RANDOM + 1))}
echo "CI/chaos.sh $seconds $seed"

swift build --build-tests
# Every user can read the copies, wherever the package is.
chmod 755 "$scratch"
bin=$(swift build --show-bin-path)
cp "$bin"/*.xctest "$bin/hello-prefork" "$scratch/"
chmod -R a+rX "$scratch"
test=$(echo "$scratch"/*.xctest)

# part NAME COMMAND...: runs the tests that `filter` selects through the command.
part() {
    local name=$1
    shift
    echo "== $name"
    PREFORK_CHAOS_SECONDS=$each PREFORK_CHAOS_SEED=$seed \
        "$@" "$test" --testing-library swift-testing --filter "$filter" 2>&1 | tee "$log" |
        grep --line-buffered -E 'chaos[,:]|connections, |recorded an issue|Test run with' || true
    # The exit status would be 0 for a filter that matches no test.
    grep -q 'Test run with [1-9].* passed' "$log" || fail "failed: $name"
}

each=$(awk "BEGIN { print $seconds / 6 }")
filter='IntegrationTests.Integration/(Chaos/chaos|Outlive|Admission|Sharing)'
part "as $(id -un)" env
if [ "$(id -u)" = 0 ]; then
    part "as an ordinary user without capabilities" \
        setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs
fi
for namespace in "unshare --net" "unshare --user --map-root-user --net"; do
    if $namespace true 2>/dev/null; then
        # shellcheck disable=SC2016
        part "in its own network namespace" $namespace sh -c 'ip link set lo up && exec "$@"' sh
        break
    fi
done
filter='IntegrationTests.Integration/Chaos/oneSlotCrashLoops'
part "one slot crash-loops" env
