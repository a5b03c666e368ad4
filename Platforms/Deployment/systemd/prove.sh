#!/usr/bin/env bash
# Checks the units with `systemd-analyze verify`, and runs the service's command line on an activated socket: the fleet
# answers, replaces a killed child, and stops with status 0. A second run answers the connections that arrive between
# two runs. No systemd has to be running. 5 s and a build.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. CI/support.sh
needs swift= curl python3 systemd-analyze=systemd systemd-socket-activate=systemd
make_scratch
units=Platforms/Deployment/systemd
program=$(build_release hello-prefork)

verify() { systemd-analyze verify --recursive-errors=no "$scratch/prefork.service" "$scratch/prefork.socket" 2>&1; }
cp $units/prefork.* "$scratch"
# The verification requires the program to exist.
sed -i "s|/usr/local/bin/hello-prefork|$program|" "$scratch/prefork.service"
# An older systemd does not know the type.
version=$(systemd-analyze --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "$version" -lt 253 ]; then
    sed -i 's/^Type=notify-reload/Type=notify/' "$scratch/prefork.service"
    echo "systemd $version: checked with Type=notify"
fi
complaints=$(verify) || fail "systemd-analyze verify: $complaints"
[ -z "$complaints" ] || fail "systemd-analyze verify: $complaints"
sed -i 's/^KillMode=mixed/KillMode=mix/' "$scratch/prefork.service"
complaints=$(verify) || true
grep -q 'kill mode' <<<"$complaints" || fail "systemd-analyze accepts a wrong KillMode"
echo "systemd: the units are valid, and a mistake is rejected"

command=$(sed -n 's|^ExecStart=/usr/local/bin/hello-prefork ||p' $units/prefork.service)
name=$(sed -n 's/^FileDescriptorName=//p' $units/prefork.socket)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
# systemd-socket-activate executes the program at the first connection, so both are the same process.
# shellcheck disable=SC2086
start_fleet systemd-socket-activate --listen "127.0.0.1:$port" --fdname "$name" "$program" $command --children 2
until_true has_lines "Listening on" 1
[ "$(curl -sS --max-time 10 "$url/")" = "Hello world!" ] || fail "no answer"
until_true are_ready 2
kill -KILL "$(curl -sS "$url/pid")"
until_true are_ready 3
has_lines 'exited: signal 9 (KILL) after' 1 || fail "the killed child is not in the log"
stop_fleet "with an activated socket"
echo "systemd: activated, recovered, stopped with status 0"

# systemd keeps the socket through a restart of the service. This program also does, and starts the fleet twice.
python3 - "$program" "$command" "$name" >"$scratch/holder" 2>&1 <<'PYTHON' &
import os, signal, socket, sys
program, command, name = sys.argv[1:]
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(64)
port = listener.getsockname()[1]

def start():
    process = os.fork()
    if process == 0:
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)  # dup2 of a descriptor to itself leaves close-on-exec as it is.
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=name)
        os.execv(program, [program, *command.split(), "--children", "2"])
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
print(f"answered {len(answers)} connections that arrived between two runs")
PYTHON
master=$!
await_exit
[ "$status" -eq 0 ] || fail "$(cat "$scratch/holder")"
echo "systemd: $(tail -n 1 "$scratch/holder")"
