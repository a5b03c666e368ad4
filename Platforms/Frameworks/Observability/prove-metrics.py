#!/usr/bin/env python3
"""Proves that a real Prometheus collects the metrics of every child and of the master, with the configuration in this
folder: while the fleet serves, through a restart under load, a crash and a resize. Listens on 127.0.0.1.

    ./prove-metrics.py [debug|release]    debug by default; the build, and 15 s
"""
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, "../../../CI"))
from support import (  # noqa: E402
    DEADLINE, HOST, Failure, Load, expect, fleet, free_port, needs, request, until)
import socket  # noqa: E402

CHILDREN = 4
REQUESTS = 400
# Prometheus collects more often than the file says, so that the proof is short.
INTERVAL = "200ms"


def fetch(port, path="/metrics"):
    with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=DEADLINE) as answer:
        return answer.read().decode()


def answers(port):
    """Whether the endpoint listens. That of a child opens after the child is ready, and a successor's after the old
    child's has closed."""
    with socket.socket() as connection:
        return connection.connect_ex((HOST, port)) == 0


def value(text, name):
    """The sum of the samples of a metric."""
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    expect(found, f"no {name} in {text}")
    return sum(float(sample) for sample in found)


def free_range(count):
    """The first of `count` free ports in a row, below those that the kernel gives to clients."""
    for _ in range(100):
        first = random.randrange(10_000, 32_000)
        sockets = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.socket())
                sockets[-1].bind((HOST, port))
            return first
        except OSError:
            continue
        finally:
            for probe in sockets:
                probe.close()
    raise Failure(f"no {count} free ports in a row")


def check(tool, text, *, holds=True):
    """`promtool check` of a text. It must find a fault unless `holds`."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(text)
        file.flush()
        file.seek(0)
        command = ["promtool", "check", tool] + ([file.name] if tool == "config" else [])
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
    expect((done.returncode == 0) == holds, f"promtool check {tool}: {done.stdout}{done.stderr}")


class Prometheus:
    """A Prometheus with the configuration of this folder for other ports. It is gone when the `with` block ends."""

    def __init__(self, text, metrics):
        self.directory = tempfile.TemporaryDirectory()
        self.port = free_port()
        text = text.replace("127.0.0.1:9099", f"{HOST}:{metrics - 1}").replace("15s", INTERVAL)
        expect(text.count(INTERVAL) == 2 and "9099" not in text, "the configuration has changed")
        path = os.path.join(self.directory.name, "prometheus.yml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={self.directory.name}/data",
             f"--web.listen-address={HOST}:{self.port}", "--log.level=warn"],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.terminate()
        self.process.wait(DEADLINE)
        if kind:
            self.output.seek(0)
            print(self.output.read().decode("utf-8", "replace"), file=sys.stderr)
        self.output.close()
        self.directory.cleanup()

    def query(self, expression):
        """The values of an expression."""
        path = "/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        try:
            answer = json.loads(fetch(self.port, path))
        except OSError:
            expect(self.process.poll() is None, "Prometheus has ended")
            return []
        return [float(result["value"][1]) for result in answer["data"]["result"]]

    def wait_for(self, expression, wanted):
        until(lambda: self.query(expression) == [wanted], f"{expression} is {self.query(expression)}, not {wanted}")


def prove(binary):
    with open(os.path.join(FOLDER, "prometheus.yml"), encoding="utf-8") as file:
        configuration = file.read()
    check("config", configuration)
    check("config", configuration.replace("http_sd_configs", "http_sd_config"), holds=False)
    print("ok promtool accepts prometheus.yml, and rejects a wrong name", flush=True)

    metrics = free_range(CHILDREN + 2) + 1
    slots = [metrics + slot for slot in range(CHILDREN)]
    server, port = fleet(binary, CHILDREN, "--metrics", str(metrics))
    with server:
        for _ in range(REQUESTS):
            outcome, _ = request(port)
            expect(outcome == "answered", outcome)
        until(lambda: all(answers(slot) for slot in slots), "the endpoints")
        counts = [value(fetch(slot), "http_requests_total") for slot in slots]
        expect(sum(counts) == REQUESTS and all(counts), f"{REQUESTS} requests were counted as {counts}")
        for each in [metrics - 1, *slots]:
            check("metrics", fetch(each))
        print(f"ok each slot has its own metrics: {REQUESTS} requests are {'+'.join(f'{n:.0f}' for n in counts)}",
              flush=True)
        with Prometheus(configuration, metrics) as prometheus:
            collect(server, port, prometheus, slots)
        server.stop()
        print("ok the fleet stops with status 0", flush=True)


def collect(server, port, prometheus, slots):
    prometheus.wait_for("sum(up)", CHILDREN + 1)
    prometheus.wait_for("sum(http_requests_total)", REQUESTS)
    prometheus.wait_for('sum(prefork_slots{state="ready", generation="1"})', CHILDREN)
    prometheus.wait_for('count(prefork_queue_waiting)', CHILDREN)
    print("ok Prometheus has the master, every child, the states and the queues", flush=True)

    with Load(port, ["/"] * 4) as load:
        load.wait_for(100)
        os.kill(server.pid, signal.SIGHUP)
        server.wait_for(" restarted: ")
        until(lambda: all(answers(slot) and value(fetch(slot), "server_generation") == 2 for slot in slots),
              "the new children's metrics")
        prometheus.wait_for("sum(server_generation)", 2 * CHILDREN)
        outcomes = load.stop()
    expect(set(outcomes) == {"answered"}, f"the restart cost requests: {outcomes}")
    prometheus.wait_for('sum(prefork_slots{state="ready", generation="2"})', CHILDREN)
    prometheus.wait_for('sum(prefork_children_replaced_total{reason="restart"})', CHILDREN)
    prometheus.wait_for('sum(prefork_restarts_total{outcome="restarted"})', 1)
    scrapes = prometheus.query('sum(count_over_time(up{job="children"}[1m]))')[0]
    missed = scrapes - prometheus.query('sum(sum_over_time(up{job="children"}[1m]))')[0]
    expect(missed <= CHILDREN, f"{missed:.0f} of {scrapes:.0f} scrapes failed")
    print(f"ok a restart under load: {outcomes}, {missed:.0f} of {scrapes:.0f} scrapes of children failed", flush=True)

    os.kill(int(request(port, "/pid")[1]), signal.SIGKILL)
    prometheus.wait_for('sum(prefork_children_exited_total{reason="signal 9", expected="false"})', 1)
    prometheus.wait_for("sum(prefork_children_recovered_total)", 1)
    prometheus.wait_for("sum(server_launch)", CHILDREN + 1)  # Each slot had one child before the restart.
    print("ok a killed child and its replacement are counted", flush=True)

    os.kill(server.pid, signal.SIGTTIN)
    prometheus.wait_for('sum(up{job="children"})', CHILDREN + 1)
    os.kill(server.pid, signal.SIGTTOU)
    prometheus.wait_for('count(up{job="children"})', CHILDREN)
    print("ok Prometheus follows a resize", flush=True)


def main():
    configuration = sys.argv[1] if len(sys.argv) > 1 else "debug"
    needs("swift=", "prometheus", "promtool=prometheus")
    built = subprocess.run(
        ["swift", "build", "-c", configuration, "--package-path", FOLDER, "--product", "observability-server"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if built.returncode:
        sys.exit(built.stdout)
    try:
        prove(os.path.join(FOLDER, ".build", configuration, "observability-server"))
    except Failure as failure:
        sys.exit(f"prove-metrics: {failure}")


main()
