#!/usr/bin/env bash
# Checks the README's first command from outside: several children answer, a crash costs one child, SIGTERM ends the
# fleet with status 0. Half a minute for the build, and two seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
. CI/support.sh
needs swift= curl ldd=libc-bin
make_scratch

program=$(build_release hello-prefork)
if ldd "$program" | grep -i foundation; then fail "hello-prefork is linked against Foundation"; fi

start_fleet "$program" --children 3 127.0.0.1:0
until_true are_ready 3
url=http://127.0.0.1:$(listening_port)
answers() { [ "$(curl -sS "$url/")" = "Hello world!" ] || fail "no answer $1"; }
answers "from a new fleet"
several_answer() { [ "$(for _ in $(seq 20); do curl -sS "$url/pid"; echo; done | sort -u | wc -l)" -ge 2 ]; }
until_true several_answer
! curl -s "$url/crash" || fail "a crash was answered"
answers "after a crash"
until_true are_ready 4
stop_fleet smoke
! curl -sS --max-time 2 "$url/" 2>/dev/null || fail "a process still answers after the stop"
echo "smoke: answers, survives a crash, stops"
