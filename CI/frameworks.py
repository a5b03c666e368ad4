#!/usr/bin/env python3
"""Builds the packages in Platforms/Frameworks and proves with real clients that their example servers keep what Prefork
promises. Exits with status 1 if one does not.

    CI/frameworks.py [NAME...] [--debug | --release] [--skip-build]
        NAME is a folder; without one, all packages. Both configurations, or one. Half a minute for each server and
        configuration, and the builds, which take some minutes each.
    CI/frameworks.py [NAME...] --bench [--rounds N] [--seconds S] [--skip-build]
        Measures Prefork and one process of the same framework instead.

Needs Linux, and no privilege. Servers listen on 127.0.0.1, on ports that the kernel chooses.

An example server has this interface:

    PRODUCT [--children N] [--listening automatic|shared|sharded] [--affinity none|onePerChild] [--single]
            [--delay-ready MS] ADDRESS

    --single         runs without Prefork: one process on its own listener, with as many threads as the framework takes.
                     Writes `listening on 127.0.0.1:PORT` to standard error.
    --delay-ready    a child sleeps before it becomes ready.
    /                any short body        /pid    the process id        /slow?ms=N    an answer after N milliseconds
    /big?mb=N        an answer of N MiB

It keeps connections alive unless the client asks it to close them. Prefork's log goes to standard error unchanged.
"""
import argparse
import collections
import contextlib
import os
import re
import resource
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

from support import (
    DEADLINE, HOST, ROOT, Clients, Failure, Server, complete_body, converse, exchange, expect, fleet, needs,
    request_text, run_wrk, state_and_parent, until)

PACKAGES = os.path.join(ROOT, "Platforms/Frameworks")
CHILDREN = 4
GRACE = 5  # Seconds in which children drain, Prefork's default.

# Folder: products.
SERVERS = {
    "Plain": ["plain-server"],
    "SwiftNIO": ["nio-server"],
    "HummingbirdServer": ["hummingbird-server"],
    "FlyingFoxServer": ["flyingfox-server"],
    "ServiceLifecycle": ["lifecycle-server"],
    "Observability": ["observability-server"],
    "Takeover": ["hummingbird-takeover", "flyingfox-takeover", "nio-takeover"],
    "Vapor/Server": ["vapor-takeover"],
    "CServer": ["c-takeover"],
    "GRPCServer": [],  # Its script has the proofs, by HTTP/2.
}
# Folders that run only if they are named, because their dependencies are not everywhere.
OPTIONAL = {"Vapor/Server", "CServer"}
# Folder: the subcommand of `swift` that replaces `build`.
COMMANDS = {"Observability": "test", "Imports": "build"}
# Folder: additional proofs, scripts that take the configuration.
SCRIPTS = {
    "SwiftNIO": ["prove-tls.sh"], "Takeover": ["prove-readme.sh", "prove-operations.py"],
    "Observability": ["prove-metrics.py"], "GRPCServer": ["prove-grpc.py"]}
# Folders whose only proof is that they compile, which does not depend on the configuration.
ONE_CONFIGURATION = {"Imports"}


# ---- Processes


def processor_time(pid):
    """Seconds that all of its threads have spent in user and kernel mode."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        text = file.read()
    fields = text[text.rindex(b")") + 2:].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def clients_of(pid):
    """The local ports of the clients whose connections the process has accepted."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        match = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{name}"))
        if match:
            inodes.add(match.group(1))
    ports = set()
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                ports.add(int(fields[2].split(":")[1], 16))
    return ports - {0}


def all_is_read(ports):
    """Whether servers have accepted the clients with these local ports and read everything from them."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    read = {
        int(fields[2].split(":")[1], 16) for fields in rows if fields[4].endswith(":00000000") and fields[9] != "0"}
    return ports <= read


# ---- Clients


Outcome = collections.namedtuple("Outcome", "start connected end port body fault")


def ask(port, path, patience=DEADLINE):
    """One request on its own connection. `connected` is None if the server did not accept the connection."""
    start = time.monotonic()
    with socket.socket() as connection:
        connection.settimeout(patience)
        try:
            connection.connect((HOST, port))
        except OSError as error:
            return Outcome(start, None, time.monotonic(), None, None, str(error))
        connected, local = time.monotonic(), connection.getsockname()[1]
        connection.settimeout(DEADLINE)
        try:
            body = converse(connection, path)
            return Outcome(start, connected, time.monotonic(), local, body, None)
        except OSError as error:
            return Outcome(start, connected, time.monotonic(), local, None, str(error))


def ask_on_one(port, path, over, patience):
    """Sends requests without a pause on a connection until the server announces its end, then on another one. Yields
    the outcome of each request."""
    while not over.is_set():
        try:
            connection = socket.create_connection((HOST, port), patience)
        except OSError:
            time.sleep(0.005)
            continue
        with connection:
            connected, local = time.monotonic(), connection.getsockname()[1]
            connection.settimeout(DEADLINE)
            while not over.is_set():
                start = time.monotonic()
                try:
                    answer = exchange(connection, path, close=False)
                except OSError as error:
                    yield Outcome(start, connected, time.monotonic(), local, None, str(error))
                    break
                yield Outcome(start, connected, time.monotonic(), local, complete_body(answer), None)
                if re.search(rb"(?i)\r\nconnection: *close", answer):
                    break


class Recorder(Clients):
    """Clients that send requests again and again and record each outcome. With `kept`, they keep connections open."""

    def __init__(self, port, paths, patience=DEADLINE, kept=False):
        self.port, self.patience, self.outcomes = port, patience, []
        super().__init__(self.run_kept if kept else self.run, paths)

    def run(self, path):
        while not self.over.is_set():
            outcome = ask(self.port, path, self.patience)
            self.outcomes.append(outcome)
            if outcome.connected is None:
                time.sleep(0.005)

    def run_kept(self, path):
        for outcome in ask_on_one(self.port, path, self.over, self.patience):
            self.outcomes.append(outcome)

    def stop(self):
        super().stop()
        return self.outcomes


def shares(counts):
    return "/".join(str(count) for count in sorted(counts.values(), reverse=True))


def require_fleet(bodies, children):
    """Counts answers to /pid by child. All of them must come from these children."""
    counts = collections.Counter(int(body) for body in bodies)
    strangers = set(counts) - set(children)
    expect(not strangers, f"answers from {strangers}, which are not children")
    return counts


# ---- Proofs. Each starts its own server and returns what is printed.


def all_answer(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        wanted, seen, tries = set(server.children()), set(), 0
        while seen != wanted and tries < 400:
            result = subprocess.run(
                ["curl", "-sS", "--fail", "--max-time", str(DEADLINE), f"http://{HOST}:{port}/pid"],
                capture_output=True, text=True, check=False)
            expect(result.returncode == 0, f"curl: {result.stderr.strip()}")
            seen.add(int(result.stdout))
            tries += 1
        expect(
            len(wanted) == CHILDREN and seen == wanted,
            f"after {tries} requests answers from {sorted(seen)} of {sorted(wanted)}")
        return f"{CHILDREN} children answered curl in {tries} requests; stopped in {server.stop():.2f} s"


def short_connections(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        threads, each = 16, 200
        outcomes = []

        def run():
            for _ in range(each):
                outcomes.append(ask(port, "/pid"))

        start = time.monotonic()
        clients = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(DEADLINE * 4)
        elapsed = time.monotonic() - start
        failed = [outcome.fault for outcome in outcomes if outcome.fault]
        expect(
            not failed and len(outcomes) == threads * each,
            f"{len(failed)} of {len(outcomes)} failed: {collections.Counter(failed)}")
        counts = require_fleet((outcome.body for outcome in outcomes), server.children())
        stop_without_loss(server)
        return f"{len(outcomes)} in {elapsed:.1f} s, none failed; shares {shares(counts)}"


def kept_alive(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        result = run_wrk(port, 64, 2)
        expect(not result.faults, f"wrk -c64: {result.faults}")
        stop_without_loss(server)
        return f"wrk -c64: {result.requests} requests, {result.rate:.0f} a second, no error"


def stop_without_loss(server):
    server.stop()
    expect(not server.find("exited.*recovering"), "a child was lost")


def child_killed(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        with Recorder(port, ["/pid"] * 8 + ["/slow?ms=50"] * 24) as load:
            until(lambda: len(load.outcomes) > 200, "200 answers")
            victim = server.children()[1]
            # A stopped process accepts nothing more, so the requests that it has are known.
            os.kill(victim, signal.SIGSTOP)
            until(lambda: state_and_parent(victim)[0] == "T", "the child stops")
            inside = clients_of(victim)
            os.kill(victim, signal.SIGKILL)
            killed = time.monotonic()
            new = int(server.wait_for(rf"child (\d+) .* in place of {victim}\b")[0].group(1))
            server.wait_for(rf"child {new} .*ready after")
            answer = str(new).encode()
            until(
                lambda: any(outcome.body and outcome.body.strip() == answer for outcome in list(load.outcomes)),
                "an answer from the replacement")
            back = time.monotonic() - killed
            outcomes = load.stop()
        lost = [outcome for outcome in outcomes if outcome.fault]
        wrong = [outcome for outcome in lost if outcome.port not in inside]
        expect(not wrong, f"{len(wrong)} of {len(lost)} lost requests were not in the child: {wrong[:3]}")
        server.stop()
        return (f"{len(outcomes)} requests, {len(lost)} lost of {len(inside)} in the child; "
                f"the replacement answered after {back * 1000:.0f} ms")


def stopped_under_load(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    idle = [socket.create_connection((HOST, port), DEADLINE) for _ in range(8)]
    with server:
        for connection in idle:
            converse(connection, "/", close=False)
        # The long requests take longer than the master takes to close admission. So a child that does not drain shows.
        with Recorder(port, ["/slow?ms=100"] * 24 + ["/slow?ms=1500"] * 8, patience=0.5) as load:
            until(lambda: len(load.outcomes) > 100, "100 answers")
            term = time.monotonic()
            server.process.terminate()
            elapsed = server.wait(term)
            outcomes = load.stop()
        for connection in idle:
            connection.close()
        established = [outcome for outcome in outcomes if outcome.connected]
        inside = [outcome for outcome in established if outcome.start < term < outcome.end]
        later = [outcome for outcome in established if outcome.start >= term]
        cut = [outcome for outcome in established if outcome.fault]
        expect(inside, "no request was in flight")
        if cut:
            when = offsets(outcome.connected - term for outcome in cut)
            raise Failure(f"{len(cut)} of {len(inside)} + {len(later)} cut, connected at {when}: {cut[0].fault}")
        expect(elapsed <= GRACE - 1, f"the drain took {elapsed:.2f} s, but no request takes longer than 1.5 s")
        return f"{len(inside)} in flight and {len(later)} later ones answered; status 0 after {elapsed:.2f} s"


def stopped_with_kept_connections(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        with Recorder(port, ["/"] * 24 + ["/slow?ms=50"] * 8, patience=0.5, kept=True) as load:
            until(lambda: len(load.outcomes) > 2000, "2,000 answers")
            term = time.monotonic()
            server.process.terminate()
            elapsed = server.wait(term)
            outcomes = load.stop()
        cut = [outcome for outcome in outcomes if outcome.fault]
        later = [outcome for outcome in outcomes if outcome.end > term]
        if cut:
            when = offsets(outcome.start - term for outcome in cut)
            raise Failure(f"{len(cut)} of {len(later)} cut, asked at {when}: {cut[0].fault}")
        expect(elapsed <= GRACE - 1, f"the drain took {elapsed:.2f} s, but no request takes longer than 50 ms")
        return (f"32 clients without a pause, {len(outcomes)} answers, {len(later)} of them after SIGTERM, none cut; "
                f"status 0 after {elapsed:.2f} s")


def offsets(seconds):
    return ", ".join(f"{value * 1000:+.0f} ms" for value in list(seconds)[:8])


def read_slowly(connection):
    """The length of the body. Throws OSError if the body is not complete."""
    answer, length, count = b"", None, 0
    while length is None or count < length:
        part = connection.recv(1 << 18)
        if not part:
            raise OSError(f"closed after {count} of {length} bytes")
        count += len(part)
        if length is None:
            answer += part
            head, end, body = answer.partition(b"\r\n\r\n")
            if end:
                length, count = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head).group(1)), len(body)
    return count


def large_answers(binary, arguments):
    size, count = 32, 4
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        connections = []
        for _ in range(count):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            connection.settimeout(DEADLINE)
            connection.connect((HOST, port))
            connection.sendall(request_text(f"/big?mb={size}", close=False))
            connection.recv(1, socket.MSG_PEEK)
            connections.append(connection)
        start = time.monotonic()
        server.process.terminate()
        time.sleep(1)  # Longer than a stopping server waits for an idle connection.
        for connection in connections:
            try:
                expect(read_slowly(connection) == size << 20, "a body of the wrong length")
            except OSError as error:
                raise Failure(f"an answer was cut: {error}") from None
            connection.close()
        elapsed = server.wait(start)
        return f"{count} answers of {size} MiB to clients that read late are complete; status 0 after {elapsed:.2f} s"


def half_requests(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        connections = [socket.create_connection((HOST, port), DEADLINE) for _ in range(8)]
        for number, connection in enumerate(connections):
            if number % 2:
                converse(connection, "/", close=False)
            connection.sendall(b"GET / HTTP/1.1\r\nHo")
        ports = {connection.getsockname()[1] for connection in connections}
        until(lambda: all_is_read(ports), "the servers read the half requests")
        elapsed = server.stop()
        for connection in connections:
            connection.close()
        expect(not server.find(r"exited: (?!status 0 )"), "a child did not exit in order")
        return f"8 clients with half a request: status 0 after {elapsed:.2f} s, no child lost"


def master_killed(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    idle = [socket.create_connection((HOST, port), DEADLINE) for _ in range(8)]
    with server:
        for connection in idle:
            converse(connection, "/", close=False)
        children = server.children()
        server.process.kill()
        start = time.monotonic()
        until(
            lambda: all(state_and_parent(pid)[0] in "ZX" for pid in children),
            "all children exit", GRACE + 2)
        elapsed = time.monotonic() - start
        # They are children of this process now.
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        for connection in idle:
            connection.close()
        expect(not ask(port, "/").connected, "a process still listens")
        expect(not any(statuses), f"the children exited with {statuses}")
        expect(elapsed <= GRACE - 1, f"the children took {elapsed:.2f} s, but nothing was in flight")
        return f"{len(children)} children exited after {elapsed:.2f} s, all with status 0"


def early_connections(binary, arguments):
    for delay in (1500, 6000, 20000):  # A busy machine takes long to connect.
        text = early_connections_within(delay, binary, arguments)
        if text:
            return text
    raise Failure("a child was ready before all connections were established")


def early_connections_within(delay, binary, arguments):
    """None if the delay was too short."""
    count = 1000
    server = Server(
        binary, "--children", str(CHILDREN), "--delay-ready", str(delay), *arguments, f"{HOST}:0")
    with server:
        port = server.listening()
        connections = []
        try:
            start = time.monotonic()
            for _ in range(count):
                connections.append(socket.create_connection((HOST, port), DEADLINE))
            elapsed = time.monotonic() - start
            if server.find("ready after"):
                return None
            for connection in connections:
                connection.sendall(request_text("/pid"))
            bodies = collect(connections)
        finally:
            for connection in connections:
                connection.close()
        counts = require_fleet(bodies, server.children())
        server.stop()
        return f"{count} opened in {elapsed:.2f} s before any child was ready, all answered; shares {shares(counts)}"


def collect(connections):
    """The bodies of the answers on all connections."""
    answers, bodies = {connection: b"" for connection in connections}, []
    end = time.monotonic() + DEADLINE
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        while len(bodies) < len(connections):
            left = end - time.monotonic()
            expect(left > 0, f"{len(bodies)} of {len(connections)} answered within {DEADLINE} s")
            for key, _ in selector.select(left):
                try:
                    part = key.fileobj.recv(65536)
                    answers[key.fileobj] += part
                    body = complete_body(answers[key.fileobj])
                except OSError as error:
                    raise Failure(f"a connection failed: {error}") from None
                expect(body is not None or part, "a connection was closed without an answer")
                if body is not None:
                    bodies.append(body)
                    selector.unregister(key.fileobj)
    return bodies


PROOFS = [
    ("all answer", all_answer, []),
    ("short connections", short_connections, []),
    # Several children accept on one socket. A late one gets EAGAIN.
    ("shared listener", short_connections, ["--listening", "shared"]),
    ("kept alive", kept_alive, []),
    ("kill -9 of a child", child_killed, []),
    ("TERM under load", stopped_under_load, []),
    ("TERM, kept alive", stopped_with_kept_connections, []),
    ("large answers", large_answers, []),
    ("half requests", half_requests, []),
    ("kill -9 of the master", master_killed, []),
    ("early connections", early_connections, []),
]
# The child's own ServiceGroup handles the signals.
OWN_SIGNALS = ["--group-handles-signals"]
MORE_PROOFS = {
    "ServiceLifecycle": [
        ("TERM, own signals", stopped_under_load, OWN_SIGNALS),
        ("master, own signals", master_killed, OWN_SIGNALS),
    ],
}


def prove(name, configuration):
    """Rows of the table: the proof, whether it holds, and a text."""
    rows = []
    for product in SERVERS[name]:
        rows += prove_server(name, configuration, product)
    for script in SCRIPTS.get(name, []):
        result = subprocess.run(
            [os.path.join(PACKAGES, name, script), configuration],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        holds = result.returncode == 0
        text = f"{len(re.findall('^ok ', result.stdout, re.MULTILINE))} checks" if holds else result.stdout
        print(f"  {'ok  ' if holds else 'FAIL'}  {script}: {text}", flush=True)
        rows.append((script, holds, text))
    return rows


def prove_server(name, configuration, product):
    rows = []
    binary = os.path.join(PACKAGES, name, ".build", configuration, product)
    prefix = f"{product}, " if len(SERVERS[name]) > 1 else ""
    for title, proof, arguments in PROOFS + MORE_PROOFS.get(name, []):
        try:
            holds, text = True, proof(binary, arguments)
        except Failure as failure:
            holds, text = False, str(failure)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            holds, text = False, f"{type(error).__name__}: {error}"
        print(f"  {'ok  ' if holds else 'FAIL'}  {prefix}{title}: {text}", flush=True)
        rows.append((prefix + title, holds, text))
    return rows


# ---- Against one process


def bench(names, rounds, seconds):
    children = len(os.sched_getaffinity(0))
    print(f"\n{children} processors, medians of {rounds} rounds of {seconds} s in turn, `wrk -t2` on this machine\n")
    print("| server | connections | processes | requests/s | p50 ms | p99 ms | CPU µs/request | errors |")
    print("|---|---|---|---|---|---|---|---|")
    for name, product in ((name, product) for name in names for product in SERVERS[name]):
        binary = os.path.join(PACKAGES, name, ".build", "release", product)
        arguments = {
            f"{children}, Prefork": ["--children", str(children)],
            f"{children}, Prefork, a processor each": ["--children", str(children), "--affinity", "onePerChild"],
            "1": ["--single"],
        }
        with contextlib.ExitStack() as stack:
            servers, ports = [], {}
            for title, words in arguments.items():
                server = stack.enter_context(Server(binary, *words, f"{HOST}:0"))
                servers.append((title, server))
                ports[server] = server.listening()
                if "--children" in words:
                    server.wait_for("ready after", children)
            bench_rows(product, servers, ports, rounds, seconds)


def bench_rows(name, servers, ports, rounds, seconds):
    for connections in (64, 512):
        results = {title: [] for title, _ in servers}
        for number in range(rounds):
            # Each begins a round in turn, so that other work of the machine affects all of them.
            first = number % len(servers)
            for title, server in servers[first:] + servers[:first]:
                if number == 0:  # Warms up.
                    run_wrk(ports[server], connections, 1)
                pids = [server.pid, *server.children()]
                before = sum(processor_time(pid) for pid in pids)
                wrk = run_wrk(ports[server], connections, seconds)
                used = sum(processor_time(pid) for pid in pids) - before
                results[title].append((wrk.rate, wrk.p50, wrk.p99, used / wrk.requests * 1e6, wrk.faults))
        for title, _ in servers:
            rows = results[title]
            rate, p50, p99, cost = (statistics.median(row[column] for row in rows) for column in range(4))
            faults = "; ".join(sorted({row[4] for row in rows if row[4]})) or "none"
            cells = [name, connections, title, f"{rate:.0f}", f"{p50:.2f}", f"{p99:.2f}", f"{cost:.1f}", faults]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def build(name, configuration, command="build"):
    start = time.monotonic()
    result = subprocess.run(
        ["swift", command, "--package-path", os.path.join(PACKAGES, name), "-c", configuration],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode != 0:
        print(result.stdout)
        print(f"  FAIL  swift {command}: status {result.returncode}", flush=True)
    else:
        print(f"  ok    swift {command}: {time.monotonic() - start:.0f} s", flush=True)
    return result.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--debug", action="store_true")
    only.add_argument("--release", action="store_true")
    parser.add_argument("--skip-build", action="store_true", help="use the servers of an earlier build")
    parser.add_argument("--bench", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    folders = list(dict.fromkeys([*SERVERS, *COMMANDS]))
    unknown = [name for name in options.names if name not in folders]
    if unknown:
        parser.error(f"no such package: {', '.join(unknown)}; there are {', '.join(folders)}")
    needs("swift=", "curl", "wrk", "openssl")
    names = options.names or [name for name in folders if name not in OPTIONAL]
    configurations = ["debug"] if options.debug else ["release"] if options.release else ["debug", "release"]

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096 if hard == resource.RLIM_INFINITY else min(hard, 4096), hard))

    if options.bench:
        names = [name for name in names if name in SERVERS]
        if not options.skip_build and not all([build(name, "release") for name in names]):
            return 1
        bench(names, options.rounds, options.seconds)
        return 0

    work = [(name, configuration) for name in names
            for configuration in (configurations[:1] if name in ONE_CONFIGURATION else configurations)]
    table, failed = [], False
    for name, configuration in work:
        print(f"{name}, {configuration}", flush=True)
        skips = options.skip_build and name in SERVERS
        if not skips and not build(name, configuration, COMMANDS.get(name, "build")):
            table.append((name, configuration, "build", False))
            continue
        rows = prove(name, configuration) if name in SERVERS else [(COMMANDS[name], True, "")]
        table += [(name, configuration, title, holds) for title, holds, _ in rows]
    print()
    for name, configuration in work:
        rows = [row for row in table if row[:2] == (name, configuration)]
        bad = [row[2] for row in rows if not row[3]]
        failed = failed or bool(bad) or not rows
        print(f"{name:20} {configuration:8} {len(rows) - len(bad)} of {len(rows)}"
              + (f"; FAILED: {', '.join(bad)}" if bad else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
