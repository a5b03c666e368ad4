#!/usr/bin/env python3
"""Deploys again and again under load: SIGTERM to a fleet with a long request in flight, and at the same moment its
successor starts on the same address. Prints how long the address was unserved. Fails if a connection is cut, if the
long request is not answered, or if the successor serves later than after 0.7 s.

    CI/deploys.py [N [SECONDS]]    N deploys for each kind of listener (100 by default); the request takes 2 s

The first deploy of each kind has a request of 20 s in flight.
"""
import socket
import sys
import threading
import time

from support import (
    HOST, Failure, Load, Server, become_subreaper, exchange, expect, free_port, needs, request, swift_product, until)

CLIENTS = 6
LATEST = 0.7  # Seconds. The successor tries again 0.5 s after its first attempt.
FIRST = 20  # Seconds.


class LongRequest(threading.Thread):
    """A request whose answer takes its time."""

    def __init__(self, port, seconds):
        super().__init__(daemon=True)
        self.seconds, self.failure = seconds, "no answer"
        self.connection = socket.create_connection((HOST, port), 10)
        self.start()

    def is_accepted(self):
        """Whether a process has the server's end: the kernel lists its inode then (proc(5), /proc/net/tcp)."""
        peer = f":{self.connection.getsockname()[1]:04X}"
        with open("/proc/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in file][1:]
        return any(row[2].endswith(peer) and row[9] != "0" for row in rows)

    def run(self):
        with self.connection:
            self.connection.settimeout(self.seconds + 10)
            try:
                exchange(self.connection, f"/slow?ms={int(self.seconds * 1000)}")
                self.failure = None
            except OSError as error:
                self.failure = str(error)


def start(program, mode, port):
    return Server(program, "--children", "4", "--listening", mode, "--grace", str(FIRST + 10), f"{HOST}:{port}")


def children(server):
    return {int(match.group(1)) for match in server.find(r"child (\d+) .* ready after")}


def deploy(program, mode, port, old, seconds):
    """The successor, and how long it took until it served."""
    slow = LongRequest(port, seconds)
    until(slow.is_accepted, "a child accepts the long request")
    begin = time.monotonic()
    old.process.terminate()
    new = start(program, mode, port)
    while True:
        outcome, body = request(port, "/pid")
        if outcome == "answered" and int(body) in children(new):
            break
        expect(time.monotonic() - begin < FIRST, "the successor does not serve")
        time.sleep(0.002)
    elapsed = time.monotonic() - begin
    expect(old.process.poll() is None, "the old fleet has not waited for its request")
    slow.join(seconds + 20)
    expect(slow.failure is None, f"the long request failed: {slow.failure}")
    expect(old.process.wait(FIRST + 20) == 0, "the old fleet did not exit with status 0")
    expect(not old.find("killing it"), "a child was killed")
    return new, elapsed


def series(program, mode, count, seconds):
    port = free_port()
    servers = [start(program, mode, port)]
    try:
        servers[0].wait_for("ready after", 4)
        load = Load(port, ["/"] * CLIENTS).wait_for(100)
        times = []
        for number in range(count):
            new, elapsed = deploy(program, mode, port, servers[-1], seconds if number else FIRST)
            servers.append(new)
            times.append(elapsed)
        counts = load.stop()
    finally:
        for server in reversed(servers):
            server.__exit__(*sys.exc_info())
    times.sort()
    print(f"{mode}: {count} deploys, served after {times[0]:.2f} to {times[-1]:.2f} s "
          f"(median {times[len(times) // 2]:.2f} s); {counts}", flush=True)
    expect(not counts.get("cut"), "connections were cut")
    expect(times[-1] <= LATEST, f"the successor served only after {times[-1]:.2f} s")


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 2
    needs("swift=")
    program = swift_product("hello-prefork")
    become_subreaper()
    try:
        for mode in ("shared", "sharded"):
            series(program, mode, count, seconds)
    except Failure as failure:
        sys.exit(f"deploys: {failure}")


main()
