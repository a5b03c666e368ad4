#!/usr/bin/env python3
"""Kills masters with SIGKILL in the first 50 ms of their lives, on busy processors. Fails if a child lives a second
longer. Prints what is known of such a child: its status, system call, stack and descriptors (proc(5)), and a backtrace
if gdb is installed.

    CI/young.py [N]    N masters (100,000 by default), some thirty a second
"""
import os
import random
import signal
import subprocess
import sys
import time

from support import HOST, become_subreaper, needs, swift_product

WORKERS = 2
CHILDREN = 4
YOUNG = 0.05  # Seconds.
PATIENCE = 1  # Seconds that a child may live on.


def describe(pid):
    for name in ("status", "wchan", "syscall", "stack"):
        try:
            with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
                print(f"--- {name}\n{file.read()}", flush=True)
        except OSError as error:
            print(f"--- {name}: {error}", flush=True)
    for number in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
        print(f"fd {number} -> {os.readlink(f'/proc/{pid}/fd/{number}')}", flush=True)
    subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt"], check=False)


def children():
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def kill_one(program, environment):
    """Whether a child lived too long. Orphans come to this process, so it sees each of them end."""
    master = os.posix_spawn(
        program, [program, "--children", str(CHILDREN), f"{HOST}:0"], environment,
        file_actions=[(os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
    end = time.monotonic() + random.uniform(0, YOUNG)
    while time.monotonic() < end:  # Spins, because sleeps are coarser, and to keep the processor busy.
        pass
    os.kill(master, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.0005)
        except ChildProcessError:
            return False
    for pid in children():
        print(f"child {pid} of {master} lives after {PATIENCE} s", flush=True)
        describe(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return True


def work(program, count):
    become_subreaper()
    environment = {**os.environ, "SWIFT_BACKTRACE": "enable=no"}
    os._exit(min(100, sum(kill_one(program, environment) for _ in range(count))))


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    needs("swift=")
    program = swift_product("hello-prefork")
    start = time.monotonic()
    workers = []
    for _ in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            work(program, count // WORKERS)
        workers.append(pid)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers]
    print(f"{count} masters killed in {time.monotonic() - start:.0f} s; children that lived on: {sum(statuses)}")
    sys.exit(any(statuses))


main()
