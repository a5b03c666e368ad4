#!/usr/bin/env python3
"""Deploys whole fleets under load, with a long request in flight: another configuration or another version of Prefork
needs a new master. Fails if a connection is cut or a long request is not answered.

    CI/deploys.py [N [SECONDS [WAY...]]]    N deploys of each way (100 by default); a long request takes 2 s

The ways. The first two are for shared and for sharded listeners:

    after         SIGTERM to the fleet, and at the same moment its successor starts on the same address. Fails if that
                  serves later than after 0.7 s. The first long request takes 20 s.
    beside        The successor starts beside the fleet and tries again every 20 ms to listen. Then SIGTERM. Fails if
                  connections are refused for longer than 0.2 s.
    held          Another process holds the socket, as systemd does. The successor starts when the fleet has exited.
                  Fails if a request is not answered.
    held, beside  The same socket, and the successor serves before the fleet gets SIGTERM. Fails if a request is not
                  answered.
"""
import fcntl
import re
import socket
import subprocess
import sys
import threading
import time

from support import (
    HOST, Clients, Failure, Load, Server, become_subreaper, converse, exchange, expect, free_port, needs, request,
    swift_product, until)

CLIENTS = 6
CHILDREN = 4
LATEST = 0.7  # Seconds. The successor tries again 0.5 s after its first attempt.
LONGEST_REFUSAL = 0.2  # Seconds, with a successor that tries again every 20 ms.
FIRST = 20  # Seconds.
# Hands the descriptor $0 over as systemd does (sd_listen_fds(3)).
ACTIVATE = 'exec 3<&"$0"; eval "exec $0<&-"; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'


class LongRequest(threading.Thread):
    """A request whose answer takes its time."""

    def __init__(self, port, seconds):
        super().__init__(daemon=True)
        self.seconds, self.failure = seconds, "no answer"
        self.connection = socket.create_connection((HOST, port), 10)
        self.start()

    def is_accepted(self):
        """Whether a process has the server's end, which has an inode then (ss(8)). /proc/net/tcp would take seconds,
        because it also lists the thousands of connections that the load has closed."""
        own, server = self.connection.getsockname()[1], self.connection.getpeername()[1]
        command = ["ss", "-Htne", "state", "established", f"sport = :{server} and dport = :{own}"]
        listed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        return re.search(r"\bino:[1-9]", listed) is not None

    def run(self):
        with self.connection:
            self.connection.settimeout(self.seconds + 10)
            try:
                exchange(self.connection, f"/slow?ms={int(self.seconds * 1000)}")
                self.failure = None
            except OSError as error:
                self.failure = str(error)


class Probe(Clients):
    """Connects every few milliseconds, and records what happens to the handshake."""

    PATIENCE = 0.01

    def __init__(self, port):
        self.port, self.seen = port, []
        super().__init__(self.run, [None])

    def run(self, _):
        while not self.over.is_set():
            begin = time.monotonic()
            self.seen.append((begin, self.connect()))
            time.sleep(0.002)

    def connect(self):
        with socket.socket() as connection:
            connection.settimeout(self.PATIENCE)
            try:
                connection.connect((HOST, self.port))
            except TimeoutError:
                return "held off"
            except OSError:
                return "refused"
            return "connected"

    def longest(self, outcome, since):
        """The longest time since that moment in which handshakes had only this outcome."""
        longest, begin = 0, None
        for moment, seen in list(self.seen):
            if moment < since:
                continue
            if seen == outcome:
                begin = moment if begin is None else begin
                longest = max(longest, moment - begin + self.PATIENCE)
            else:
                begin = None
        return longest


def serves(server, port):
    """Whether a child of the server answers."""
    with socket.socket() as connection:
        connection.settimeout(Probe.PATIENCE)
        try:
            connection.connect((HOST, port))
            connection.settimeout(FIRST)
            pid = converse(connection, "/pid").decode()
        except OSError:
            return False
    return bool(server.find(rf"child {pid} .* ready after"))


class Way:
    """One way to deploy. `retire` ends the old fleet. It returns the successor, which need not serve yet, and the
    moment of SIGTERM."""

    def __init__(self, program, mode):
        self.program, self.mode, self.port = program, mode, free_port()

    def start(self, *options):
        return Server(self.program, "--children", str(CHILDREN), "--listening", self.mode, "--grace", str(FIRST + 10),
                      *options, f"{HOST}:{self.port}")

    def long_request(self, _number, seconds):
        return seconds

    @staticmethod
    def terminate(server):
        server.process.terminate()
        return time.monotonic()

    def check(self, counts, times, refusals):
        """What the way promises beyond the rest."""


class After(Way):
    name = "after"

    def long_request(self, number, seconds):
        return seconds if number else FIRST

    def retire(self, old):
        begin = self.terminate(old)
        return self.start(), begin

    def check(self, counts, times, refusals):
        expect(times[-1] <= LATEST, f"the successor served only after {times[-1]:.2f} s")


class Beside(Way):
    name = "beside"

    def retire(self, old):
        new = self.start("--bind-interval", "0.02")
        new.wait_for("is in use; trying again")
        return new, self.terminate(old)

    def check(self, counts, times, refusals):
        expect(refusals[-1] <= LONGEST_REFUSAL, f"connections were refused for {refusals[-1]:.2f} s")


class Held(Way):
    name = "held"

    def __init__(self, program, mode):
        super().__init__(program, mode)
        with socket.socket() as listener:
            listener.bind((HOST, self.port))
            listener.listen(4096)
            # The flag is the socket's, and a fleet that ends puts back what it has found. With a blocking one, the
            # successor's children would wait in accept(2).
            listener.setblocking(False)
            # A number that no descriptor of a shell has.
            self.descriptor = fcntl.fcntl(listener, fcntl.F_DUPFD, 100)

    def start(self):
        return Server("bash", "-c", ACTIVATE, str(self.descriptor), self.program, "--inherited", "--children",
                      str(CHILDREN), "--grace", str(FIRST + 10), pass_fds=(self.descriptor,))

    def retire(self, old):
        begin = self.terminate(old)
        expect(old.process.wait(FIRST) == 0, "the old fleet did not exit with status 0")
        return self.start(), begin

    def check(self, counts, times, refusals):
        expect(set(counts) == {"answered"}, f"requests failed: {counts}")


class HeldBeside(Held):
    name = "held, beside"

    def retire(self, old):
        new = self.start()
        new.wait_for("ready after", CHILDREN)
        return new, self.terminate(old)


def deploy(way, old, probe, seconds):
    """The successor, how long it took until it served, and for how long handshakes were refused and held off."""
    slow = LongRequest(way.port, seconds)
    until(slow.is_accepted, "a child accepts the long request")
    new, begin = way.retire(old)
    until(lambda: serves(new, way.port), "the successor serves", FIRST)
    elapsed = time.monotonic() - begin
    if way.name in ("after", "beside"):
        expect(old.process.poll() is None, "the old fleet has not waited for its request")
    slow.join(seconds + 20)
    expect(slow.failure is None, f"the long request failed: {slow.failure}")
    expect(old.process.wait(FIRST + 20) == 0, "the old fleet did not exit with status 0")
    expect(not old.find("killing it"), "a child was killed")
    return new, elapsed, probe.longest("refused", begin), probe.longest("held off", begin)


def series(way, count, seconds):
    servers = [way.start()]
    try:
        servers[0].wait_for("ready after", CHILDREN)
        # The pauses keep the clients from using up the ports.
        load = Load(way.port, ["/"] * CLIENTS, patience=FIRST, pause=0.002).wait_for(100)
        probe = Probe(way.port)
        times, refusals, delays = [], [], []
        for number in range(count):
            new, elapsed, refused, held = deploy(way, servers[-1], probe, way.long_request(number, seconds))
            servers.append(new)
            times.append(elapsed)
            refusals.append(refused)
            delays.append(held)
        probe.stop()
        counts = load.stop()
    finally:
        for server in reversed(servers):
            server.__exit__(*sys.exc_info())
    for values in (times, refusals, delays):
        values.sort()
    print(f"{way.name}, {way.mode}: {count} deploys, served after {times[0]:.2f} to {times[-1]:.2f} s "
          f"(median {times[count // 2]:.2f} s); handshakes refused for up to {refusals[-1]:.2f} s "
          f"(median {refusals[count // 2]:.2f} s), held off for up to {delays[-1]:.2f} s "
          f"(median {delays[count // 2]:.2f} s); an answer took up to {load.longest:.2f} s; {counts}", flush=True)
    expect(not counts.get("cut"), "connections were cut")
    way.check(counts, times, refusals)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 2
    names = [name for name in sys.argv[3:] if name in ("after", "beside", "held", "held, beside")]
    if names != sys.argv[3:]:
        sys.exit(__doc__)
    needs("swift=", "ss=iproute2")
    program = swift_product("hello-prefork")
    become_subreaper()
    try:
        for kind in (After, Beside, Held, HeldBeside):
            # An adopted socket is always shared.
            for mode in ("shared",) if issubclass(kind, Held) else ("shared", "sharded"):
                if not names or kind.name in names:
                    series(kind(program, mode), count, seconds)
    except Failure as failure:
        sys.exit(f"deploys: {failure}")


main()
