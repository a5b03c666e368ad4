#!/usr/bin/env python3
"""Compares sharded with shared listeners: throughput and latency by wrk, interleaved in one run.

    Tests/Benchmarks/listening.py [ROUNDS]    5 rounds by default, of 4 s for each load; three minutes, and the build

Loads: connections that stay open, and (`close`) a new connection for each request.
"""
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../CI"))
from support import Failure, expect, fleet, interleaved, needs, run_wrk, swift_product  # noqa: E402

SECONDS = 4
KINDS = ("sharded", "shared")


def measure(program, kind, connections, headers):
    """Starts a fleet for each sample, because the distribution of keep-alive connections is a matter of luck."""
    server, port = fleet(program, os.cpu_count(), "--listening", kind)
    with server:
        result = run_wrk(port, connections, SECONDS, threads=1, headers=headers)
        expect(not result.faults, result.faults)
        server.stop()
        return result.rate, result.p50 * 1000, result.p99 * 1000


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    needs("swift=", "wrk")
    program = swift_product("hello-prefork")
    print("| wrk | | sharded | shared | sharded / shared |\n|---|---|---|---|---|")
    for connections, closing in ((64, ""), (512, ""), (64, " close"), (512, " close")):
        headers = ["Connection: close"] if closing else []
        samples = [lambda kind=kind: measure(program, kind, connections, headers) for kind in KINDS]
        sharded, shared = interleaved(rounds, *samples)
        for index, name in enumerate(("requests/s", "p50, us", "p99, us")):
            ones, others = ([sample[index] for sample in taken] for taken in (sharded, shared))
            ratios = [one / other for one, other in zip(ones, others)]
            ratio = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"
            medians = [f"{statistics.median(values):.0f}" for values in (ones, others)]
            print("| " + " | ".join([f"-c{connections}{closing}", name, *medians, ratio]) + " |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"failed: {failure}")
