#!/usr/bin/env python3
"""Builds the packages in Platforms/Frameworks and proves with real clients that their example servers keep what Prefork promises; exit
status 1 where one does not.

    CI/frameworks.py [NAME...] [--debug | --release] [--skip-build]
        all packages, or those of these folders; both configurations, or one. Half a minute for each server and configuration,
        and the builds: some minutes each from nothing.
    CI/frameworks.py [NAME...] --bench [--rounds N] [--seconds S] [--skip-build]
        measures instead: Prefork against one process of the same framework.

Needs Linux, Swift, curl, wrk, openssl and Python 3.9; no privilege. Servers listen on 127.0.0.1, on ports that the kernel chooses.

What an example server must do so that this file can prove it:

    PRODUCT [--children N] [--listening automatic|shared|sharded] [--affinity none|onePerChild] [--single]
            [--delay-ready MS] ADDRESS

    --single         no Prefork: one process on its own listener, with as many threads as the framework takes; writes
                     `listening on 127.0.0.1:PORT` to standard error.
    --delay-ready    a child sleeps before it tells that it is ready.
    /                any short body        /pid    the process id        /slow?ms=N    an answer after N milliseconds
    /big?mb=N        an answer of N MiB
    It keeps connections alive unless asked to close them, and leaves Prefork's log on standard error as it is.
"""
import argparse
import collections
import contextlib
import ctypes
import os
import re
import resource
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOST = "127.0.0.1"
CHILDREN = 4
DEADLINE = 30  # seconds, for whatever is waited for
GRACE = 5  # seconds that children have to drain, Prefork's default
PR_SET_CHILD_SUBREAPER = 36

# Folder: product.
SERVERS = {
    "Plain": "plain-server",
    "SwiftNIO": "nio-server",
    "HummingbirdServer": "hummingbird-server",
    "FlyingFoxServer": "flyingfox-server",
    "ServiceLifecycle": "lifecycle-server",
    "Observability": "observability-server",
}
# Folder: what is run there in place of `swift build`.
COMMANDS = {"Observability": "test", "Imports": "build"}
# Folder: a proof script of its own, which takes the configuration and needs openssl.
SCRIPTS = {"SwiftNIO": "prove-tls.sh"}
# That it compiles does not depend on the configuration.
ONE_CONFIGURATION = {"Imports"}


class Failure(Exception):
    pass


def wait_until(what, condition, seconds=DEADLINE):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.005)


# ---- Processes


def state_and_parent(pid):
    """The state as in ps(1); the parent is 0 where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return "X", 0
    state, parent = text[text.rindex(b")") + 2:].split()[:2]
    return state.decode(), int(parent)


def children_of(pid):
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and state_and_parent(name)[1] == pid]


def processor_time(pid):
    """Seconds in user and kernel mode of all its threads so far."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        text = file.read()
    fields = text[text.rindex(b")") + 2:].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def clients_of(pid):
    """The local ports of the clients whose connections this process has accepted."""
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
    """Whether the servers of these clients, known by their local ports, have accepted them and read all that came."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    read = {
        int(fields[2].split(":")[1], 16) for fields in rows if fields[4].endswith(":00000000") and fields[9] != "0"}
    return ports <= read


class Server:
    """An example server; everything that it starts is gone when the `with` block ends."""

    def __init__(self, binary, *arguments):
        self.lines = []
        self.process = subprocess.Popen(
            [binary, *arguments, f"{HOST}:0"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)
        self.pid = self.process.pid
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    def find(self, pattern):
        return [match for match in (re.search(pattern, line) for line in list(self.lines)) if match]

    def wait_for(self, pattern, count=1):
        def look():
            found = self.find(pattern)
            if len(found) < count and self.process.poll() is not None:
                self.reader.join(DEADLINE)
                raise Failure(f"the server has left with status {self.process.returncode}")
            return found if len(found) >= count else None

        return wait_until(f"{count} x '{pattern}' in the log", look)

    def listening(self):
        return int(self.wait_for(r"listening on \S*:(\d+)$")[0].group(1))

    def children(self):
        return sorted(children_of(self.pid))

    def stop(self):
        """Seconds from SIGTERM to the end, which must be an orderly one."""
        start = time.monotonic()
        self.process.terminate()
        return self.wait(start)

    def wait(self, start):
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise Failure(f"still there {DEADLINE} s after SIGTERM") from None
        elapsed = time.monotonic() - start
        if status != 0:
            raise Failure(f"exit status {status}, not 0")
        left = [pid for pid in children_of(os.getpid()) if state_and_parent(pid)[0] != "Z"]
        if left:
            raise Failure(f"left behind: {left}")
        if self.find("killing it"):
            raise Failure("a child did not drain in time and was killed")
        return elapsed

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        # The master first: its children then are ours, because this process is a subreaper, and nobody else reaps them.
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)
        end = time.monotonic() + DEADLINE
        while children_of(os.getpid()) and time.monotonic() < end:
            for pid in children_of(os.getpid()):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        self.reader.join(DEADLINE)
        self.process.stderr.close()
        if kind is not None and issubclass(kind, Failure):
            for line in self.lines[-20:]:
                print(f"      | {line}")


def fleet(binary, *arguments):
    """(server, port) with all children ready."""
    server = Server(binary, "--children", str(CHILDREN), *arguments)
    try:
        port = server.listening()
        server.wait_for("ready after", CHILDREN)
    except BaseException as error:
        server.__exit__(type(error), error, None)
        raise
    return server, port


# ---- Clients


def request_text(path, close=True):
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: {'close' if close else 'keep-alive'}\r\n\r\n".encode()


def complete_body(answer):
    """The body of a complete answer with status 200; None where it is not complete yet."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return None
    if not head.startswith(b"HTTP/1.1 200"):
        raise OSError(f"answer {head.splitlines()[0]!r}")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if not length:
        raise OSError("an answer without a length")
    return body[:int(length.group(1))] if len(body) >= int(length.group(1)) else None


def exchange(connection, path, close=True):
    """Asks and returns the answer; OSError where there is no complete one."""
    connection.sendall(request_text(path, close))
    answer = b""
    while complete_body(answer) is None:
        part = connection.recv(65536)
        if not part:
            raise OSError("closed before the answer was complete")
        answer += part
    return answer


def converse(connection, path, close=True):
    """Asks and returns the body; OSError where there is no complete answer."""
    return complete_body(exchange(connection, path, close))


Outcome = collections.namedtuple("Outcome", "start connected end port body fault")


def ask(port, path, patience=DEADLINE):
    """One request on a connection of its own. `connected` is None where the server let nobody in."""
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
    """Asks without a pause on a connection that stays open until the server says that it ends, then on another one; yields
    what became of each request."""
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


class Load:
    """Threads that ask again and again, each time on a new connection or not, and note what became of each request."""

    def __init__(self, port, paths, patience=DEADLINE, kept=False):
        self.outcomes, self.over = [], threading.Event()
        run = self.run_kept if kept else self.run
        self.threads = [threading.Thread(target=run, args=(port, path, patience), daemon=True) for path in paths]
        for thread in self.threads:
            thread.start()

    def run(self, port, path, patience):
        while not self.over.is_set():
            outcome = ask(port, path, patience)
            self.outcomes.append(outcome)
            if outcome.connected is None:
                time.sleep(0.005)

    def run_kept(self, port, path, patience):
        for outcome in ask_on_one(port, path, self.over, patience):
            self.outcomes.append(outcome)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(DEADLINE * 2)
            if thread.is_alive():
                raise Failure("a client waits for ever")
        return self.outcomes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()


def run_wrk(port, connections, seconds):
    """requests, requests/s, p50 and p99 in ms, and what went wrong."""
    result = subprocess.run(
        ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--latency", f"http://{HOST}:{port}/"],
        capture_output=True, text=True, timeout=seconds + DEADLINE, check=False)
    if result.returncode != 0:
        raise Failure(f"wrk: {result.stdout}{result.stderr}")

    def number(pattern):
        match = re.search(pattern, result.stdout)
        if not match:
            raise Failure(f"wrk does not say {pattern}: {result.stdout}")
        return match.groups()

    def latency(percent):
        value, unit = number(rf"{percent}%\s+([\d.]+)(us|ms|s|m)\b")
        return float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]

    faults = " ".join(re.findall(r"Socket errors:.*|Non-2xx.*", result.stdout))
    return (int(number(r"(\d+) requests in")[0]), float(number(r"Requests/sec:\s*([\d.]+)")[0]), latency(50), latency(99),
            faults)


def shares(counts):
    return "/".join(str(count) for count in sorted(counts.values(), reverse=True))


def require_fleet(bodies, children):
    """Counts by child of answers to /pid, all of which are to come from these children."""
    counts = collections.Counter(int(body) for body in bodies)
    strangers = set(counts) - set(children)
    if strangers:
        raise Failure(f"answers from {strangers}, which are not children")
    return counts


# ---- Proofs: each starts a server of its own, and returns what is to be told


def all_answer(binary, arguments):
    server, port = fleet(binary, *arguments)
    with server:
        wanted, seen, tries = set(server.children()), set(), 0
        while seen != wanted and tries < 400:
            result = subprocess.run(
                ["curl", "-sS", "--fail", "--max-time", str(DEADLINE), f"http://{HOST}:{port}/pid"],
                capture_output=True, text=True, check=False)
            if result.returncode != 0:
                raise Failure(f"curl: {result.stderr.strip()}")
            seen.add(int(result.stdout))
            tries += 1
        if len(wanted) != CHILDREN or seen != wanted:
            raise Failure(f"after {tries} requests answers from {sorted(seen)} of {sorted(wanted)}")
        return f"{CHILDREN} children, seen with curl in {tries} requests; stopped in {server.stop():.2f} s"


def short_connections(binary, arguments):
    server, port = fleet(binary, *arguments)
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
        if failed or len(outcomes) != threads * each:
            raise Failure(f"{len(failed)} of {len(outcomes)} failed: {collections.Counter(failed)}")
        counts = require_fleet((outcome.body for outcome in outcomes), server.children())
        server.stop()
        if server.find("exited.*recovering"):
            raise Failure("a child was lost")
        return f"{len(outcomes)} in {elapsed:.1f} s, none failed; shares {shares(counts)}"


def kept_alive(binary, arguments):
    server, port = fleet(binary, *arguments)
    with server:
        count, rate, _, _, faults = run_wrk(port, 64, 2)
        if faults:
            raise Failure(f"wrk -c64: {faults}")
        server.stop()
        if server.find("exited.*recovering"):
            raise Failure("a child was lost")
        return f"wrk -c64: {count} requests, {rate:.0f} a second, no error"


def child_killed(binary, arguments):
    server, port = fleet(binary, *arguments)
    with server:
        with Load(port, ["/pid"] * 8 + ["/slow?ms=50"] * 24) as load:
            wait_until("200 answers", lambda: len(load.outcomes) > 200)
            victim = server.children()[1]
            # Stopped first, so that it can be known which requests are in it: it accepts nothing any more.
            os.kill(victim, signal.SIGSTOP)
            wait_until("the child stops", lambda: state_and_parent(victim)[0] == "T")
            inside = clients_of(victim)
            os.kill(victim, signal.SIGKILL)
            killed = time.monotonic()
            new = int(server.wait_for(rf"child (\d+) .* in place of {victim}\b")[0].group(1))
            server.wait_for(rf"child {new} .*ready after")
            wait_until("an answer from the replacement",
                       lambda: any(outcome.body == f"{new}\n".encode() or outcome.body == str(new).encode()
                                   for outcome in list(load.outcomes)))
            back = time.monotonic() - killed
            outcomes = load.stop()
        lost = [outcome for outcome in outcomes if outcome.fault]
        wrong = [outcome for outcome in lost if outcome.port not in inside]
        if wrong:
            raise Failure(f"{len(wrong)} of {len(lost)} lost requests were not in the child: {wrong[:3]}")
        server.stop()
        return (f"{len(outcomes)} requests, {len(lost)} lost of {len(inside)} that were in it; "
                f"the replacement answered after {back * 1000:.0f} ms")


def stopped_under_load(binary, arguments):
    server, port = fleet(binary, *arguments)
    idle = [socket.create_connection((HOST, port), DEADLINE) for _ in range(8)]
    with server:
        for connection in idle:
            converse(connection, "/", close=False)
        # The long ones take longer than the master may take to close the door, so that a child that does not drain is found out.
        with Load(port, ["/slow?ms=100"] * 24 + ["/slow?ms=1500"] * 8, patience=0.5) as load:
            wait_until("100 answers", lambda: len(load.outcomes) > 100)
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
        if not inside:
            raise Failure("nothing was in flight")
        if cut:
            when = ", ".join(f"{(outcome.connected - term) * 1000:+.0f} ms" for outcome in cut[:8])
            raise Failure(f"{len(cut)} of {len(inside)} + {len(later)} cut, connected at {when}: {cut[0].fault}")
        if elapsed > GRACE - 1:
            raise Failure(f"the drain took {elapsed:.2f} s, though no request takes longer than 1.5 s")
        return f"{len(inside)} in flight and {len(later)} later ones all answered; status 0 after {elapsed:.2f} s"


def stopped_with_kept_connections(binary, arguments):
    server, port = fleet(binary, *arguments)
    with server:
        with Load(port, ["/"] * 24 + ["/slow?ms=50"] * 8, patience=0.5, kept=True) as load:
            wait_until("2,000 answers", lambda: len(load.outcomes) > 2000)
            term = time.monotonic()
            server.process.terminate()
            elapsed = server.wait(term)
            outcomes = load.stop()
        cut = [outcome for outcome in outcomes if outcome.fault]
        later = [outcome for outcome in outcomes if outcome.end > term]
        if cut:
            when = ", ".join(f"{(outcome.start - term) * 1000:+.0f} ms" for outcome in cut[:8])
            raise Failure(f"{len(cut)} of {len(later)} cut, asked at {when}: {cut[0].fault}")
        if elapsed > GRACE - 1:
            raise Failure(f"the drain took {elapsed:.2f} s, though no request takes longer than 50 ms")
        return (f"32 clients that ask on and on, {len(outcomes)} answers, {len(later)} of them after TERM, none cut; "
                f"status 0 after {elapsed:.2f} s")


def read_slowly(connection):
    """The length of the body that came; OSError where it is not complete."""
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
    server, port = fleet(binary, *arguments)
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
        time.sleep(1)  # longer than a server that stops waits for an idle connection
        for connection in connections:
            try:
                if read_slowly(connection) != size << 20:
                    raise Failure("a body of the wrong length")
            except OSError as error:
                raise Failure(f"an answer that was on its way is cut: {error}") from None
            connection.close()
        elapsed = server.wait(start)
        return f"{count} answers of {size} MiB to clients that read late all complete; status 0 after {elapsed:.2f} s"


def half_requests(binary, arguments):
    server, port = fleet(binary, *arguments)
    with server:
        connections = [socket.create_connection((HOST, port), DEADLINE) for _ in range(8)]
        for number, connection in enumerate(connections):
            if number % 2:
                converse(connection, "/", close=False)
            connection.sendall(b"GET / HTTP/1.1\r\nHo")
        ports = {connection.getsockname()[1] for connection in connections}
        wait_until("the halves are read", lambda: all_is_read(ports))
        elapsed = server.stop()
        for connection in connections:
            connection.close()
        if server.find(r"exited: (?!status 0 )"):
            raise Failure("a child did not leave in order")
        return f"8 clients with half a request: status 0 after {elapsed:.2f} s, no child lost"


def master_killed(binary, arguments):
    server, port = fleet(binary, *arguments)
    idle = [socket.create_connection((HOST, port), DEADLINE) for _ in range(8)]
    with server:
        for connection in idle:
            converse(connection, "/", close=False)
        children = server.children()
        server.process.kill()
        start = time.monotonic()
        wait_until("all children are gone", lambda: all(state_and_parent(pid)[0] in "ZX" for pid in children), GRACE + 2)
        elapsed = time.monotonic() - start
        statuses = []
        for pid in children:  # ours now
            status = os.waitpid(pid, 0)[1]
            statuses.append(os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status))
        for connection in idle:
            connection.close()
        if ask(port, "/").connected:
            raise Failure("somebody still listens")
        if any(statuses):
            raise Failure(f"the children left with {statuses}")
        if elapsed > GRACE - 1:
            raise Failure(f"the children took {elapsed:.2f} s, though nothing was in flight")
        return f"{len(children)} children gone after {elapsed:.2f} s, all with status 0"


def early_connections(binary, arguments):
    for delay in (1500, 6000, 20000):  # a starved machine takes long to connect
        told = early_connections_within(delay, binary, arguments)
        if told:
            return told
    raise Failure("a child was ready before the connections stood")


def early_connections_within(delay, binary, arguments):
    """None where the time did not suffice."""
    count = 1000
    server = Server(binary, "--children", str(CHILDREN), "--delay-ready", str(delay), *arguments)
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
    """The bodies of the answers on all of them."""
    answers, bodies = {connection: b"" for connection in connections}, []
    end = time.monotonic() + DEADLINE
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        while len(bodies) < len(connections):
            left = end - time.monotonic()
            if left <= 0:
                raise Failure(f"{len(bodies)} of {len(connections)} answered within {DEADLINE} s")
            for key, _ in selector.select(left):
                try:
                    part = key.fileobj.recv(65536)
                    answers[key.fileobj] += part
                    body = complete_body(answers[key.fileobj])
                except OSError as error:
                    raise Failure(f"a connection failed: {error}") from None
                if body is None and not part:
                    raise Failure("a connection was closed without an answer")
                if body is not None:
                    bodies.append(body)
                    selector.unregister(key.fileobj)
    return bodies


PROOFS = [
    ("all answer", all_answer, []),
    ("short connections", short_connections, []),
    # Several accept on one socket: whoever comes late finds nothing.
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
# The child's own ServiceGroup handles its signals.
OWN_SIGNALS = ["--group-handles-signals"]
MORE_PROOFS = {
    "ServiceLifecycle": [
        ("TERM, own signals", stopped_under_load, OWN_SIGNALS),
        ("master, own signals", master_killed, OWN_SIGNALS),
    ],
}


def prove(name, configuration):
    """Rows of the table: proof, whether it holds, what is told."""
    rows = []
    binary = os.path.join(ROOT, "Platforms/Frameworks", name, ".build", configuration, SERVERS[name])
    for title, proof, arguments in PROOFS + MORE_PROOFS.get(name, []):
        try:
            holds, text = True, proof(binary, arguments)
        except Failure as failure:
            holds, text = False, str(failure)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            holds, text = False, f"{type(error).__name__}: {error}"
        print(f"  {'ok  ' if holds else 'FAIL'}  {title}: {text}", flush=True)
        rows.append((title, holds, text))
    if name in SCRIPTS:
        script = os.path.join(ROOT, "Platforms/Frameworks", name, SCRIPTS[name])
        result = subprocess.run([script, configuration], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                check=False)
        holds = result.returncode == 0
        last = (result.stdout.splitlines() or ["nothing said"])[-1]
        text = f"{result.stdout.count(chr(10) + 'ok ')} checks" if holds else last
        print(f"  {'ok  ' if holds else 'FAIL'}  {SCRIPTS[name]}: {text}", flush=True)
        rows.append((SCRIPTS[name], holds, text))
    return rows


# ---- Against one process


def bench(names, rounds, seconds):
    children = len(os.sched_getaffinity(0))
    print(f"\n{children} processors, {rounds} rounds of {seconds} s in turn, medians; `wrk -t2` on the same machine\n")
    print("| server | connections | processes | requests/s | p50 ms | p99 ms | CPU µs/request | errors |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        binary = os.path.join(ROOT, "Platforms/Frameworks", name, ".build", "release", SERVERS[name])
        arguments = {
            f"{children}, Prefork": ["--children", str(children)],
            f"{children}, Prefork, a processor each": ["--children", str(children), "--affinity", "onePerChild"],
            "1": ["--single"],
        }
        with contextlib.ExitStack() as stack:
            servers, ports = [], {}
            for title, words in arguments.items():
                server = stack.enter_context(Server(binary, *words))
                servers.append((title, server))
                ports[server] = server.listening()
                if "--children" in words:
                    server.wait_for("ready after", children)
            bench_rows(name, servers, ports, rounds, seconds)


def bench_rows(name, servers, ports, rounds, seconds):
    for connections in (64, 512):
        results = {title: [] for title, _ in servers}
        for number in range(rounds):
            # Each begins a round in turn: what the machine does beside hits all of them.
            first = number % len(servers)
            for title, server in servers[first:] + servers[:first]:
                if number == 0:  # Warm.
                    run_wrk(ports[server], connections, 1)
                pids = [server.pid, *server.children()]
                before = sum(processor_time(pid) for pid in pids)
                count, rate, half, most, faults = run_wrk(ports[server], connections, seconds)
                used = sum(processor_time(pid) for pid in pids) - before
                results[title].append((rate, half, most, used / count * 1e6, faults))
        for title, _ in servers:
            rows = results[title]
            rate, half, most, cost = (statistics.median(row[column] for row in rows) for column in range(4))
            faults = "; ".join(sorted({row[4] for row in rows if row[4]})) or "none"
            print(f"| {name} | {connections} | {title} | {rate:.0f} | {half:.2f} | {most:.2f} | {cost:.1f} | {faults} |",
                  flush=True)


def build(name, configuration, command="build"):
    start = time.monotonic()
    result = subprocess.run(
        ["swift", command, "--package-path", os.path.join(ROOT, "Platforms/Frameworks", name), "-c", configuration],
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
    parser.add_argument("--skip-build", action="store_true", help="take the servers as they were built")
    parser.add_argument("--bench", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    folders = [name for name in dict.fromkeys([*SERVERS, *COMMANDS]) if os.path.isdir(os.path.join(ROOT, "Platforms/Frameworks", name))]
    unknown = [name for name in options.names if name not in folders]
    if unknown:
        parser.error(f"no such package: {', '.join(unknown)}; there are {', '.join(folders)}")
    for program in ("swift", "curl", "wrk", "openssl"):
        if not shutil.which(program):
            parser.error(f"{program} is missing")
    names = options.names or folders
    configurations = ["debug"] if options.debug else ["release"] if options.release else ["debug", "release"]

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        parser.error("prctl(PR_SET_CHILD_SUBREAPER) failed")
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
