#!/usr/bin/env python3
"""Restarts, upgrades and resizes a fleet again and again under load. Fails if a request fails, if an old child stays
longer than its longest request and 0.1 s, or if the master's descriptors or memory grow.

    CI/restarts.py [N]           N restarts for each kind of listener (100 by default), then a resize from 1 to 64
                                 and back
    CI/restarts.py upgrade [N]   N upgrades for each kind of listener, also an adopted one

The load: clients that keep their connection, clients with a connection for each request, and requests that take 100 ms.
Half of the restarts find another build of the program at its path, and so do all upgrades.
"""
import collections
import os
import re
import signal
import socket
import sys
import tempfile
import time

from support import (
    HOST, DEADLINE, Clients, Failure, Server, build_text, converse, expect, needs, put_build, swift_product, until)

CHILDREN = 4
SLOW = 0.1  # Seconds.


class Load(Clients):
    """Clients of all kinds. `counts` has the outcomes."""

    def __init__(self, connect):
        self.connect, self.counts, self.faults = connect, collections.Counter(), []
        super().__init__(self.run, [("/", True)] * 3 + [("/", False)] * 3 + [(f"/slow?ms={SLOW * 1000:.0f}", True)] * 2)

    def run(self, kind):
        path, keeps = kind
        while not self.over.is_set():
            try:
                with self.connect() as connection:
                    connection.settimeout(DEADLINE)
                    while not self.over.is_set():
                        connection.sendall(
                            f"GET {path} HTTP/1.1\r\nHost: test\r\n"
                            f"{'' if keeps else 'Connection: close'}{'' if keeps else chr(13) + chr(10)}\r\n".encode())
                        closes = read_answer(connection)
                        self.counts["answered"] += 1
                        if closes or not keeps:
                            break
            except OSError as error:
                self.counts["failed"] += 1
                self.faults.append(f"{path}, {'kept' if keeps else 'new'}: {error!r}")


def read_answer(connection):
    """Reads one answer. Returns whether the server closes the connection after it."""
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < 12:
        part = connection.recv(65_536)
        if not part:
            raise OSError(f"closed after {len(answer)} bytes")
        answer += part
    if not answer.startswith(b"HTTP/1.1 200"):
        raise OSError(f"{answer[:40]!r}")
    return b"connection: close" in answer.lower()


def get(connect, path):
    with connect() as connection:
        connection.settimeout(DEADLINE)
        return converse(connection, path).decode()


def resources(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        memory = int(re.search(r"RssAnon:\s+(\d+) kB", file.read())[1])
    return len(os.listdir(f"/proc/{pid}/fd")), memory


def exits(server):
    """How long each retired child has lived on, in seconds, by the time stamps of the log."""
    began, longest = {}, 0
    for line in list(server.lines):
        stamp = re.match(r"\d{4}-\d\d-\d\dT(\d\d):(\d\d):(\d\d\.\d+)Z ", line)
        if not stamp:
            continue
        now = int(stamp[1]) * 3600 + int(stamp[2]) * 60 + float(stamp[3])
        if drains := re.search(r"child (\d+) \(slot \d+\) drains, because", line):
            began[drains[1]] = now
        elif ended := re.search(r"child (\d+) \(slot \d+\) exited: ", line):
            if ended[1] in began:
                longest = max(longest, (now - began.pop(ended[1])) % 86_400)
    return longest


def start(program, directory, listening, children, *options):
    path = os.path.join(directory, "server")
    put_build(program, path, b"0")
    command = [path, "--children", str(children), "--readiness", "explicit", *options]
    if listening == "adopted":
        owned = socket.create_server((HOST, 0), backlog=128)
        # As systemd hands it over (sd_listen_fds(3)).
        script = f'exec 3<&{owned.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" "$@"'
        server = Server("/bin/sh", "-c", script, *command, "--inherited", pass_fds=[owned.fileno()])
    elif listening == "unix":
        server = Server(*command, f"unix:{directory}/socket")
    else:
        server = Server(*command, "--listening", listening, f"{HOST}:0")
    server.wait_for("ready after", children)
    if listening == "unix":
        def connect():
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(f"{directory}/socket")
            return connection
    else:
        port = server.listening()

        def connect():
            return socket.create_connection((HOST, port), DEADLINE)
    return server, path, connect


KINDS = {"restart": (signal.SIGHUP, " restarted: "), "upgrade": (signal.SIGUSR2, " upgraded: ")}


def deploy(program, listening, count, kind):
    """Replaces the program again and again, by restarts or by upgrades."""
    number, done = KINDS[kind]
    with tempfile.TemporaryDirectory() as directory:
        server, path, connect = start(program, directory, listening, CHILDREN)
        with server:
            load = Load(connect)
            before = None
            began = time.monotonic()
            for index in range(1, count + 1):
                digit = str((index // 2 if kind == "restart" else index) % 10).encode()
                put_build(program, path, digit)
                os.kill(server.pid, number)
                server.wait_for(done, index)
                if kind == "upgrade":
                    own = os.stat(f"/proc/{server.pid}/exe")
                    expect(os.path.samestat(own, os.stat(path)), f"the master's program after upgrade {index}")
                if index % 20 == 0:
                    seen = get(connect, "/build")
                    expect(seen == build_text(digit), f"build {seen!r} after {kind} {index}")
                if index == max(3, count // 10):  # From then on there is a build before, which is held open, too.
                    until(lambda: len(server.children()) == CHILDREN, "the old children's ends")
                    before = resources(server.pid)
            elapsed = time.monotonic() - began
            until(lambda: len(server.children()) == CHILDREN, "the old children's ends")
            after = resources(server.pid)
            load.stop()
            longest = exits(server)
            print(f"{listening}: {count} {kind}s in {elapsed:.1f} s, {load.counts['answered']} answered, "
                  f"{load.counts['failed']} failed; old children gone after at most {longest:.3f} s; "
                  f"descriptors {before[0]} -> {after[0]}, memory {before[1]} -> {after[1]} kB")
            server.stop()
            expect(not load.faults, f"{len(load.faults)} requests failed: {load.faults[:5]}")
            expect(longest <= SLOW + 0.1, f"an old child stayed for {longest:.3f} s")
            expect(after[0] <= before[0], "descriptors leak")
            expect(after[1] <= before[1] + 512, "memory grows")


def resize(program, listening):
    sizes = list(range(1, 65, 3)) + list(range(64, 0, -3))
    with tempfile.TemporaryDirectory() as directory:
        server, _, connect = start(program, directory, listening, 1)
        with server:
            load = Load(connect)
            current = 1
            for size in sizes + [1]:
                while current != size:
                    step = signal.SIGTTIN if size > current else signal.SIGTTOU
                    target = current + (1 if size > current else -1)
                    os.kill(server.pid, step)
                    # Two signals of a kind that are sent before the first one is taken are one.
                    server.wait_for(rf" resized from {current} to {target} children")
                    current = target
                until(lambda: len(server.children()) == current, f"{current} children")
            load.stop()
            print(f"{listening}: resized in {len(sizes)} steps, {load.counts['answered']} answered, "
                  f"{load.counts['failed']} failed")
            server.stop()
            expect(not load.faults, f"{len(load.faults)} requests failed: {load.faults[:5]}")


def main():
    arguments = sys.argv[1:]
    upgrades = arguments[:1] == ["upgrade"]
    count = int(arguments[-1]) if arguments and arguments[-1].isdigit() else 100
    needs("swift=")
    program = swift_product("hello-prefork")
    if upgrades:
        checks = [(deploy, kind, count, "upgrade") for kind in ("sharded", "shared", "unix", "adopted")]
    else:
        checks = [(deploy, kind, count, "restart") for kind in ("sharded", "shared", "unix")]
        checks += [(resize, kind) for kind in ("sharded", "shared")]
    failures = []
    for check, *rest in checks:
        try:
            check(program, *rest)
        except Failure as failure:
            print(f"FAILED: {failure}")
            failures.append(failure)
    sys.exit(1 if failures else 0)


main()
