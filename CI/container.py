#!/usr/bin/env python3
"""Builds Platforms/Deployment/Docker/Dockerfile and looks at the fleet in the container from outside.

    CI/container.py smoke          the image; a stop under load, a killed child, a locked-down container; 90 s
    CI/container.py whole          that, every limit, every init, the static variant, the units of Platforms/Deployment/systemd under a
                                systemd of their own, and the test suite in a container; 10 minutes
    CI/container.py CHECK ...      single checks, by name, on the image that an earlier call has built (or `build` before them)

Needs docker or podman, Linux and root: it kills children from outside, and connects inside the container's network
namespace. $CONTAINER_ENGINE names the engine, $BUILD_FLAGS and $RUN_FLAGS go to its `build` and `run`. Without any engine
the smoke is skipped, and says so; everything else is an error. Inits are taken from this machine where they are installed
(tini, dumb-init, catatonit). The images stay: hello-prefork, hello-prefork-static, prefork-test.
"""
import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCKERFILE = os.path.join(ROOT, "Platforms/Deployment/Docker/Dockerfile")
IMAGE = "hello-prefork"
PORT = 8080
DEADLINE = 30  # seconds, for whatever is waited for
CLIENTS = 6
CLONE_NEWNET = 0x40000000
KILLED = r"exited: signal 9 \(KILL\) after"
STRUCK = r"exited: signal 9 \(KILL\), probably by the kernel's out-of-memory killer, after"
LIBC = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    pass


class Skipped(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failure(text)


def until(condition, text):
    """Asks until it is true; what it was then."""
    end = time.monotonic() + DEADLINE
    while True:
        value = condition()
        if value:
            return value
        expect(time.monotonic() < end, f"not in time: {text}")
        time.sleep(0.02)


def quiet(command):
    # Not in the tree: podman's monitor leaves a file "oom" where it was started.
    return subprocess.run(
        command, cwd=tempfile.gettempdir(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


# The engine


def works(name):
    return shutil.which(name) and quiet([name, "info"]).returncode == 0


def find_engine():
    """Its name and the flags to build and to run with; None where there is none."""
    stand_in = os.path.join(ROOT, "../shared/containers/up")
    if "CONTAINER_ENGINE" not in os.environ and os.path.exists(stand_in):
        script = f". {shlex.quote(stand_in)} >&2 && env -0"
        shown = subprocess.run(["bash", "-c", script], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        os.environ.update(entry.split("=", 1) for entry in shown.stdout.decode().split("\0") if "=" in entry)
    name = os.environ.get("CONTAINER_ENGINE") or next((name for name in ("docker", "podman") if works(name)), None)
    flags = [shlex.split(os.environ.get(variable, "")) for variable in ("BUILD_FLAGS", "RUN_FLAGS")]
    return name, *flags


ENGINE, BUILD_FLAGS, RUN_FLAGS = None, [], []


def engine(*arguments):
    done = quiet([ENGINE, *arguments])
    expect(done.returncode == 0, f"{ENGINE} {shlex.join(arguments)}: {done.stdout.strip()}")
    return done.stdout.strip()


def build(tag, *flags):
    begin = time.monotonic()
    command = [ENGINE, "build", *BUILD_FLAGS, *flags, "-t", tag, "-f", DOCKERFILE, ROOT]
    done = quiet(command)
    expect(done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}")
    return f"{tag} built in {time.monotonic() - begin:.0f} s"


def build_volumes():
    """What is mounted for a build: an image that is a stand-in has its programs there."""
    return [word for pair in zip(BUILD_FLAGS, BUILD_FLAGS[1:]) if pair[0] in ("-v", "--volume") for word in pair]


# A running container


class Container:
    """With the image's entry point, or another."""

    def __init__(self, *arguments, flags=(), image=IMAGE):
        self.id = engine("run", "--detach", *RUN_FLAGS, *flags, image, *arguments).splitlines()[-1]
        self.host = int(engine("inspect", "--format", "{{.State.Pid}}", self.id))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.log(), file=sys.stderr)
        quiet([ENGINE, "kill", self.id])  # Mostly it has ended already.
        quiet([ENGINE, "rm", "--force", self.id])

    def log(self):
        return engine("logs", self.id)

    def lines(self, pattern):
        return re.findall(f"^.*{pattern}.*$", self.log(), re.MULTILINE)

    def wait_for(self, pattern, count=1):
        """The lines of the log that fit, when there are so many."""
        return until(lambda: (found := self.lines(pattern)) and len(found) >= count and found, f"{count} × {pattern!r}")

    def wait_until_ready(self, children):
        self.wait_for(" ready after ", children)
        return self

    def processes(self):
        """Process ids of this machine by those inside."""
        found = {}
        namespace = os.readlink(f"/proc/{self.host}/ns/pid")
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{name}/ns/pid") == namespace:
                    found[int(status_field(name, "NSpid").split()[-1])] = int(name)
            except OSError:
                continue  # It has ended meanwhile.
        return found

    def child(self):
        """The oldest child that is ready: its process id inside, and here."""
        ready = [int(re.search(r"child (\d+) ", line)[1]) for line in self.lines(" ready after ")]
        processes = self.processes()
        pid = next(pid for pid in ready if pid in processes)
        return pid, processes[pid]

    def stop(self, seconds):
        """By the engine, which kills after so many seconds. The exit status, and how long it took."""
        begin = time.monotonic()
        engine("stop", "-t", str(seconds), self.id)
        return self.status(), time.monotonic() - begin

    def status(self):
        until(lambda: engine("inspect", "--format", "{{.State.Running}}", self.id) == "false", "its end")
        return int(engine("inspect", "--format", "{{.State.ExitCode}}", self.id))

    def stop_orderly(self, seconds=10):
        status, duration = self.stop(seconds)
        expect(status == 0, f"exit status {status} after a stop")
        expect(duration < seconds, f"the stop took {duration:.1f} s, and the engine kills after {seconds} s")
        expect(self.lines(r"\]: stopped$"), "the master does not say that it has stopped")
        return duration

    # Requests, inside its network namespace

    def enter(self):
        """This thread's sockets are the container's from here on."""
        with open(f"/proc/{self.host}/ns/net") as namespace:
            enter(namespace.fileno())

    def get(self, path, patience=10):
        """The body; None where there was no answer."""
        answers = []

        def run():
            self.enter()
            answers.append(request(path, patience))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return answers[0][1]


def enter(descriptor):
    expect(LIBC.setns(descriptor, CLONE_NEWNET) == 0, f"setns: {os.strerror(ctypes.get_errno())}")


def status_field(process, name):
    with open(f"/proc/{process}/status") as file:
        return next(line.split(":", 1)[1].strip() for line in file if line.startswith(f"{name}:"))


def has_accepted(process):
    """Whether somebody in that process's network has accepted a connection; what only waits has no inode (proc_net_tcp(5))."""
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{process}/net/{table}") as file:
            for fields in map(str.split, file.readlines()[1:]):
                if fields[1].endswith(f":{PORT:04X}") and fields[3] == "01" and fields[9] != "0":
                    return True
    return False


def request(path, patience=10, port=PORT):
    """ "answered" with the body; else "cut" (established, and no answer), "refused", or "ignored": no answer to the SYN."""
    with socket.socket() as connection:
        connection.settimeout(0.5)
        try:
            connection.connect(("127.0.0.1", port))
        except TimeoutError:
            return "ignored", None
        except OSError:
            return "refused", None
        connection.settimeout(patience)
        answer = b""
        try:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            while part := connection.recv(65_536):
                answer += part
        except OSError:
            return "cut", None
        head, _, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        whole = head.startswith(b"HTTP/1.1 200 ") and length and len(body) == int(length[1])
        return ("answered", body.decode()) if whole else ("cut", None)


class Load:
    """New connections all the time, from several threads, and long requests in some."""

    def __init__(self, container):
        self.container, self.counts, self.over, self.lock = container, {}, threading.Event(), threading.Lock()
        paths = ["/"] * CLIENTS + ["/slow?ms=700"] * 3
        self.threads = [threading.Thread(target=self.run, args=(path,)) for path in paths]
        for thread in self.threads:
            thread.start()

    def run(self, path):
        self.container.enter()
        while not self.over.is_set():
            outcome, _ = request(path)
            with self.lock:
                self.counts[outcome] = self.counts.get(outcome, 0) + 1
            if outcome == "refused":
                time.sleep(0.001)

    def wait_for(self, answers):
        until(lambda: self.counts.get("answered", 0) >= answers, f"{answers} answers")
        return self

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        return self.counts

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


# The checks: what each returns is printed


def check_stop_under_load():
    """`stop` under load: exit status 0 within the grace period, and every connection that was established is answered."""
    results = []
    for children in (2, 4):
        with Container("--children", str(children), ":8080") as container:
            container.wait_until_ready(children)
            expect(container.lines(r"^prefork\[1\]: "), "the master is not process 1")
            with Load(container) as load:
                load.wait_for(300)
                duration = container.stop_orderly()
                counts = load.end()
        expect("cut" not in counts, f"cut: {counts}")
        results.append(f"{children} children: {duration:.1f} s, {counts}")
    return "; ".join(results)


def check_killed_child():
    """SIGKILL from outside: recovered, logged by its name, and not as out of memory; the others go on."""
    with Container("--children", "2", ":8080") as container:
        container.wait_until_ready(2)
        inside, outside = container.child()
        os.kill(outside, signal.SIGKILL)
        line = container.wait_for(rf"child {inside} \(slot \d\) {KILLED}")[0]
        container.wait_for(rf"started in place of {inside}$")
        container.wait_for(" ready after ", 3)
        expect(container.get("/") == "Hello world!", "no answer after the recovery")
        engine("kill", "--signal", "USR1", container.id)
        container.wait_for("status: master 1 on ")
        container.stop_orderly()
    return line


HARDENED = ["--read-only", "--cap-drop=all", "--security-opt", "no-new-privileges"]


def check_locked_down():
    """Read-only root, no capability, no new privileges, an unprivileged user: everything works, and compose's health check."""
    with Container("--children", "2", ":8080", flags=HARDENED) as container:
        container.wait_until_ready(2)
        _, outside = container.child()
        seen = {name: status_field(outside, name).split()[0] for name in ("Uid", "CapEff", "CapBnd", "NoNewPrivs")}
        expect(seen == {"Uid": "10001", "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}, f"not so: {seen}")
        expect(container.get("/") == "Hello world!", "no answer")
        expect(not container.lines("cannot be steered|share one listener|SIGCHLD"), "something is denied")
        healthy = health_check(container)
        expect(healthy.returncode == 0, f"not healthy: {healthy.stdout}")
        os.kill(outside, signal.SIGKILL)
        container.wait_for(" ready after ", 3)
        children = [host for pid, host in container.processes().items() if pid != 1]
        for process in children:
            os.kill(process, signal.SIGSTOP)
        begin = time.monotonic()
        expect(health_check(container).returncode != 0, "healthy, and nobody answers")
        took = time.monotonic() - begin
        for process in children:
            os.kill(process, signal.SIGCONT)
        container.stop_orderly()
    return f"{seen}; health check passes, and fails within {took:.1f} s where no child answers"


def health_check(container):
    """As compose.yaml says it; `$$` stands for `$` there."""
    with open(os.path.join(ROOT, "Platforms/Deployment/Docker/compose.yaml")) as file:
        command = json.loads(re.search(r"test: (\[.*\])", file.read())[1])
    return quiet([ENGINE, "exec", container.id, *(word.replace("$$", "$") for word in command[1:])])


def check_out_of_memory():
    """A child over the memory limit: named as such, recovered; one that is killed by hand after it is not."""
    with Container("--children", "2", ":8080", flags=["--memory", "192m", "--memory-swap", "192m"]) as container:
        container.wait_until_ready(2)
        with open(f"/proc/{container.host}/cgroup") as file:
            version = 1 if re.search(r"^\d+:([^:]*,)?memory[,:]", file.read(), re.MULTILINE) else 2
        expect(container.get("/eat?mb=20") == "eaten", "20 MB are too much already")
        expect(container.get("/eat?mb=400", DEADLINE) is None, "400 MB were eaten under a limit of 192 MB")
        line = container.wait_for(rf"child \d+ \(slot \d\) {STRUCK}")[0]
        container.wait_for(" ready after ", 3)
        inside, outside = container.child()
        os.kill(outside, signal.SIGKILL)
        container.wait_for(rf"child {inside} \(slot \d\) {KILLED}")
        container.wait_for(" ready after ", 4)
        expect(len(container.lines(STRUCK)) == 1, "a kill by hand was named out of memory")
        expect(container.get("/") == "Hello world!", "no answer after the recovery")
        container.stop_orderly()
    other = 3 - version
    return f"{line} (cgroup v{version} here; v{other} is tested by what its file looks like, in OutOfMemoryTests)"


def check_processor_limit():
    """The CPU limit is the number of children; more of them, when asked for, and reported."""
    results = []
    for limit, children in (("1", 1), ("0.5", 1), ("1.5", min(2, os.cpu_count() or 1))):
        with Container(flags=["--cpus", limit]) as container:
            container.wait_until_ready(children)
            container.stop_orderly()
            started = len(container.lines(r"\) started$"))
            expect(started == children, f"{started} children with --cpus {limit}")
            results.append(f"--cpus {limit}: {started}")
    with Container("--children", "3", ":8080", flags=["--cpus", "1"]) as container:
        container.wait_until_ready(3)
        line = container.wait_for("3 children, but only 1 processor is allowed")[0]
        container.stop_orderly()
    return "; ".join([*results, line])


def check_inits():
    """Under an init the master is not process 1: a stop, a killed child and exit statuses are the same."""
    ways = {}
    # The engine's own may be missing from its installation.
    if quiet([ENGINE, "run", "--rm", "--init", *RUN_FLAGS, IMAGE, "--help"]).returncode == 0:
        ways["--init"] = ["--init"], []
    for name in ("tini", "dumb-init", "catatonit"):
        if path := shutil.which(name):
            mounted = ["--volume", f"{path}:/init:ro", "--entrypoint", "/init"]
            ways[name] = mounted, ["--", "/usr/local/bin/hello-prefork"]
    for name, (flags, before) in ways.items():
        with Container(*before, "--children", "2", ":8080", flags=flags) as container:
            container.wait_until_ready(2)
            expect(not container.lines(r"^prefork\[1\]"), f"{name} is not process 1")
            inside, outside = container.child()
            os.kill(outside, signal.SIGKILL)
            container.wait_for(rf"started in place of {inside}$")
            container.wait_for(" ready after ", 3)
            with Load(container) as load:
                load.wait_for(200)
                container.stop_orderly()
                counts = load.end()
            expect("cut" not in counts, f"{name}: {counts}")
        refused = quiet([ENGINE, "run", "--rm", *RUN_FLAGS, *flags, IMAGE, *before, "nonsense"])
        expect(refused.returncode == 64, f"{name}: exit status {refused.returncode} for a bad address: {refused.stdout}")
    refused = quiet([ENGINE, "run", "--rm", *RUN_FLAGS, IMAGE, "nonsense"])
    expect(refused.returncode == 64, f"exit status {refused.returncode} for a bad address as process 1")
    expect(ways, "there is no init here")
    missing = {"--init", "tini", "dumb-init", "catatonit"} - set(ways)
    return f"under {', '.join(ways)}" + (f"; not here: {', '.join(missing)}" if missing else "")


def check_deaf_child():
    """A child that does not leave is killed after the grace period, and the container still ends in time, with status 0."""
    results = []
    for way in ("stopped", "hanging request"):
        with Container("--children", "2", "--grace", "1", ":8080") as container:
            container.wait_until_ready(2)
            if way == "stopped":
                os.kill(container.child()[1], signal.SIGSTOP)
            else:
                expect(container.get("/hang", 0.5) is None, "/hang was answered")
            duration = container.stop_orderly(seconds=6)
            expect(len(container.lines("has not left; killing it")) == 1, "not one child was killed")
            expect(1 <= duration < 4, f"{duration:.1f} s")
            results.append(f"{way}: {duration:.1f} s")
    return "; ".join(results)


def check_published_port():
    """A port that is published on 127.0.0.1 answers; only where containers have a network."""
    if "none" in RUN_FLAGS or "--network=none" in RUN_FLAGS:
        raise Skipped("containers have no network here")
    with Container(flags=["--publish", f"127.0.0.1::{PORT}"]) as container:
        container.wait_until_ready(1)
        port = int(engine("port", container.id, f"{PORT}/tcp").splitlines()[0].rpartition(":")[2])
        until(lambda: request("/", port=port)[1] == "Hello world!", "an answer by the published port")
        container.stop_orderly()
    return f"127.0.0.1:{port}"


def check_static():
    """The variant with a static runtime serves and stops, and needs no Swift library."""
    text = build("hello-prefork-static", "--build-arg", "LINKING=--static-swift-stdlib")
    with Container("--children", "2", ":8080", image="hello-prefork-static") as container:
        container.wait_until_ready(2)
        with open(f"/proc/{container.host}/maps") as file:
            expect("libswift" not in file.read(), "a Swift library is loaded")
        expect(container.get("/") == "Hello world!", "no answer")
        container.stop_orderly()
    return text


def check_systemd():
    """The units of Platforms/Deployment/systemd under a systemd of their own: a restart under load, a killed master, status 78."""
    flags = [*build_volumes(), "--privileged", "--systemd=always", "--env", "container=podman"]
    image = "docker.io/library/swift:6.3"
    if quiet([ENGINE, "run", "--rm", *RUN_FLAGS, *flags, image, "test", "-x", "/lib/systemd/systemd"]).returncode:
        raise Skipped("the engine cannot run a systemd, or swift:6.3 has none")
    units = os.path.join(ROOT, "Platforms/Deployment/systemd")
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)  # The service's user is another.
        with Container() as container:
            engine("cp", f"{container.id}:/usr/local/bin/hello-prefork", directory)
        for name in ("prefork.service", "prefork.socket"):
            with open(os.path.join(units, name)) as file, open(os.path.join(directory, name), "w") as copy:
                copy.write(file.read().replace("/usr/local/bin/", "/srv/"))
            flags += ["--volume", f"{directory}/{name}:/etc/systemd/system/{name}:ro"]
        flags += ["--volume", f"{directory}:/srv:ro"]
        with Container("/lib/systemd/systemd", flags=flags, image=image) as container:
            return under_systemd(container)


def under_systemd(container):
    def systemctl(*arguments):
        return quiet([ENGINE, "exec", container.id, "systemctl", *arguments])

    def state(name):
        return systemctl("show", "--value", "--property", name, "prefork.service").stdout.strip()

    def served():
        return container.get("/") == "Hello world!"

    until(lambda: systemctl("start", "prefork.socket").returncode == 0, "prefork.socket")
    until(served, "an answer after the activation")
    expect(state("ActiveState") == "active", f"the service is {state('ActiveState')}")

    before = state("MainPID")
    with Load(container) as load:
        load.wait_for(200)
        begin = time.monotonic()
        restart = systemctl("restart", "prefork.service")
        duration = time.monotonic() - begin
        expect(restart.returncode == 0, restart.stdout)
        load.wait_for(load.counts["answered"] + 200)
        counts = load.end()
    expect(state("MainPID") != before, "it was not restarted")
    expect(set(counts) == {"answered"}, f"a restart has cost: {counts}")

    # A master that is killed by hand: KillMode=mixed kills its children with it, and Restart= starts anew.
    long = threading.Thread(target=lambda: answers.append(container.get("/slow?ms=3000")))
    answers, master = [], container.processes()[int(state("MainPID"))]
    long.start()
    until(lambda: has_accepted(master), "the request in a child")
    os.kill(master, signal.SIGKILL)
    long.join()
    expect(answers == [None], "a child has outlived the killed master, which the README of the units denies")
    until(lambda: state("NRestarts") == "1" and state("SubState") == "running", "the restart")
    until(served, "an answer after the restart")

    # A child that leaves with 78 says that another try would end the same way, and so does the master, where none has served for
    # longer (`healthyAfter`, 10 s).
    container.get("/exit?code=78")
    until(lambda: state("ActiveState") == "failed", "the end by status 78")
    expect(state("ExecMainStatus") == "78", f"status {state('ExecMainStatus')}")
    time.sleep(2)  # RestartSec=1
    expect(state("ActiveState") == "failed" and state("NRestarts") == "1", "it was started again after status 78")
    until(served, "the next connection activates it")

    stop = systemctl("stop", "prefork.socket", "prefork.service")
    expect(stop.returncode == 0 and state("Result") == "success", f"after a stop: {state('Result')}")
    return f"a restart under load, in {duration:.1f} s: {counts}; killed: started anew; 78: not"


def check_suite():
    """The whole test suite, in a container, with the engine's init: SwiftPM is no process 1 and reaps nobody."""
    text = build("prefork-test", "--target", "test")
    begin = time.monotonic()
    done = quiet([ENGINE, "run", "--rm", "--init", *RUN_FLAGS, *build_volumes(), "prefork-test"])
    summary = re.findall(r"Test run with .*", done.stdout)
    issues = re.findall("^✘ .*", done.stdout, re.MULTILINE)
    expect(done.returncode == 0 and summary, "\n".join([*issues, done.stdout[-6000:]]))
    skipped = set(re.findall(r"Test (\S+ skipped.*)", done.stdout))
    return f"{text}; {'; '.join(summary)} ({time.monotonic() - begin:.0f} s)\n    " + "\n    ".join(sorted(skipped))


def check_build():
    """The image."""
    return build(IMAGE)


SMOKE = [check_build, check_stop_under_load, check_killed_child, check_locked_down]
WHOLE = SMOKE + [
    check_out_of_memory,
    check_processor_limit,
    check_inits,
    check_deaf_child,
    check_published_port,
    check_static,
    check_systemd,
    check_suite,
]


def main():
    global ENGINE, BUILD_FLAGS, RUN_FLAGS
    named = {check.__name__.removeprefix("check_"): check for check in WHOLE}
    asked = sys.argv[1:]
    unknown = [name for name in asked if name not in named and name not in ("smoke", "whole")]
    if not asked or unknown:
        print(__doc__ + "\nThe checks: " + ", ".join(named), file=sys.stderr)
        sys.exit(64)
    ENGINE, BUILD_FLAGS, RUN_FLAGS = find_engine()
    if not ENGINE or os.geteuid() != 0:
        reason = "no container engine" if not ENGINE else "not root"
        is_smoke = asked == ["smoke"]
        print(f"container: {'skipped, ' if is_smoke else ''}{reason}", file=sys.stderr)
        sys.exit(0 if is_smoke else 1)
    checks = [check for name in asked for check in {"smoke": SMOKE, "whole": WHOLE}.get(name, [named.get(name)])]
    begin = time.monotonic()
    failed = skipped = 0
    print(f"container: {engine('--version')}, {shlex.join(BUILD_FLAGS + RUN_FLAGS)}", flush=True)
    for check in checks:
        started = time.monotonic()
        try:
            outcome = f"ok: {check()}"
        except Skipped as reason:
            skipped += 1
            outcome = f"skipped: {reason}"
        except Failure as failure:
            failed += 1
            outcome = f"FAILED: {failure}"
        name = check.__name__.removeprefix("check_")
        print(f"{name} ({time.monotonic() - started:.1f} s) {outcome}", flush=True)
        if failed and check is check_build:
            break
    passed = f"{len(checks) - failed - skipped} of {len(checks)} checks passed"
    print(f"container: {passed}, {skipped} skipped, {time.monotonic() - begin:.0f} s")
    sys.exit(1 if failed else 0)


main()
