"""Shared by the Python scripts in CI and Tests/Benchmarks: checks, processes, clients, servers and builds.

Needs Linux and Python 3.9.
"""
import collections
import ctypes
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOST = "127.0.0.1"
DEADLINE = 30  # Seconds for any single wait.
PR_SET_CHILD_SUBREAPER = 36


class Failure(Exception):
    """A check failed. The text says what was seen."""


class Skipped(Exception):
    """A check can't run on this machine. The text says why."""


def expect(condition, text):
    if not condition:
        raise Failure(text)


def until(condition, text, seconds=DEADLINE):
    """Evaluates the condition until it is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        expect(time.monotonic() < end, f"not within {seconds} s: {text}")
        time.sleep(0.01)


def needs(*programs):
    """Installs missing programs, or exits with one line that names them: `needs` of support.sh."""
    script = '. "$1"; shift; needs "$@"'
    command = ["bash", "-c", script, sys.argv[0], os.path.join(ROOT, "CI/support.sh"), *programs]
    status = subprocess.run(command, check=False).returncode
    if status:
        sys.exit(status)


# ---- Builds


def swift_product(product, package=ROOT):
    """Builds the product in release configuration and returns its path."""
    command = ["swift", "build", "-c", "release", "--package-path", package, "--product", product]
    built = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if built.returncode:
        sys.exit(f"{built.stdout}{' '.join(command)} failed")
    # The platform's triple is part of the path.
    shown = subprocess.run([*command, "--show-bin-path"], check=True, stdout=subprocess.PIPE, text=True)
    return os.path.join(shown.stdout.strip(), product)


BUILD_MARK = b"hello-prefork build 0"


def build_text(digit):
    """The answer of that build of hello-prefork to /build."""
    return (BUILD_MARK[:-1] + digit).decode()


def put_build(program, path, digit):
    """Puts a copy of hello-prefork that is another build at the path, as a deploy does it."""
    with open(program, "rb") as file:
        text = file.read()
    expect(text.count(BUILD_MARK) == 1, f"the program has {text.count(BUILD_MARK)} marks")
    with open(f"{path}.new", "wb") as file:
        file.write(text.replace(BUILD_MARK, build_text(digit).encode()))
    os.chmod(f"{path}.new", 0o755)
    os.rename(f"{path}.new", path)


# ---- Processes


def become_subreaper():
    """Makes this process the parent of every descendant whose own parent exits, so that `sweep` finds all of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(ctypes.get_errno())}")


def state_and_parent(pid):
    """The state of the main thread as ps(1) prints it, and the parent. ("X", 0) if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return "X", 0
    state, parent = text[text.rindex(b")") + 2:].split()[:2]
    return state.decode(), int(parent)


def children_of(pid):
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and state_and_parent(name)[1] == pid]


def wait_readable(descriptor, end):
    if not select.select([descriptor], [], [], max(0, end - time.monotonic()))[0]:
        raise Failure("nothing happened before the deadline")


def sweep():
    """Kills and reaps every process below this one, which must be a subreaper. Nothing else reaps them, so none of the
    process ids can belong to another process meanwhile."""
    end = time.monotonic() + DEADLINE
    while pids := children_of(os.getpid()):
        for pid in pids:
            watch = os.pidfd_open(pid)
            try:
                os.kill(pid, signal.SIGKILL)
                wait_readable(watch, end)
                os.waitpid(pid, 0)
            finally:
                os.close(watch)


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


# ---- Servers


class Server:
    """A server whose standard error is read. All of its processes are gone when the `with` block ends."""

    def __init__(self, *command, stdin=subprocess.DEVNULL, pass_fds=()):
        become_subreaper()
        self.lines = []
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=pass_fds)
        self.pid = self.process.pid
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    def find(self, pattern):
        return [match for match in (re.search(pattern, line) for line in list(self.lines)) if match]

    def wait_for(self, pattern, count=1):
        """The matches in the log, as soon as there are `count` of them."""

        def look():
            found = self.find(pattern)
            if len(found) < count and self.process.poll() is not None:
                self.reader.join(DEADLINE)
                raise Failure(f"the server exited with status {self.process.returncode}")
            return found if len(found) >= count else None

        return until(look, f"{count} x '{pattern}' in the log")

    def listening(self):
        return int(self.wait_for(r"listening on \S*:(\d+)$")[0].group(1))

    def children(self):
        return sorted(children_of(self.pid))

    def stop(self):
        """Seconds from SIGTERM to an orderly exit."""
        start = time.monotonic()
        self.process.terminate()
        return self.wait(start)

    def wait(self, start):
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise Failure(f"still running {DEADLINE} s after SIGTERM") from None
        elapsed = time.monotonic() - start
        expect(status == 0, f"exit status {status} instead of 0")
        left = [pid for pid in children_of(os.getpid()) if state_and_parent(pid)[0] != "Z"]
        expect(not left, f"processes left behind: {left}")
        expect(not self.find("killing it"), "a child did not drain in time and was killed")
        return elapsed

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        # The master first: its children then become children of this process.
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)
        sweep()
        self.reader.join(DEADLINE)
        self.process.stderr.close()
        if kind is not None and issubclass(kind, Failure):
            for line in self.lines[-20:]:
                print(f"      | {line}")


def fleet(program, children, *arguments):
    """A server and its port, with all children ready."""
    server = Server(program, "--children", str(children), *arguments, f"{HOST}:0")
    try:
        port = server.listening()
        server.wait_for("ready after", children)
    except BaseException as error:
        server.__exit__(type(error), error, None)
        raise
    return server, port


# ---- Servers of others, to compare with

NGINX = """
daemon off; pid {directory}/pid; worker_processes {workers}; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
    uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
    server {{ listen {host}:{port}{option}; location / {{ return 200 "Hello world!"; }} }}
}}
"""


def find_nginx():
    """Its path, or None. Debian installs it where an ordinary user's PATH does not look."""
    return shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")


def nginx_command(port, directory, workers, option=""):
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write(NGINX.format(directory=directory, host=HOST, port=port, workers=workers, option=option))
    return [find_nginx(), "-c", path, "-p", directory]


def gunicorn_command(port, directory, workers, application, *options):
    """`application` is the source of a module with the WSGI application `app`."""
    with open(os.path.join(directory, "application.py"), "w", encoding="ascii") as file:
        file.write(application)
    return [shutil.which("gunicorn"), "-w", str(workers), "-b", f"{HOST}:{port}", "--chdir", directory, *options,
            "application:app"]


# ---- Clients


def request_text(path, close=True):
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: {'close' if close else 'keep-alive'}\r\n\r\n".encode()


def complete_body(answer):
    """The body of a complete answer with status 200, or None if the answer is not complete yet."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return None
    if not head.startswith(b"HTTP/1.1 200"):
        raise OSError(f"answer {head.splitlines()[0]!r}")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if not length:
        raise OSError("an answer without a length")
    return body[:int(length[1])] if len(body) >= int(length[1]) else None


def exchange(connection, path, close=True):
    """Sends a request and returns the answer. Throws OSError without a complete one."""
    connection.sendall(request_text(path, close))
    answer = b""
    while complete_body(answer) is None:
        part = connection.recv(65_536)
        if not part:
            raise OSError("closed before the answer was complete")
        answer += part
    return answer


def converse(connection, path, close=True):
    """Sends a request and returns the body of the answer. Throws OSError without a complete one."""
    return complete_body(exchange(connection, path, close))


def request(port, path="/", patience=10):
    """The outcome of one request on its own connection, and the body if the outcome is "answered". Other outcomes are
    "cut" (connected, but no complete answer), "refused", and "ignored" (no answer to the SYN within half a second)."""
    with socket.socket() as connection:
        connection.settimeout(0.5)
        try:
            connection.connect((HOST, port))
        except TimeoutError:
            return "ignored", None
        except OSError:
            return "refused", None
        connection.settimeout(patience)
        try:
            return "answered", converse(connection, path).decode()
        except OSError:
            return "cut", None


class Clients:
    """Threads that run the function, one for each item of `arguments`, until `over` is set."""

    def __init__(self, function, arguments):
        self.over = threading.Event()
        self.threads = [threading.Thread(target=function, args=(argument,), daemon=True) for argument in arguments]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(DEADLINE * 2)
            expect(not thread.is_alive(), "a client waits forever")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()


class Load(Clients):
    """Clients that open a new connection for each request and count the outcomes. Each thread calls `prepare` first,
    and pauses after each request."""

    def __init__(self, port, paths, prepare=lambda: None, patience=10, pause=0):
        self.port, self.prepare, self.patience, self.pause = port, prepare, patience, pause
        self.counts, self.lock = collections.Counter(), threading.Lock()
        self.longest = 0  # Seconds that a request took which was answered.
        super().__init__(self.run, paths)

    def run(self, path):
        self.prepare()
        while not self.over.is_set():
            begin = time.monotonic()
            outcome, _ = request(self.port, path, self.patience)
            with self.lock:
                self.counts[outcome] += 1
                if outcome == "answered":
                    self.longest = max(self.longest, time.monotonic() - begin)
            time.sleep(max(self.pause, 0.001) if outcome == "refused" else self.pause)

    def wait_for(self, answers):
        until(lambda: self.counts["answered"] >= answers, f"{answers} answers")
        return self

    def stop(self):
        super().stop()
        return dict(self.counts)


Wrk = collections.namedtuple("Wrk", "requests rate p50 p99 faults")  # requests, requests/s, ms, ms, text


def run_wrk(port, connections, seconds, threads=2, headers=()):
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for header in headers:
        command += ["-H", header]
    command.append(f"http://{HOST}:{port}/")
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + DEADLINE, check=False)
    expect(result.returncode == 0, f"wrk: {result.stdout}{result.stderr}")

    def number(pattern):
        match = re.search(pattern, result.stdout)
        expect(match, f"wrk does not say {pattern}: {result.stdout}")
        return match.groups()

    def latency(percent):
        value, unit = number(rf"{percent}%\s+([\d.]+)(us|ms|s|m)\b")
        return float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]

    faults = " ".join(re.findall(r"Socket errors:.*|Non-2xx.*", result.stdout))
    count, rate = int(number(r"(\d+) requests in")[0]), float(number(r"Requests/sec:\s*([\d.]+)")[0])
    return Wrk(count, rate, latency(50), latency(99), faults)


# ---- Measurements


def interleaved(rounds, *samples):
    """Takes one of each sample per round, in alternating order. Drift of the machine then affects all alike."""
    taken = [[] for _ in samples]
    for number in range(rounds):
        order = list(enumerate(samples))
        for index, sample in order if number % 2 == 0 else reversed(order):
            taken[index].append(sample())
    return taken
