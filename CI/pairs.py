#!/usr/bin/env python3
"""Starts two fleets on one address at the same moment, again and again. Fails unless exactly one of them listens and
the other one waits.

    CI/pairs.py [N]    N pairs for each kind of listener (500 by default), 0.1 s a pair

Then strace holds the first master up in each of its system calls from the socket to the line "listening on", while the
second one starts. Both fleets want to serve: when the winner stops, the other one takes over.
"""
import os
import re
import signal
import sys
import tempfile
import time

from support import HOST, Failure, Server, become_subreaper, expect, free_port, needs, request, swift_product, until

MODES = ("shared", "sharded")
HELD = 700_000  # Microseconds. The second master needs a few milliseconds.
LISTENING, WAITING = r"listening on ", r"is in use; trying again"


class Gated(Server):
    """A server that starts when the write end of `gate` is closed."""

    def __init__(self, gate, *command):
        super().__init__("/bin/sh", "-c", 'read -r _; exec "$0" "$@"', *command, stdin=gate)


def arguments(program, mode, port):
    return [program, "--children", "1", "--listening", mode, "--grace", "1", f"{HOST}:{port}"]


def has_decided(server):
    return server.find(LISTENING) or server.find(WAITING)


def judge(pair, what):
    """The winner and the loser."""
    until(lambda: all(has_decided(server) for server in pair), f"a decision ({what})")
    winners = [server for server in pair if server.find(LISTENING)]
    expect(len(winners) == 1, f"{len(winners)} of two masters listen ({what})")
    losers = [server for server in pair if server not in winners]
    return winners[0], losers[0]


def pair_at_once(program, mode):
    command = arguments(program, mode, free_port())
    readable, writable = os.pipe()
    with Gated(readable, *command) as first, Gated(readable, *command) as second:
        os.close(readable)
        os.close(writable)
        judge((first, second), mode)


def trace(directory, *options):
    return ["strace", "-f", "-qq", "-o", os.path.join(directory, "trace"), *options, "--"]


def traced_calls(directory):
    """The system calls of the first process, as far as they are written by now."""
    try:
        with open(os.path.join(directory, "trace"), encoding="utf-8", errors="replace") as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        return []
    owner = lines[0].split(" ")[0]
    return [line.split(" ", 1)[1].lstrip() for line in lines if line.startswith(f"{owner} ")]


def calls_to_hold(program, mode):
    """Each call from the listener's socket to the log line: its name, how often the process had called it, its text."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        with Server(*trace(directory), *arguments(program, mode, port)) as server:
            server.wait_for(LISTENING)
        calls = [call for call in traced_calls(directory) if re.match(r"\w+\(", call)]
    bound = next(index for index, call in enumerate(calls) if call.startswith("bind(") and f"htons({port})" in call)
    first = max(index for index, call in enumerate(calls[:bound]) if call.startswith("socket(AF_INET"))
    last = next(index for index, call in enumerate(calls) if "listening on" in call)
    if is_unusual(calls[:first]):
        return calls_to_hold(program, mode)
    names = [call.split("(")[0] for call in calls[:last]]
    return [(names[index], names[:index + 1].count(names[index]), calls[index]) for index in range(first, last)]


def is_unusual(calls):
    """The probe for sharding connects until both of its sockets had a connection. After more than two attempts, the
    counts of the calls behind it are others."""
    return sum(call.startswith("connect(") for call in calls) > 2


def pair_with_one_held(program, mode, name, count):
    port = free_port()
    command = arguments(program, mode, port)
    with tempfile.TemporaryDirectory() as directory:
        hold = f"inject={name}:delay_enter={HELD}:when={count}"
        with Server(*trace(directory, "-e", hold), *command) as first:
            # strace writes a call when it begins, and ends the line when the call returns.
            until(lambda: is_held(directory, name, count), "the held call")
            if is_unusual(traced_calls(directory)):
                return pair_with_one_held(program, mode, name, count)
            with Server(*command) as second:
                until(lambda: has_decided(second), "the second master's decision")
                in_time = not any("(DELAYED)" in call for call in traced_calls(directory))
                winner, loser = judge((first, second), f"{mode}, {name} {count}")
                master = int(winner.find(r"prefork\[(\d+)\]")[0].group(1))
                winner.wait_for("ready after")
                ready = {int(match.group(1)) for match in winner.find(r"child (\d+) .* ready after")}
                for _ in range(10):
                    outcome, body = request(port, "/pid")
                    expect(outcome == "answered" and int(body) in ready, f"{outcome} by {body}, not by {ready}")
                os.kill(master, signal.SIGTERM)
                loser.wait_for(LISTENING)
        expect(any("(DELAYED)" in call for call in traced_calls(directory)), f"{name} {count} was not held")
    # On a busy machine the second one may have come too late.
    return None if in_time else pair_with_one_held(program, mode, name, count)


def is_held(directory, name, count):
    calls = [call.split("(")[0] for call in traced_calls(directory)]
    return calls.count(name) >= count


def main():
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    needs("swift=", "strace")
    program = swift_product("hello-prefork")
    become_subreaper()
    try:
        for mode in MODES:
            start = time.monotonic()
            for _ in range(pairs):
                pair_at_once(program, mode)
            print(f"{mode}: {pairs} pairs, exactly one master listened in each ({time.monotonic() - start:.0f} s)")
            held = calls_to_hold(program, mode)
            for name, count, text in held:
                pair_with_one_held(program, mode, name, count)
                print(f"{mode}: held in {text[:90]}")
            print(f"{mode}: {len(held)} calls held, exactly one master listened each time")
    except Failure as failure:
        sys.exit(f"pairs: {failure}")


main()
