#!/usr/bin/env python3
"""Stops servers again and again while clients open new connections. Prints how many established connections each stop
cuts before they have an answer. Fails if hello-prefork cuts one.

    CI/stops.py [N]    N stops of each server (100 by default), 1.3 s a stop

Compares hello-prefork (sharded and shared, stopped by SIGTERM, and under dumb-init) with nginx (SIGQUIT) and gunicorn
(SIGTERM), as far as they are installed. Each server has 4 workers.
"""
import collections
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from support import (
    HOST, Load, find_nginx, free_port, gunicorn_command, needs, nginx_command, request, swift_product)

CLIENTS = 6
DEADLINE = 90  # Seconds. gunicorn alone gives its workers 30.

APPLICATION = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
    return [b"Hello world!"]
"""


def stop_once(server, directory):
    """What the clients saw of one start and one stop."""
    name, command, number = server
    port = free_port()
    process = subprocess.Popen(
        command(port, directory), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=directory)
    load = None
    try:
        end = time.monotonic() + DEADLINE
        while request(port)[0] != "answered":
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"{name} does not serve")
            time.sleep(0.01)
        load = Load(port, ["/"] * CLIENTS).wait_for(300)
        process.send_signal(number)
        process.wait(DEADLINE)
        return load.stop()
    finally:
        if load:
            load.stop()
        if process.poll() is None:
            process.kill()
            process.wait()


def prefork(listening, program):
    return lambda port, _: [program, "--children", "4", "--listening", listening, f"{HOST}:{port}"]


def wrapped(program):
    """Without the option, dumb-init sends SIGTERM to the children, too, before the master closes admission."""
    plain = prefork("sharded", program)
    return lambda port, directory: ["dumb-init", "--single-child", *plain(port, directory)]


def nginx(option):
    return lambda port, directory: nginx_command(port, directory, 4, option)


def gunicorn(port, directory):
    return gunicorn_command(port, directory, 4, APPLICATION, "--log-level", "critical")


def main():
    stops = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    needs("swift=")
    program = swift_product("hello-prefork")
    servers = [(f"hello-prefork, {kind}", prefork(kind, program), signal.SIGTERM) for kind in ("sharded", "shared")]
    if shutil.which("dumb-init"):
        servers.append(("hello-prefork under dumb-init --single-child", wrapped(program), signal.SIGTERM))
    if find_nginx():
        servers.append(("nginx, QUIT", nginx(""), signal.SIGQUIT))
        servers.append(("nginx, reuseport, QUIT", nginx(" reuseport"), signal.SIGQUIT))
    if shutil.which("gunicorn"):
        servers.append(("gunicorn, TERM", gunicorn, signal.SIGTERM))
    totals = {name: collections.Counter() for name, _, _ in servers}
    for _ in range(stops):
        for server in servers:
            with tempfile.TemporaryDirectory() as directory:
                counts = stop_once(server, directory)
            totals[server[0]] += collections.Counter(stops=1, **counts)
            totals[server[0]]["stops with cuts"] += "cut" in counts
    columns = ["stops", "answered", "cut", "stops with cuts", "ignored", "refused"]
    print("| server | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, total in totals.items():
        print(f"| {name} | " + " | ".join(str(total[column]) for column in columns) + " |")
    if any(total["cut"] for name, total in totals.items() if name.startswith("hello-prefork")):
        sys.exit("hello-prefork cut connections")


main()
