#!/usr/bin/env python3
"""Builds the image of Platforms/Deployment/Docker/Dockerfile and checks the fleet in a container from outside.

    CI/container.py smoke        the image, a stop under load, a killed child, a locked-down container; 90 s
    CI/container.py whole        all checks; 10 minutes
    CI/container.py CHECK ...    these checks, on the image of an earlier call, or after `build`

Besides the smoke, `whole` checks every limit, every init, the static variant, the units of Platforms/Deployment/systemd
under their own systemd, and the test suite in a container.

Needs Docker or Podman, Linux and root: it kills children from outside, and connects inside the container's network
namespace. $CONTAINER_ENGINE names the engine. $BUILD_FLAGS and $RUN_FLAGS are passed to its `build` and `run`. Without
an engine `smoke` is skipped and says so, and everything else fails. The images stay: hello-prefork,
hello-prefork-static and prefork-test.
"""
import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from support import DEADLINE, HOST, ROOT, Failure, Load, Skipped, expect, needs, request, until

DOCKER = os.path.join(ROOT, "Platforms/Deployment/Docker")
DOCKERFILE = os.path.join(DOCKER, "Dockerfile")
UNITS = os.path.join(ROOT, "Platforms/Deployment/systemd")
PROGRAM = "/usr/local/bin/hello-prefork"  # In the image, and in the units.
IMAGE = "hello-prefork"
PORT = 8080
CLIENTS = ["/"] * 6 + ["/slow?ms=700"] * 3
CLONE_NEWNET = 0x40000000
KILLED = r"exited: signal 9 \(KILL\) after"
OUT_OF_MEMORY = r"exited: signal 9 \(KILL\), probably by the kernel's out-of-memory killer, after"
LIBC = ctypes.CDLL(None, use_errno=True)


def quiet(command):
    # Runs outside the tree, because Podman's monitor leaves a file "oom" in its working directory.
    return subprocess.run(
        command, cwd=tempfile.gettempdir(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


# The engine


def works(name):
    return shutil.which(name) and quiet([name, "info"]).returncode == 0


def find_engine():
    """The engine's name, or None, and the flags for its `build` and its `run`."""
    # A machine without an engine of its own may offer one beside the tree.
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
    """The volumes of the build flags. The programs of a stand-in image are there."""
    return [word for pair in zip(BUILD_FLAGS, BUILD_FLAGS[1:]) if pair[0] in ("-v", "--volume") for word in pair]


# A running container


class Container:
    """A running container of an image. Ends with the `with` block."""

    def __init__(self, *arguments, flags=(), image=IMAGE):
        self.id = engine("run", "--detach", *RUN_FLAGS, *flags, image, *arguments).splitlines()[-1]
        self.host = int(engine("inspect", "--format", "{{.State.Pid}}", self.id))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.log(), file=sys.stderr)
        quiet([ENGINE, "kill", self.id])  # Fails if the container has already stopped.
        quiet([ENGINE, "rm", "--force", self.id])

    def log(self):
        return engine("logs", self.id)

    def lines(self, pattern):
        return re.findall(f"^.*{pattern}.*$", self.log(), re.MULTILINE)

    def wait_for(self, pattern, count=1):
        """The matching lines of the log, as soon as there are `count` of them."""
        return until(lambda: (found := self.lines(pattern)) and len(found) >= count and found, f"{count} × {pattern!r}")

    def wait_until_ready(self, children):
        self.wait_for(" ready after ", children)
        return self

    def processes(self):
        """This machine's process ids by the process ids inside."""
        found = {}
        namespace = os.readlink(f"/proc/{self.host}/ns/pid")
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{name}/ns/pid") == namespace:
                    found[int(status_field(name, "NSpid").split()[-1])] = int(name)
            except OSError:
                continue  # The process has exited meanwhile.
        return found

    def child(self):
        """The process ids of the oldest ready child: inside, and on this machine."""
        ready = [int(re.search(r"child (\d+) ", line)[1]) for line in self.lines(" ready after ")]
        processes = self.processes()
        pid = next(pid for pid in ready if pid in processes)
        return pid, processes[pid]

    def stop(self, seconds):
        """Stops by the engine, which kills after `seconds`. Returns the exit status and the duration."""
        begin = time.monotonic()
        engine("stop", "-t", str(seconds), self.id)
        return self.status(), time.monotonic() - begin

    def status(self):
        until(lambda: engine("inspect", "--format", "{{.State.Running}}", self.id) == "false", "the container's exit")
        return int(engine("inspect", "--format", "{{.State.ExitCode}}", self.id))

    def stop_orderly(self, seconds=10):
        status, duration = self.stop(seconds)
        expect(status == 0, f"exit status {status} after a stop")
        expect(duration < seconds, f"the stop took {duration:.1f} s; the engine kills after {seconds} s")
        expect(self.lines(r"\]: stopped$"), "the master does not log that it stopped")
        return duration

    # Requests from inside its network namespace

    def enter(self):
        """Moves this thread into the container's network: its later sockets are there."""
        with open(f"/proc/{self.host}/ns/net") as namespace:
            expect(LIBC.setns(namespace.fileno(), CLONE_NEWNET) == 0, f"setns: {os.strerror(ctypes.get_errno())}")

    def get(self, path, patience=10):
        """The body, or None without a complete answer."""
        bodies = []

        def run():
            self.enter()
            bodies.append(request(PORT, path, patience)[1])

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return bodies[0]

    def load(self):
        return Load(PORT, CLIENTS, prepare=self.enter)


def status_field(process, name):
    with open(f"/proc/{process}/status") as file:
        return next(line.split(":", 1)[1].strip() for line in file if line.startswith(f"{name}:"))


def has_accepted(process):
    """Whether any process in that process's network has accepted a connection. A connection in a queue has no inode
    (proc_net_tcp(5))."""
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{process}/net/{table}") as file:
            for fields in map(str.split, file.readlines()[1:]):
                if fields[1].endswith(f":{PORT:04X}") and fields[3] == "01" and fields[9] != "0":
                    return True
    return False


# The checks. Each returns what is printed.


def check_stop_under_load():
    """A stop under load: status 0 within the grace period, and every established connection gets its answer."""
    results = []
    for children in (2, 4):
        with Container("--children", str(children), ":8080") as container:
            container.wait_until_ready(children)
            expect(container.lines(r"^\S+ prefork\[1\]: "), "the master is not process 1")
            with container.load() as load:
                load.wait_for(300)
                duration = container.stop_orderly()
                counts = load.stop()
        expect("cut" not in counts, f"cut: {counts}")
        results.append(f"{children} children: {duration:.1f} s, {counts}")
    return "; ".join(results)


def check_killed_child():
    """SIGKILL from outside: the child is replaced, and the log does not call the cause out of memory."""
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
    """Everything works with a read-only root, no capability, no new privileges and an ordinary user. So does the health
    check of compose.yaml."""
    with Container("--children", "2", ":8080", flags=HARDENED) as container:
        container.wait_until_ready(2)
        _, outside = container.child()
        seen = {name: status_field(outside, name).split()[0] for name in ("Uid", "CapEff", "CapBnd", "NoNewPrivs")}
        wanted = {"Uid": "10001", "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}
        expect(seen == wanted, f"{seen} instead of {wanted}")
        expect(container.get("/") == "Hello world!", "no answer")
        denied = container.lines("cannot be steered|share one listener|SIGCHLD")
        expect(not denied, f"a privilege is missing: {denied}")
        healthy = health_check(container)
        expect(healthy.returncode == 0, f"not healthy: {healthy.stdout}")
        os.kill(outside, signal.SIGKILL)
        container.wait_for(" ready after ", 3)
        children = [host for pid, host in container.processes().items() if pid != 1]
        for process in children:
            os.kill(process, signal.SIGSTOP)
        begin = time.monotonic()
        expect(health_check(container).returncode != 0, "the health check passes, but no child answers")
        took = time.monotonic() - begin
        for process in children:
            os.kill(process, signal.SIGCONT)
        container.stop_orderly()
    return f"{seen}; the health check passes, and fails within {took:.1f} s if no child answers"


def health_check(container):
    """Runs the health check of compose.yaml, in which `$$` means `$`."""
    with open(os.path.join(DOCKER, "compose.yaml")) as file:
        command = json.loads(re.search(r"test: (\[.*\])", file.read())[1])
    return quiet([ENGINE, "exec", container.id, *(word.replace("$$", "$") for word in command[1:])])


def check_out_of_memory():
    """A child over the memory limit is replaced, and the log names the cause, but not for a later SIGKILL by hand."""
    with Container("--children", "2", ":8080", flags=["--memory", "192m", "--memory-swap", "192m"]) as container:
        container.wait_until_ready(2)
        with open(f"/proc/{container.host}/cgroup") as file:
            version = 1 if re.search(r"^\d+:([^:]*,)?memory[,:]", file.read(), re.MULTILINE) else 2
        expect(container.get("/eat?mb=20") == "eaten", "20 MB are over the limit")
        expect(container.get("/eat?mb=400", DEADLINE) is None, "a child got 400 MB under a limit of 192 MB")
        line = container.wait_for(rf"child \d+ \(slot \d\) {OUT_OF_MEMORY}")[0]
        container.wait_for(" ready after ", 3)
        inside, outside = container.child()
        os.kill(outside, signal.SIGKILL)
        container.wait_for(rf"child {inside} \(slot \d\) {KILLED}")
        container.wait_for(" ready after ", 4)
        expect(len(container.lines(OUT_OF_MEMORY)) == 1, "the log calls a SIGKILL by hand out of memory")
        expect(container.get("/") == "Hello world!", "no answer after the recovery")
        container.stop_orderly()
    return f"{line} (cgroup v{version} here; OutOfMemoryTests have the file of v{3 - version})"


def check_processor_limit():
    """The CPU limit determines the number of children. A larger number is possible and is reported."""
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
    """Under an init the master is not process 1. A stop, a killed child and exit statuses are the same."""
    ways = {"--init": (["--init"], [])}
    for name in INITS:
        mounted = ["--volume", f"{shutil.which(name)}:/init:ro", "--entrypoint", "/init"]
        ways[name] = mounted, ["--", PROGRAM]
    for name, (flags, before) in ways.items():
        with Container(*before, "--children", "2", ":8080", flags=flags) as container:
            container.wait_until_ready(2)
            expect(not container.lines(r"^prefork\[1\]"), f"the master is process 1 instead of {name}")
            inside, outside = container.child()
            os.kill(outside, signal.SIGKILL)
            container.wait_for(rf"started in place of {inside}$")
            container.wait_for(" ready after ", 3)
            with container.load() as load:
                load.wait_for(200)
                container.stop_orderly()
                counts = load.stop()
            expect("cut" not in counts, f"{name}: {counts}")
        expect_refusal(name, flags, before)
    expect_refusal("process 1", [], [])
    return f"under {', '.join(ways)}"


def expect_refusal(name, flags, before):
    refused = quiet([ENGINE, "run", "--rm", *RUN_FLAGS, *flags, IMAGE, *before, "nonsense"])
    expect(refused.returncode == 64, f"{name}: exit status {refused.returncode} for a bad address: {refused.stdout}")


def check_deaf_child():
    """A child that does not exit is killed after the grace period. The container still stops in time, with status 0."""
    results = []
    for way in ("stopped", "hanging request"):
        with Container("--children", "2", "--grace", "1", ":8080") as container:
            container.wait_until_ready(2)
            if way == "stopped":
                os.kill(container.child()[1], signal.SIGSTOP)
            else:
                expect(container.get("/hang", 0.5) is None, "/hang was answered")
            duration = container.stop_orderly(seconds=6)
            killed = container.lines("has not exited after .*; killing it")
            expect(len(killed) == 1, f"{len(killed)} killed children instead of 1")
            expect(1 <= duration < 4, f"{duration:.1f} s")
            results.append(f"{way}: {duration:.1f} s")
    return "; ".join(results)


def check_published_port():
    """A port that is published on 127.0.0.1 answers. Skipped if containers have no network."""
    if "none" in RUN_FLAGS or "--network=none" in RUN_FLAGS:
        raise Skipped("containers have no network here")
    with Container(flags=["--publish", f"{HOST}::{PORT}"]) as container:
        container.wait_until_ready(1)
        port = int(engine("port", container.id, f"{PORT}/tcp").splitlines()[0].rpartition(":")[2])
        until(lambda: request(port)[1] == "Hello world!", "an answer on the published port")
        container.stop_orderly()
    return f"{HOST}:{port}"


def check_static():
    """The variant with a static runtime loads no Swift library, serves and stops."""
    text = build("hello-prefork-static", "--build-arg", "LINKING=--static-swift-stdlib")
    with Container("--children", "2", ":8080", image="hello-prefork-static") as container:
        container.wait_until_ready(2)
        with open(f"/proc/{container.host}/maps") as file:
            expect("libswift" not in file.read(), "a Swift library is loaded")
        expect(container.get("/") == "Hello world!", "no answer")
        container.stop_orderly()
    return text


def check_systemd():
    """The units under their own systemd: a restart under load, a killed master, status 78."""
    flags = [*build_volumes(), "--privileged", "--systemd=always", "--env", "container=podman"]
    with open(DOCKERFILE) as file:
        image = re.search(r"^FROM (\S+) AS source$", file.read(), re.MULTILINE)[1]
    if quiet([ENGINE, "run", "--rm", *RUN_FLAGS, *flags, image, "test", "-x", "/lib/systemd/systemd"]).returncode:
        raise Skipped(f"the engine can't run a systemd, or {image} has none")
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)  # The service runs as another user.
        with Container() as container:
            engine("cp", f"{container.id}:{PROGRAM}", directory)
        for name in ("prefork.service", "prefork.socket"):
            with open(os.path.join(UNITS, name)) as file, open(os.path.join(directory, name), "w") as copy:
                # A systemd before 253 does not know notify-reload, and CI/systemd.py checks it under a newer one.
                copy.write(file.read().replace(PROGRAM, "/srv/hello-prefork").replace("notify-reload", "notify"))
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
    with container.load() as load:
        load.wait_for(200)
        begin = time.monotonic()
        restart = systemctl("restart", "prefork.service")
        duration = time.monotonic() - begin
        expect(restart.returncode == 0, restart.stdout)
        load.wait_for(load.counts["answered"] + 200)
        counts = load.stop()
    expect(state("MainPID") != before, "the master is still the same process")
    expect(set(counts) == {"answered"}, f"a restart cost requests: {counts}")

    # A master that is killed by hand. KillMode=mixed kills its children with it, and Restart= starts a new one.
    long = threading.Thread(target=lambda: answers.append(container.get("/slow?ms=3000")))
    answers, master = [], container.processes()[int(state("MainPID"))]
    long.start()
    until(lambda: has_accepted(master), "the request in a child")
    os.kill(master, signal.SIGKILL)
    long.join()
    expect(answers == [None], "a child outlived the killed master, although the README of the units says otherwise")
    until(lambda: state("NRestarts") == "1" and state("SubState") == "running", "the restart")
    until(served, "an answer after the restart")

    # Status 78 of a child means that another try would end the same way. The master exits with it, because no child has
    # served for `healthyAfter` (10 s).
    container.get("/exit?code=78")
    until(lambda: state("ActiveState") == "failed", "the exit with status 78")
    expect(state("ExecMainStatus") == "78", f"status {state('ExecMainStatus')}")
    time.sleep(2)  # RestartSec=1
    expect(state("ActiveState") == "failed" and state("NRestarts") == "1", "systemd restarted it after status 78")
    until(served, "an answer after the next connection")

    stop = systemctl("stop", "prefork.socket", "prefork.service")
    expect(stop.returncode == 0 and state("Result") == "success", f"after a stop: {state('Result')}")
    return f"a restart under load took {duration:.1f} s: {counts}; restarted after SIGKILL, but not after status 78"


def check_suite():
    """The whole test suite in a container, under the engine's init, because SwiftPM reaps no orphans as process 1."""
    text = build("prefork-test", "--target", "test")
    begin = time.monotonic()
    done = quiet([ENGINE, "run", "--rm", "--init", *RUN_FLAGS, *build_volumes(), "prefork-test"])
    summary = re.findall(r"Test run with .*", done.stdout)
    issues = re.findall("^✘ .*", done.stdout, re.MULTILINE)
    expect(done.returncode == 0 and summary, "\n".join([*issues, done.stdout[-6000:]]))
    skipped = set(re.findall(r"Test (\S+ skipped.*)", done.stdout))
    return f"{text}; {'; '.join(summary)} ({time.monotonic() - begin:.0f} s)\n    " + "\n    ".join(sorted(skipped))


def check_build():
    """Builds the image."""
    return build(IMAGE)


def check_engine_init():
    """The engine's own init is installed. Some of the later checks use it."""
    done = quiet([ENGINE, "run", "--rm", "--init", *RUN_FLAGS, IMAGE, "--help"])
    expect(done.returncode == 0, f"{ENGINE} run --init: {done.stdout.strip()}")
    return "--init"


SMOKE = [check_build, check_stop_under_load, check_killed_child, check_locked_down]
WHOLE = [
    check_build,
    check_engine_init,
    *SMOKE[1:],
    check_out_of_memory,
    check_processor_limit,
    check_inits,
    check_deaf_child,
    check_published_port,
    check_static,
    check_systemd,
    check_suite,
]
# Nothing after these makes sense if they fail.
FIRST = [check_build, check_engine_init]
INITS = ["tini", "dumb-init", "catatonit"]


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
    if {check_engine_init, check_inits, check_suite} & set(checks):
        needs(*INITS)  # Podman's `--init` is catatonit.
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
        if failed and check in FIRST:
            break
    passed = f"{len(checks) - failed - skipped} of {len(checks)} checks passed"
    print(f"container: {passed}, {skipped} skipped, {time.monotonic() - begin:.0f} s")
    sys.exit(1 if failed else 0)


main()
