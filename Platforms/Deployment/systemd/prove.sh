#!/usr/bin/env bash
# The units by systemd-analyze verify, and the service's own command line on a socket of systemd's activation: it answers,
# replaces a killed child, stops with status 0; what came in between two runs is answered by the second.
# Needs systemd-analyze and systemd-socket-activate (Debian: systemd), curl and python3; no running systemd. 5 s and a build.
set -euo pipefail
cd "$(dirname "$0")/../../.."
swift build -c release --product hello-prefork
program=$(swift build -c release --show-bin-path)/hello-prefork

directory=$(mktemp -d)
log=$directory/log
holder= master=
cleanup() {
    for process in $holder $master; do kill -KILL "$process" 2>/dev/null || true; done
    rm -rf "$directory"
}
trap cleanup EXIT
fail() {
    echo "$*" >&2
    [ ! -e "$log" ] || cat "$log" >&2
    exit 1
}
until_true() {
    local end=$((SECONDS + 10))
    until "$@"; do
        [ "$SECONDS" -le "$end" ] || fail "not in time: $*"
        sleep 0.02
    done
}

# verify wants the program to be there.
verify() { systemd-analyze verify --recursive-errors=no "$directory/prefork.service" "$directory/prefork.socket" 2>&1; }
cp Platforms/Deployment/systemd/prefork.* "$directory"
sed -i "s|/usr/local/bin/hello-prefork|$program|" "$directory/prefork.service"
complaints=$(verify) || fail "systemd-analyze verify: $complaints"
[ -z "$complaints" ] || fail "systemd-analyze verify: $complaints"
sed -i 's/^KillMode=mixed/KillMode=mix/' "$directory/prefork.service"
complaints=$(verify) || true
grep -q 'kill mode' <<<"$complaints" || fail "systemd-analyze does not notice a wrong KillMode"
echo "systemd: the units are valid, and a mistake is noticed"

command=$(sed -n 's|^ExecStart=/usr/local/bin/hello-prefork ||p' Platforms/Deployment/systemd/prefork.service)
name=$(sed -n 's/^FileDescriptorName=//p' Platforms/Deployment/systemd/prefork.socket)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
# It execs the program at the first connection, so that is the same process.
: >"$log"
# shellcheck disable=SC2086
systemd-socket-activate --listen "127.0.0.1:$port" --fdname "$name" "$program" $command --children 2 2>"$log" &
master=$!
until_true grep -q "Listening on" "$log"
[ "$(curl -sS --max-time 10 "$url/")" = "Hello world!" ] || fail "no answer"
ready_lines() { [ "$(grep -c ' ready after ' "$log")" -ge "$1" ]; }
until_true ready_lines 2
kill -KILL "$(curl -sS "$url/pid")"
until_true ready_lines 3
grep -q 'exited: signal 9 (KILL) after' "$log" || fail "the killed child is not in the log"
kill -TERM "$master"
status=0
wait "$master" || status=$?
master=
[ "$status" -eq 0 ] || fail "exit status $status after TERM"
echo "systemd: activated, recovered, stopped with status 0"

# systemd keeps the socket through a restart of the service; so does this holder, which starts the program twice.
python3 - "$program" "$command" "$name" >"$directory/holder" 2>&1 <<'PYTHON' &
import os, signal, socket, subprocess, sys
program, command, name = sys.argv[1:]
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(64)
port = listener.getsockname()[1]

def start():
    def activate():
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)  # dup2 of a number to itself leaves close-on-exec as it is.
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=name)
        os.execv(program, [program, *command.split(), "--children", "2"])
    process = os.fork()
    if process == 0:
        activate()
    return process

def connect():
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    return connection

def answer(connection):
    text = b""
    while part := connection.recv(4096):
        text += part
    return text

def stop(process):
    os.kill(process, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

first = start()
assert answer(connect()).endswith(b"Hello world!")
assert stop(first) == 0
between = [connect() for _ in range(5)]
second = start()
answers = [answer(connection) for connection in between]
assert all(text.endswith(b"Hello world!") for text in answers), answers
assert stop(second) == 0
print(f"{len(answers)} connections that came between two runs were answered")
PYTHON
holder=$!
status=0
wait "$holder" || status=$?
holder=
[ "$status" -eq 0 ] || fail "$(cat "$directory/holder")"
echo "systemd: $(tail -n 1 "$directory/holder")"
