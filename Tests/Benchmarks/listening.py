#!/usr/bin/env python3
"""Sharded against shared listeners: throughput and latency with wrk, interleaved in one run. Needs wrk.

    Tests/Benchmarks/listening.py [ROUNDS]     5 rounds of 4 s for each load; some 3 minutes besides the build

Loads: connections that stay, and (`close`) a new connection for each request.
"""
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOST = "127.0.0.1"
SECONDS = 4
KINDS = ("sharded", "shared")
UNITS = {"us": 1, "ms": 1000, "s": 1_000_000}


def start(program, listening):
    server = subprocess.Popen(
        [program, "--children", str(os.cpu_count()), "--listening", listening, f"{HOST}:0"],
        stderr=subprocess.PIPE, text=True)
    port, ready = None, 0
    for line in server.stderr:
        if found := re.search(r"listening on .*:(\d+)", line):
            port = int(found[1])
        ready += " ready after " in line
        if ready == os.cpu_count():
            return server, port
    sys.exit(f"{program} does not start")


def measure(port, connections, headers):
    """Requests a second and microseconds: the median, and what 99 of 100 stay below."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", *headers, f"http://{HOST}:{port}/"]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    if re.search(r"Socket errors|Non-2xx", text):
        sys.exit(text)
    latency = [float(found[1]) * UNITS[found[2]] for found in re.finditer(r"\d+%\s+([\d.]+)(us|ms|s)\n", text)]
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), latency[0], latency[3]


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed")
    build = ["swift", "build", "-c", "release", "--package-path", ROOT, "--product", "hello-prefork"]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    shown = subprocess.run([*build, "--show-bin-path"], check=True, stdout=subprocess.PIPE, text=True)
    program = os.path.join(shown.stdout.strip(), "hello-prefork")
    print("| wrk | | sharded | shared | sharded / shared |\n|---|---|---|---|---|")
    for connections, closing in ((64, ""), (512, ""), (64, " close"), (512, " close")):
        taken = {kind: [] for kind in KINDS}
        for number in range(rounds):
            # Started anew each time: who accepted how many keep-alive connections is a matter of luck.
            for kind in KINDS if number % 2 == 0 else reversed(KINDS):
                server, port = start(program, kind)
                try:
                    taken[kind].append(measure(port, connections, ["-H", "Connection: close"] if closing else []))
                finally:
                    server.send_signal(signal.SIGTERM)
                    server.communicate(timeout=30)
        for index, (name, digits) in enumerate((("requests/s", 0), ("p50, us", 0), ("p99, us", 0))):
            values = {kind: [sample[index] for sample in taken[kind]] for kind in KINDS}
            ratios = [one / other for one, other in zip(values["sharded"], values["shared"])]
            cells = [f"{statistics.median(values[kind]):.{digits}f}" for kind in KINDS]
            ratio = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"
            print(f"| -c{connections}{closing} | {name} | {cells[0]} | {cells[1]} | {ratio} |", flush=True)


main()
