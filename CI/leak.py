#!/usr/bin/env python3
"""Kills the children of one master again and again, as soon as they exist, and looks at what the master holds. Fails if
descriptors, threads or zombies are left, if its memory grows by more than 256 kB after the first thousand recoveries,
or if a recovery takes longer at the end than at the beginning.

    CI/leak.py [N]    N recoveries for each kind of listener (100,000 by default), a few minutes
"""
import os
import re
import signal
import sys
import time

from support import HOST, Failure, Server, expect, needs, state_and_parent, swift_product, until

CHILDREN = 4
FIRST = 1000  # Recoveries before the first look: by then every buffer has its size.
GROWTH = 256  # kB
SLOWER = 1.3
PARTS = 10


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"\nRss:\s+(\d+) kB", file.read())[1])


def holdings(server):
    """Descriptors, threads, zombies and resident kB, when all children are there."""

    def settled():
        pids = children(server.pid)
        return len(pids) == CHILDREN and all(state_and_parent(pid)[0] in "SR" for pid in pids)

    until(settled, "all children are there")
    zombies = sum(state_and_parent(pid)[0] == "Z" for pid in children(server.pid))
    return (len(os.listdir(f"/proc/{server.pid}/fd")), len(os.listdir(f"/proc/{server.pid}/task")), zombies,
            resident(server.pid))


def kill_children(server, count):
    """Seconds for so many recoveries."""
    start, killed, last = time.monotonic(), 0, set()
    while killed < count:
        expect(server.process.poll() is None, f"the fleet has ended after {killed} recoveries")
        found = set(children(server.pid))
        for pid in found - last:
            # Safe: it is the master's child, and only this process kills such children.
            if state_and_parent(pid)[1] == server.pid:
                os.kill(pid, signal.SIGKILL)
                killed += 1
        last = found
        del server.lines[:]
        time.sleep(0.0005)  # The master and its children need the processors.
    return time.monotonic() - start


def run(program, listening, count):
    command = [program, "--children", str(CHILDREN), "--listening", listening, "--recover-threshold", "1000000000",
               "--recover-window", "0", "--recover-interval", "0", f"{HOST}:0"]
    with Server(*command) as server:
        server.wait_for("ready after", CHILDREN)
        kill_children(server, FIRST)
        before = holdings(server)
        times = [kill_children(server, count // PARTS) for _ in range(PARTS)]
        # A start or an end that is still being handled holds descriptors for a moment.
        until(lambda: holdings(server)[:3] == (*before[:2], 0), "descriptors, threads and zombies are as before")
        after = holdings(server)
        first, last = (1000 * seconds / (count // PARTS) for seconds in (times[0], times[-1]))
        print(f"{listening}: {count} recoveries; descriptors {before[0]} -> {after[0]}, threads {before[1]} -> "
              f"{after[1]}, zombies {after[2]}, resident {before[3]} -> {after[3]} kB, {first:.2f} -> {last:.2f} ms "
              "each", flush=True)
        expect(after[3] <= before[3] + GROWTH, f"the master has grown by {after[3] - before[3]} kB")
        expect(last <= SLOWER * first, "a recovery takes longer at the end")
        server.stop()


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    needs("swift=")
    program = swift_product("hello-prefork")
    try:
        for listening in ("sharded", "shared"):
            run(program, listening, count)
    except Failure as failure:
        sys.exit(f"leak: {failure}")


main()
