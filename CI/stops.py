#!/usr/bin/env python3
"""Stops servers under a load of new connections, again and again in turn, and prints what each stop cuts: connections that were
established and got no answer. An error where hello-prefork cuts one.

    CI/stops.py [N]    N stops of each (100); hello-prefork sharded and shared by SIGTERM and, where they are installed, nginx by
                    SIGQUIT and gunicorn by SIGTERM beside it. Each with 4 workers. 1.3 s a stop.
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOST = "127.0.0.1"
CLIENTS = 6
DEADLINE = 90  # seconds; gunicorn alone gives its workers 30
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

NGINX = """
daemon off; pid {directory}/pid; worker_processes 4; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
    uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
    server {{ listen {host}:{port}{option}; location / {{ return 200 "Hello world!"; }} }}
}}
"""
APPLICATION = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
    return [b"Hello world!"]
"""


def request(port, patience=0.5):
    """ "answered", "cut" (established, and no answer), "refused", or "ignored": no answer to the SYN within half a second."""
    with socket.socket() as connection:
        connection.settimeout(patience)
        try:
            connection.connect((HOST, port))
        except TimeoutError:
            return "ignored"
        except OSError:
            return "refused"
        connection.settimeout(10)
        try:
            connection.sendall(REQUEST)
            answer = b""
            while b"Hello world!" not in answer:
                part = connection.recv(4096)
                if not part:
                    return "cut"
                answer += part
            return "answered"
        except OSError:
            return "cut"


class Load:
    def __init__(self, port):
        self.port, self.counts, self.over, self.lock = port, {}, threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self.run) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.over.is_set():
            outcome = request(self.port)
            with self.lock:
                self.counts[outcome] = self.counts.get(outcome, 0) + 1
            if outcome == "refused":
                time.sleep(0.001)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        return self.counts


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def stop_once(server, directory):
    """What the clients have seen of one start and stop."""
    name, command, number = server
    port = free_port()
    process = subprocess.Popen(command(port, directory), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=directory)
    load = None
    try:
        end = time.monotonic() + DEADLINE
        while request(port) != "answered":
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"{name} does not serve")
            time.sleep(0.01)
        load = Load(port)
        while load.counts.get("answered", 0) < 300:
            if time.monotonic() > end:
                sys.exit(f"{name} does not answer")
            time.sleep(0.005)
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


def nginx(option):
    def command(port, directory):
        path = os.path.join(directory, "nginx.conf")
        with open(path, "w") as file:
            file.write(NGINX.format(directory=directory, host=HOST, port=port, option=option))
        return [shutil.which("nginx"), "-c", path, "-p", directory]

    return command


def gunicorn(port, directory):
    with open(os.path.join(directory, "application.py"), "w") as file:
        file.write(APPLICATION)
    return [shutil.which("gunicorn"), "-w", "4", "-b", f"{HOST}:{port}", "--log-level", "critical", "application:app"]


def main():
    stops = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    build = ["swift", "build", "-c", "release", "--package-path", ROOT, "--product", "hello-prefork"]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    shown = subprocess.run([*build, "--show-bin-path"], check=True, stdout=subprocess.PIPE, text=True)
    program = os.path.join(shown.stdout.strip(), "hello-prefork")
    servers = [(f"hello-prefork, {kind}", prefork(kind, program), signal.SIGTERM) for kind in ("sharded", "shared")]
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if shutil.which("nginx"):
        servers.append(("nginx, QUIT", nginx(""), signal.SIGQUIT))
        servers.append(("nginx, reuseport, QUIT", nginx(" reuseport"), signal.SIGQUIT))
    if shutil.which("gunicorn"):
        servers.append(("gunicorn, TERM", gunicorn, signal.SIGTERM))
    totals = {name: {"stops": 0, "stops with cuts": 0} for name, _, _ in servers}
    for _ in range(stops):
        for server in servers:
            with tempfile.TemporaryDirectory() as directory:
                counts = stop_once(server, directory)
            total = totals[server[0]]
            total["stops"] += 1
            total["stops with cuts"] += "cut" in counts
            for outcome, count in counts.items():
                total[outcome] = total.get(outcome, 0) + count
    columns = ["stops", "answered", "cut", "stops with cuts", "ignored", "refused"]
    print("| server | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, total in totals.items():
        print(f"| {name} | " + " | ".join(str(total.get(column, 0)) for column in columns) + " |")
    if any(total.get("cut", 0) for name, total in totals.items() if name.startswith("hello-prefork")):
        sys.exit("hello-prefork has cut connections")


main()
