#!/usr/bin/env python3
"""Measures hello-prefork against bare Swift programs that do the same without a library, interleaved in one run. Exits
with status 1 if a target is missed. README.md beside this file describes the targets.

While the time runs, the client waits in the kernel (accept queue, pidfds) and never polls in a loop. So it takes no
processor time from the servers.
"""
import argparse
import os
import re
import signal
import socket
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../CI"))
from support import (  # noqa: E402
    DEADLINE, HOST, Failure, become_subreaper, converse, expect, interleaved, needs, state_and_parent, swift_product,
    sweep, wait_readable)

SETTLE = 15
WINDOW = 10
MOST_IDLE_FLEETS = 5  # They settle side by side.
READY = r"child (\d+) \(slot \d+\) ready"  # In Prefork's log.


def now():
    return time.monotonic()


class Server:
    """A running master with its log, its port and its children. Unlike the servers of support.py, it reads the log only
    when asked."""

    def __init__(self, *command):
        log, log_end = os.pipe()
        input_end, self.input = os.pipe()
        ends = [(input_end, 0), (log_end, 1), (log_end, 2)]
        actions = [(os.POSIX_SPAWN_DUP2, end, number) for end, number in ends]
        self.log, self.text, self.port = log, "", None
        self.started = now()
        self.pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        self.end = self.started + DEADLINE
        os.close(log_end)
        os.close(input_end)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        sweep()
        os.close(self.log)
        os.close(self.input)

    def await_log(self, pattern, count=1):
        """The first group of the first `count` matches."""
        while len(found := re.findall(pattern, self.text)) < count:
            try:
                wait_readable(self.log, self.end)
            except Failure:
                raise Failure(f"the log has no {pattern!r}:\n{self.text}") from None
            read = os.read(self.log, 65536).decode()
            expect(read, f"the server has exited:\n{self.text}")
            self.text += read
        return found[:count]

    def await_port(self):
        self.port = int(self.await_log(rf"listening on {re.escape(HOST)}:(\d+)\n")[0])

    def ask(self):
        """The answer to GET /pid. A connection waits in the accept queue until a child accepts it."""
        while now() < self.end:
            try:
                with socket.socket() as connection:
                    connection.settimeout(max(0.001, self.end - now()))
                    connection.connect((HOST, self.port))
                    return int(converse(connection, "/pid"))
            except TimeoutError:
                break
            except OSError:
                time.sleep(0.0001)  # Refused, reset, or closed without an answer.
        raise Failure(f"no answer before the deadline; the log:\n{self.text}")

    def watch(self, pid):
        """A pidfd of a child. The parent is checked after the pidfd exists, so the pidfd can't belong to a stranger."""
        watch = os.pidfd_open(pid)
        expect(state_and_parent(pid)[1] == self.pid, f"{pid} is not a child of {self.pid}")
        return watch

    def await_answers(self, count):
        """Seconds from the start until each of `count` children has answered. SIGSTOP stops each child after its
        answer, so that the next answer comes from another child. Luck in accept(2) is not measured."""
        seen = set()
        while len(seen) < count:
            pid = self.ask()
            answered = now()
            expect(pid not in seen, f"{pid} answered in spite of SIGSTOP")
            seen.add(pid)
            self.halt(pid)
        return answered - self.started

    def halt(self, pid):
        """Returns when the child has stopped. Until then its accept(2) may still take the next connection."""
        watch = self.watch(pid)
        signal.pidfd_send_signal(watch, signal.SIGSTOP)
        while state_and_parent(pid)[0] != "T":
            expect(now() < self.end, f"{pid} does not stop")
            os.sched_yield()
        os.close(watch)

    def await_ready(self, count):
        """The children's process ids, as soon as Prefork's log says that they serve."""
        return [int(pid) for pid in self.await_log(READY, count)]


# ---- Samples: each function takes one and returns it in milliseconds.


class Programs:
    def __init__(self):
        self.prefork = swift_product("hello-prefork")
        self.bare = swift_product("bare-prefork", f"{HERE}/bare")
        self.pause = swift_product("bare-pause", f"{HERE}/bare")

    def fleet(self, children, listening="automatic"):
        return Server(self.prefork, "--children", str(children), "--listening", listening, f"{HOST}:0")

    def bare_fleet(self, children, *more):
        return Server(self.bare, str(children), *more)


def start_time(server, children):
    """Works with shared listeners only. With sharded ones, the listener of a stopped child could get the connection."""
    with server:
        server.await_port()
        return 1000 * server.await_answers(children)


def ready_time(server, children):
    with server:
        server.await_ready(children)
        return 1000 * (now() - server.started)


def recovery_time(server, log=None):
    """SIGKILL of the only child -> an answer of its replacement. No other process can answer."""
    with server:
        server.await_port()
        if log:
            server.await_log(log)
        old = server.ask()
        watch = server.watch(old)
        start = now()
        signal.pidfd_send_signal(watch, signal.SIGKILL)
        while server.ask() == old:
            pass
        taken = now() - start
        os.close(watch)
        return 1000 * taken


def spawn_time(programs):
    """A byte to the bare parent, which has no child yet -> an answer of the child that it spawns."""
    with programs.bare_fleet(0) as server:
        server.await_port()
        start = now()
        os.write(server.input, b"+")
        server.ask()
        return 1000 * (now() - start)


def death_time(programs):
    """SIGKILL of the master of two children -> both pidfds readable. No client ever connects."""
    with programs.fleet(2) as server:
        server.await_port()
        watches = [server.watch(pid) for pid in server.await_ready(2)]
        # This process is the master's parent and has not reaped it yet.
        start = now()
        os.kill(server.pid, signal.SIGKILL)
        for watch in watches:
            wait_readable(watch, server.end)
        taken = now() - start
        for watch in watches:
            os.close(watch)
        return 1000 * taken


# ---- At rest


def switches(pid):
    """Voluntary context switches of each thread."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as file:
            found[thread] = int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", file.read())[1])
    return found


def resident(pid):
    """Kilobytes. smaps_rollup counts pages. VmRSS of status may lag behind by some pages per processor."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(r"\nRss:\s+(\d+) kB", file.read())[1])


def libraries(pid):
    with open(f"/proc/{pid}/maps") as file:
        return set(re.findall(r"/([^/\s]+\.so[.\d]*)\n", file.read()))


def rest(programs, rounds):
    """Starts fleets and pausing programs in turn and lets them settle side by side."""
    servers, pausing = [], []
    try:
        for _ in range(min(rounds, MOST_IDLE_FLEETS)):
            servers.append(programs.fleet(2))
            pausing.append(os.posix_spawn(programs.pause, [programs.pause], os.environ))
        families = []
        for server in servers:
            server.await_port()
            families.append([server.pid, *server.await_ready(2)])
        time.sleep(SETTLE)
        members = [pid for family in families for pid in family]
        before = {pid: switches(pid) for pid in members}
        time.sleep(WINDOW)
        after = {pid: switches(pid) for pid in members}
        counts = {
            pid: sum(count - before[pid].get(thread, 0) for thread, count in after[pid].items()) for pid in members
        }
        return {
            "master": [counts[family[0]] for family in families],
            "children": [counts[pid] for family in families for pid in family[1:]],
            "threads": [len(after[family[0]]) for family in families],
            "resident": [resident(family[0]) for family in families],
            "pausing": [resident(pid) for pid in pausing],
            "libraries": libraries(pausing[0]),
            "more": libraries(families[0][0]) - libraries(pausing[0]),
        }
    finally:
        sweep()
        for server in servers:
            os.close(server.log)
            os.close(server.input)


# ---- The report


class Report:
    def __init__(self):
        self.missed = False
        self.row("what", "value", "reference", "ratio", "target", "")
        self.row("---", "---", "---", "---", "---", "---")

    def row(self, *cells):
        print("| " + " | ".join(cells) + " |", flush=True)

    def judge(self, what, value, reference, ratio, target, good):
        self.missed = self.missed or not good
        self.row(what, value, reference, ratio, target, "ok" if good else "MISSED")

    def compare(self, what, values, references, limit, unit, digits=1):
        """The ratio is the median of the rounds' ratios, because values of one round were measured side by side."""
        ratios = [value / reference for value, reference in zip(values, references)]
        cells = [what, span(values, digits, unit), span(references, digits, unit), span(ratios, 2)]
        if limit is None:
            self.row(*cells, "", "")
        else:
            self.judge(*cells, f"<= {limit}", statistics.median(ratios) <= limit)


def span(values, digits, unit=""):
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle}{unit} [{low}-{high}]"


def measure(programs, only, rounds):
    report = Report()
    if "a" in only:
        both = interleaved(
            rounds,
            lambda: start_time(programs.fleet(2, "shared"), 2),
            lambda: start_time(programs.bare_fleet(2), 2),
        )
        report.compare("a. start -> both of 2 children have answered", *both, 1.3, " ms")
        for count in (2, 64):
            both = interleaved(
                rounds,
                lambda: ready_time(programs.fleet(count, "sharded"), count),
                lambda: ready_time(programs.fleet(count, "shared"), count),
            )
            what = f"a. start -> all of {count} sharded children ready, reference: shared"
            report.compare(what, *both, None, " ms")
    if "b" in only:
        recoveries, spawns, respawns = interleaved(
            rounds,
            lambda: recovery_time(programs.fleet(1), READY),
            lambda: spawn_time(programs),
            lambda: recovery_time(programs.bare_fleet(1, "respawn")),
        )
        what = "b. SIGKILL of a child -> its replacement has answered"
        report.compare(what + ", reference: a spawn", recoveries, spawns, 1.3, " ms")
        report.compare(what + ", reference: the same", recoveries, respawns, None, " ms")
    if "c" in only:
        [times] = interleaved(rounds, lambda: death_time(programs))
        good = statistics.median(times) < 10
        report.judge("c. SIGKILL of the master -> both children gone", span(times, 2, " ms"), "", "", "< 10 ms", good)
    if "d" in only:
        found = rest(programs, rounds)
        what = f"d. voluntary context switches in {WINDOW} s, each "
        for who in ("master", "children"):
            report.judge(what + who.replace("children", "child"), span(found[who], 0), "", "", "0", not any(found[who]))
        good = set(found["threads"]) == {1}
        report.judge("d. threads of the master", span(found["threads"], 0), "", "", "1", good)
        report.compare("d. resident memory of the master", found["resident"], found["pausing"], 1.3, " kB", 0)
    if "e" in only:
        both = interleaved(
            rounds,
            lambda: start_time(programs.fleet(64, "shared"), 64),
            lambda: start_time(programs.fleet(8, "shared"), 8),
        )
        report.compare("e. start of 64 children, reference: of 8", *both, 10, " ms")
    if "d" in only:
        print(f"\nbare-pause maps {', '.join(sorted(found['libraries']))}.")
        print(f"The master also maps {', '.join(sorted(found['more']))}.")
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="samples of each subject; default 20")
    parser.add_argument("--only", default="a,b,c,d,e", help="which targets; default a,b,c,d,e")
    options = parser.parse_args()
    only = options.only.split(",")
    if options.rounds < 1 or not set(only) <= set("abcde"):
        parser.error("--rounds must be 1 or more, and --only takes letters from a to e")
    needs("swift=")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Runs `sweep`.
    become_subreaper()
    try:
        programs = Programs()
        before = os.getloadavg()[0]
        report = measure(programs, only, options.rounds)
        # On a loaded machine all subjects wait for a processor alike, which brings the ratios nearer to 1.
        print(f"Load average {before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} processors.")
    except Failure as failure:
        sys.exit(f"failed: {failure}")
    finally:
        sweep()
    sys.exit(1 if report.missed else 0)


if __name__ == "__main__":
    main()
