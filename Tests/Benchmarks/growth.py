#!/usr/bin/env python3
"""Measures what a fleet costs its master as a function of the number of children, for the present tree and for older
commits, interleaved in one run. Exits with status 1 if a target is missed. README.md beside this file describes it.

    Tests/Benchmarks/growth.py [--sizes 8,64,512,2048] [--rounds 5] [--against COMMIT] [--without-pidfd]
"""
import argparse
import ctypes
import os
import re
import resource
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../CI"))
from support import (  # noqa: E402
    HOST, ROOT, Failure, become_subreaper, expect, interleaved, needs, swift_product, sweep, wait_readable)

PATIENCE = 180  # Seconds for any single wait.
PIPE = 1 << 20  # The most bytes of the log that may wait for this process.
SINGLE_KILLS = 20
TABLES = 5
PROVEN = 1.3  # Seconds until a child counts as proven, and its successor is started at once.

# A child with two descriptors, beside a few of the master's own.
DESCRIPTORS = 3 * 4096 + 256


def now():
    return time.monotonic()


# ---- Without pidfd_open(2)


class Filter(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def deny_pidfd():
    """Makes pidfd_open(2) fail with EPERM in this process and what it starts, as old container engines do."""
    load, equal, result = 0x20, 0x15, 0x06
    instructions = b"".join(
        struct.pack("=HBBI", *instruction) for instruction in (
            (load, 0, 0, 0),  # seccomp_data.nr
            (equal, 0, 1, 434),
            (result, 0, 0, 0x0005_0001),  # SECCOMP_RET_ERRNO, EPERM
            (result, 0, 0, 0x7FFF_0000)))  # SECCOMP_RET_ALLOW
    libc = ctypes.CDLL(None, use_errno=True)
    program = Filter(len(instructions) // 8, instructions)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    if libc.prctl(22, 2, ctypes.byref(program), 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        os._exit(1)


# ---- A fleet


class Fleet:
    """A master with its log, read only when asked."""

    def __init__(self, program, size, without_pidfd, listening="automatic"):
        self.size, self.text = size, ""
        self.log, log_end = os.pipe()
        fcntl_set_pipe_size(log_end)
        self.started = now()
        self.process = subprocess.Popen(
            [program, "--children", str(size), "--listening", listening, f"{HOST}:0"], stdin=subprocess.DEVNULL,
            stdout=log_end, stderr=log_end, preexec_fn=deny_pidfd if without_pidfd else None)
        self.pid = self.process.pid
        os.close(log_end)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        sweep()
        os.close(self.log)

    def read(self, end):
        wait_readable(self.log, end)
        part = os.read(self.log, PIPE)
        expect(part, f"the server has exited:\n{self.text[-2000:]}")
        self.text += part.decode()

    def await_log(self, text, count=1, start=0):
        """Waits until the log, from this place on, has the text so often."""
        end = now() + PATIENCE
        while self.text.count(text, start) < count:
            try:
                self.read(end)
            except Failure as failure:
                raise Failure(f"{self.text.count(text, start)} x {text!r} of {count}: {failure}") from None

    def processor_time(self):
        """Milliseconds of the master's only thread (proc(5), schedstat)."""
        with open(f"/proc/{self.pid}/schedstat") as file:
            return int(file.read().split()[0]) / 1e6

    def children(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as file:
            return {int(pid) for pid in file.read().split()}

    def table(self):
        """Asks for the status table. The pids of ready children, and how long the table took."""
        begin, place = now(), len(self.text)
        os.kill(self.pid, signal.SIGUSR1)
        end = now() + PATIENCE
        last = re.compile(rf"  {self.size - 1} +\S.*\n")
        while not ((head := self.text.find("status: master", place)) >= 0 and last.search(self.text, head)):
            self.read(end)
        taken = now() - begin
        rows = re.findall(r"  \d+ +ready +(\d+) ", self.text[self.text.index("status: master", place):])
        return {int(pid) for pid in rows}, taken

    def await_children(self, gone):
        """Waits until all slots have ready children, none of which is one of `gone`."""
        end = now() + PATIENCE
        while True:
            pids = self.children()
            if len(pids) == self.size and not pids & gone:
                ready, _ = self.table()
                if len(ready) == self.size and not ready & gone:
                    return
            expect(now() < end, "the children do not come back")
            time.sleep(0.02 if self.size < 500 else 0.05)
            self.drain()

    def drain(self):
        """Reads what is there, so that the pipe has room."""
        while True:
            try:
                self.read(now())
            except Failure:
                return


def fcntl_set_pipe_size(descriptor):
    import fcntl
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE)


# ---- One sample: all measurements of one fleet


def sample(program, size, without_pidfd):
    found = {}
    with Fleet(program, size, without_pidfd) as fleet:
        fleet.await_log(" ready after ", size)
        found["ready"] = 1000 * (now() - fleet.started)
        found["start cpu"] = fleet.processor_time() / size
        time.sleep(PROVEN)
        fleet.drain()

        before = fleet.processor_time()
        found["table"] = min(1000 * fleet.table()[1] for _ in range(TABLES))
        found["table cpu"] = (fleet.processor_time() - before) / TABLES

        pids = sorted(fleet.children())
        victims = pids[::max(1, size // SINGLE_KILLS)][:SINGLE_KILLS]
        place, before = len(fleet.text), fleet.processor_time()
        for count, pid in enumerate(victims, 1):
            os.kill(pid, signal.SIGKILL)
            fleet.await_log(" ready after ", count, place)
        found["kill cpu"] = (fleet.processor_time() - before) / len(victims)

        time.sleep(PROVEN)
        fleet.drain()
        gone = fleet.children()
        expect(len(gone) == size, f"{len(gone)} children")
        begin, before = now(), fleet.processor_time()
        for pid in gone:
            os.kill(pid, signal.SIGKILL)
        fleet.await_children(gone)
        found["back"] = 1000 * (now() - begin)
        found["back cpu"] = (fleet.processor_time() - before) / size
        found["back / ready"] = found["back"] / found["ready"]

        time.sleep(PROVEN)
        fleet.drain()
        begin = now()
        fleet.process.terminate()
        status = fleet.process.wait(PATIENCE)
        found["stop"] = 1000 * (now() - begin)
        expect(status == 0, f"exit status {status}")
    return found


ROWS = [
    ("ready", "all children ready, ms"),
    ("start cpu", "master's CPU for the start, per child, ms"),
    ("kill cpu", "master's CPU for a killed child, ms"),
    ("back", "all killed at once, until all are back, ms"),
    ("back / ready", "the same, of the first start"),
    ("back cpu", "the same, master's CPU per child, ms"),
    ("stop", "stop of all, idle, ms"),
    ("table", "status table, ms"),
    ("table cpu", "status table, master's CPU, ms"),
]


# ---- The report


def median(samples, key):
    return statistics.median(found[key] for found in samples)


def targets(medians, without_pidfd):
    """What issue and README ask for: a text, what was found, the limit."""
    factor = 2 if without_pidfd else 1
    sizes = sorted(medians)
    least, most = sizes[0], sizes[-1]
    if {64, 4096} <= set(sizes):
        yield "4096 children ready, of 64", medians[4096]["ready"] / medians[64]["ready"], 64 * factor
    if 2048 in sizes:
        found = medians[2048]
        if 8 in sizes:
            yield "CPU per child at start, 2048 of 8", found["start cpu"] / medians[8]["start cpu"], 1.5 * factor
        yield "CPU per killed child at 2048, ms", found["kill cpu"], 1 * factor
        yield "stop of 2048, ms", found["stop"], 600 * factor
        yield "2048 back, of the first start", found["back / ready"], 1.3 * factor
        yield "status table of 2048, ms", found["table"], 2 * factor
    if least == most:
        yield f"{most} back, of the first start", medians[most]["back / ready"], 1.3 * factor


def report(names, sizes, results, without_pidfd):
    print("\n| | children | " + " | ".join(names) + (" | ratio |" if len(names) > 1 else " |"))
    print("|---|---|" + "---|" * (len(names) + (len(names) > 1)))
    for key, title in ROWS:
        for size in sizes:
            values = [median(results[name, size], key) for name in names]
            cells = [f"{value:.0f}" if value >= 100 else f"{value:.2f}" for value in values]
            if len(names) > 1:
                cells.append(f"{values[0] / values[1]:.2f}")
            print(f"| {title} | {size} | " + " | ".join(cells) + " |")
    medians = {size: {key: median(results[names[0], size], key) for key, _ in ROWS} for size in sizes}
    missed = False
    print("\n| target | found | limit | |\n|---|---|---|---|")
    for title, value, limit in targets(medians, without_pidfd):
        missed = missed or value > limit
        print(f"| {title} | {value:.2f} | {limit} | {'ok' if value <= limit else 'MISSED'} |")
    return missed


def build(commit, folder):
    """hello-prefork of that commit."""
    tree = os.path.join(folder, commit)
    os.mkdir(tree)
    archive = subprocess.run(["git", "-C", ROOT, "archive", commit], check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "-x", "-C", tree], check=True, input=archive)
    return swift_product("hello-prefork", tree)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="8,64,512,2048")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", default="", help="a commit, or the path of a built hello-prefork")
    parser.add_argument("--without-pidfd", action="store_true")
    options = parser.parse_args()
    needs("swift=")
    become_subreaper()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, most), most))
    sizes = [int(size) for size in options.sizes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        programs = {"now": swift_product("hello-prefork")}
        if options.against:
            name = os.path.basename(options.against)
            is_path = os.path.exists(options.against)
            programs[name] = options.against if is_path else build(options.against, folder)
        names = list(programs)
        results = {}
        for size in sizes:
            samples = [lambda path=path: sample(path, size, options.without_pidfd) for path in programs.values()]
            for name, taken in zip(names, interleaved(options.rounds, *samples)):
                results[name, size] = taken
            print(f"{size} children measured", file=sys.stderr, flush=True)
        return report(names, sizes, results, options.without_pidfd)


if __name__ == "__main__":
    try:
        sys.exit(1 if main() else 0)
    except Failure as failure:
        sys.exit(f"failed: {failure}")
