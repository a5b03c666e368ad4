#!/usr/bin/env bash
# The README's first command, from outside: answers from several children, survives a crash, stops with status 0.
set -euo pipefail
cd "$(dirname "$0")/.."
swift build -c release --product hello-prefork
program=$(swift build -c release --show-bin-path)/hello-prefork
if ldd "$program" | grep -i foundation; then
    echo "hello-prefork is linked against Foundation" >&2
    exit 1
fi

directory=$(mktemp -d)
log=$directory/log
"$program" --children 3 127.0.0.1:0 2>"$log" &
master=$!
trap '[ -z "$master" ] || kill -KILL "$master"; cat "$log"; rm -rf "$directory"' EXIT

# Runs its arguments until they succeed, for at most ten seconds.
until_true() {
    local end=$((SECONDS + 10))
    until "$@"; do
        if [ "$SECONDS" -gt "$end" ]; then
            echo "not in time: $*" >&2
            exit 1
        fi
        sleep 0.02
    done
}
ready_lines() { [ "$(grep -c ' ready after ' "$log")" -ge "$1" ]; }

until_true ready_lines 3
port=$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\)$/\1/p' "$log")
url=http://127.0.0.1:$port
[ "$(curl -sS "$url/")" = "Hello world!" ]
several_answer() { [ "$(for _ in $(seq 20); do curl -sS "$url/pid"; echo; done | sort -u | wc -l)" -ge 2 ]; }
until_true several_answer
curl -s "$url/crash" && { echo "a crash was answered" >&2; exit 1; }
[ "$(curl -sS "$url/")" = "Hello world!" ]
until_true ready_lines 4
kill -TERM "$master"
status=0
wait "$master" || status=$?
master=
[ "$status" -eq 0 ] || { echo "exit status $status after TERM" >&2; exit 1; }
! curl -sS --max-time 2 "$url/" 2>/dev/null || { echo "somebody still answers" >&2; exit 1; }
echo "smoke: answers, survives a crash, stops"
