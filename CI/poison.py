#!/usr/bin/env python3
"""Crashes children by requests while clients ask for answers, and prints what the clients get. Fails if hello-prefork
misses a target. Compares it with gunicorn, whose workers kill themselves, and nginx, whose workers are killed from
outside, if they are installed. Each server has 4 workers.

    CI/poison.py [SECONDS [WORD ...]]    SECONDS of poison in each run (60 by default); only runs whose name contains
                                         each WORD

Then it kills each child right after it is ready, as if the program were broken, in a fleet that had been up. Fails if
that takes more than a tenth of a processor after the first 30 s, or if a slot is not ready 30 s after it ends.
"""
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

from support import (
    DEADLINE, HOST, Clients, Failure, Server, children_of, expect, find_nginx, free_port, gunicorn_command, needs,
    nginx_command, request, state_and_parent, swift_product, until)

WORKERS = 4
PROBES = 40  # Enough to reach each of 4 children almost always.
CLIENTS = 4
PAUSE = 0.005  # Seconds between the requests of a client.
RATES = (1, 5, 20, 50)  # Crashes per second.
SHARE = {1: 0.999, 5: 0.999, 20: 0.99, 50: 0.99}  # Of the good requests, at least.
P99 = {1: 0.25, 5: 0.25}  # Seconds.
SLOWEST = 2  # Seconds.
RECOVERED = 2  # Seconds after the last crash.
BROKEN = 30  # Seconds before the rule for broken programs must hold, and after the program is mended.
PROCESSOR = 0.1
SETTLED = 1  # Seconds, the default of readiness.settleTime.
AGE = 0.03  # Seconds, after which a child of a broken program dies. It is ready after a few milliseconds.

APPLICATION = """
import os, signal

def app(environ, start_response):
    if environ["PATH_INFO"] == "/crash":
        os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
    return [b"Hello world!"]
"""


class Good(Clients):
    """Clients that open a connection for each request and note each outcome and how long it took."""

    def __init__(self, port):
        self.port, self.outcomes, self.times = port, {}, []
        self.lock = threading.Lock()
        super().__init__(self.run, range(CLIENTS))

    def run(self, _):
        while not self.over.is_set():
            start = time.monotonic()
            outcome, _ = request(self.port, patience=20)
            taken = time.monotonic() - start
            with self.lock:
                self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
                self.times.append(taken)
            time.sleep(PAUSE)


def all_answer(server, port):
    """Whether each slot has a child that answers. The log may leave out lines when there are many."""
    answers = {request(port, "/pid")[1] for _ in range(PROBES)}
    return len(answers & {str(pid) for pid in server.children()}) == WORKERS


def all_there(server, _):
    return len(server.children()) == WORKERS


def crash_by_request(_, port):
    request(port, "/crash")


def crash_from_outside(server, _):
    workers = children_of(server.pid)
    if workers:
        os.kill(random.choice(workers), signal.SIGKILL)  # The master alone reaps them: at worst it is a zombie.


def run(server, port, rate, seconds, crash, recovered):
    """One line of the table, and the faults."""
    good = Good(port)
    until(lambda: good.outcomes.get("answered", 0) > 100, "100 answers")
    start = time.monotonic()
    crashes = []
    for number in range(int(rate * seconds)):
        time.sleep(max(0, start + number / rate - time.monotonic()))
        # In threads of their own: a slow crash must not hold up the next one.
        crashes.append(threading.Thread(target=crash, args=(server, port), daemon=True))
        crashes[-1].start()
    for thread in crashes:
        thread.join(DEADLINE)
    end = time.monotonic()
    taken = None
    try:
        until(lambda: recovered(server, port), "all workers are back", RECOVERED)
        taken = time.monotonic() - end
    except Failure:
        pass
    good.stop()
    alive = server.process.poll() is None
    times, counts = sorted(good.times), good.outcomes
    total, answered = len(times), counts.get("answered", 0)
    share, p99 = answered / total, times[int(0.99 * (total - 1))]
    row = [f"{rate}/s", str(answered), str(counts.get("cut", 0)), str(counts.get("refused", 0)),
           str(counts.get("ignored", 0)), f"{100 * share:.2f} %", f"{1000 * p99:.0f} ms", f"{1000 * times[-1]:.0f} ms",
           "no" if taken is None else f"{taken:.2f} s"]
    faults = []
    if share < SHARE[rate]:
        faults.append(f"only {100 * share:.2f} % answered")
    if p99 > P99.get(rate, SLOWEST):
        faults.append(f"p99 is {1000 * p99:.0f} ms")
    if times[-1] > SLOWEST:
        faults.append(f"a request took {times[-1]:.1f} s")
    if counts.get("refused") or counts.get("ignored"):
        faults.append("connections were refused or ignored")
    if taken is None:
        faults.append(f"not all slots were ready {RECOVERED} s after the last crash")
    if not alive:
        faults.append("the fleet has ended")
    return row, faults


def processor_time(pid):
    """Seconds of the process and of the children that it has waited for."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def break_children(server, over):
    """Kills each child soon after it is ready, until `over` is set. The log may leave out that it is."""
    seen = {}
    while not over.wait(0.002):
        for pid in server.children():
            first = seen.setdefault(pid, time.monotonic())
            # Safe: it is the master's child, and only this process kills such children.
            if time.monotonic() - first > AGE and state_and_parent(pid) != ("Z", server.pid):
                os.kill(pid, signal.SIGKILL)
                seen[pid] = float("inf")


def broken_program(program, seconds):
    """The share of a processor, and the time until all slots were ready again."""
    with Server(program, "--children", str(WORKERS), f"{HOST}:0") as server:
        server.wait_for("ready after", WORKERS)
        port = server.listening()
        time.sleep(2 * SETTLED)  # From then on all of them have been up.
        over = threading.Event()
        breaking = threading.Thread(target=break_children, args=(server, over), daemon=True)
        breaking.start()
        time.sleep(BROKEN)
        before, begin = processor_time(server.pid), time.monotonic()
        lines = len(server.lines)
        time.sleep(seconds)
        share = (processor_time(server.pid) - before) / (time.monotonic() - begin)
        expect(len(server.lines) > lines, "no child has died")
        over.set()
        breaking.join()
        mended = time.monotonic()
        until(lambda: all_answer(server, port), "all slots are ready", BROKEN)
        return share, time.monotonic() - mended


def servers(program):
    """Names, commands by port and directory, environments, ways to crash, and when all workers are back."""
    for listening, readiness, traces in itertools.product(
            ("sharded", "shared"), ("implicit", "explicit"), ("default", "off")):
        yield (f"hello-prefork, {listening}, {readiness}, backtraces {traces}",
               lambda port, _, listening=listening, readiness=readiness: [
                   program, "--children", str(WORKERS), "--listening", listening, "--readiness", readiness,
                   f"{HOST}:{port}"],
               {"SWIFT_BACKTRACE": "enable=no"} if traces == "off" else {},
               crash_by_request, all_answer)
    if shutil.which("gunicorn"):
        def gunicorn(port, directory):
            return gunicorn_command(port, directory, WORKERS, APPLICATION, "-k", "gthread", "--threads", "4")
        yield "gunicorn", gunicorn, {}, crash_by_request, all_there
    if find_nginx():
        def nginx(port, directory):
            return nginx_command(port, directory, WORKERS)
        yield "nginx", nginx, {}, crash_from_outside, all_there


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    words = sys.argv[2:]
    needs("swift=")
    program = swift_product("hello-prefork")
    columns = ["poison", "answered", "cut", "refused", "ignored", "share", "p99", "slowest", "recovered"]
    print("| server | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|", flush=True)
    missed = []
    for rate in RATES:
        for name, command, environment, crash, recovered in servers(program):
            if not all(word in f"{name}, {rate}/s" for word in words):
                continue
            with tempfile.TemporaryDirectory() as directory:
                port = free_port()
                os.environ.update(environment)
                try:
                    server = Server(*command(port, directory))
                finally:
                    for key in environment:
                        del os.environ[key]
                with server:
                    until(lambda: request(port)[0] == "answered" and recovered(server, port), "an answer")
                    row, faults = run(server, port, rate, seconds, crash, recovered)
            print(f"| {name} | " + " | ".join(row) + " |", flush=True)
            if name.startswith("hello-prefork"):
                missed += [f"{name}, {rate}/s: {fault}" for fault in faults]
    if all(word in "broken program" for word in words):
        share, taken = broken_program(program, seconds)
        print(f"a broken program: {share:.3f} of a processor after the first {BROKEN} s; {taken:.1f} s until all slots "
              "were ready after it was mended")
        if share > PROCESSOR:
            missed.append(f"a broken program takes {share:.3f} of a processor")
    if missed:
        sys.exit("poison:\n" + "\n".join(missed))


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"poison: {failure}")
