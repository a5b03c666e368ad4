#!/usr/bin/env python3
"""Runs the units of Platforms/Deployment/systemd under a systemd of their own (Debian 13's), in namespaces.

    CI/systemd.py        a minute, the build of hello-prefork, and once the download of 0.25 GB

Checks that a start ends when the fleet is ready, that a reload under load ends when the new build serves, that a
restart of the service under load costs no request and that a second service shortens the wait, that a drain may take
longer than TimeoutStopSec, and that the watchdog replaces a master that is stopped.

Needs Linux with a mounted cgroup2, root, and Debian or Ubuntu for debootstrap. The download stays in
${PREFORK_CACHE:-/var/tmp/prefork-platforms}. $PREFORK_MIRROR overrides Debian's mirror.
"""
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from support import (
    DEADLINE, ROOT, Failure, Load, build_text, children_of, expect, needs, put_build, request, until)

UNITS = os.path.join(ROOT, "Platforms/Deployment/systemd")
PROGRAM = "usr/local/bin/hello-prefork"
PORT = 8080
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
NAMESPACES = ["--pid", "--fork", "--kill-child", "--mount", "--cgroup", "--uts", "--ipc", "--net"]
BOOT = """
set -eu
cd "$1"
mount --bind . .
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for directory in run tmp; do mount -t tmpfs tmpfs $directory; done
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    touch dev/$device
    mount --bind /dev/$device dev/$device
done
# PrivateDevices= copies these.
mkdir dev/pts dev/shm dev/mqueue dev/hugepages
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ip link set lo up
# Not chroot, because systemd makes mount namespaces for services.
pivot_root . mnt
umount -l mnt
exec env -i container=other PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --system --show-status=no \
    --unit=multi-user.target
"""
DROP_IN = """
[Service]
ExecStart=
ExecStart=/usr/local/bin/hello-prefork --inherited --children 2 --grace 30
TimeoutStopSec=2
WatchdogSec=2
"""


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def product():
    """A program that needs no Swift library."""
    command = ["swift", "build", "-c", "release", "--static-swift-stdlib", "--product", "hello-prefork"]
    built = run(*command, "--package-path", ROOT)
    expect(built.returncode == 0, built.stdout)
    shown = run(*command, "--package-path", ROOT, "--show-bin-path")
    return os.path.join(shown.stdout.splitlines()[-1], "hello-prefork")


def system():
    """The directory of a small Debian 13 with systemd."""
    cache = os.environ.get("PREFORK_CACHE", "/var/tmp/prefork-platforms")
    root, stamp = os.path.join(cache, "systemd"), os.path.join(cache, "stamp-systemd")
    if not os.path.exists(stamp):
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(root)
        mirror = os.environ.get("PREFORK_MIRROR", "http://deb.debian.org/debian")
        made = run("debootstrap", "--variant=minbase", "--include=systemd,dbus", "trixie", root, mirror)
        expect(made.returncode == 0, made.stdout[-2000:])
        with open(stamp, "w", encoding="ascii"):
            pass
    return root


class System:
    """A systemd that runs. Its processes are gone when the `with` block ends."""

    def __init__(self, root):
        with open("/proc/mounts", encoding="utf-8") as file:
            mounts = [line.split()[1] for line in file if line.split()[2] == "cgroup2"]
        expect(mounts, "no cgroup2 is mounted")
        # systemd makes the groups of its services below this one.
        self.group = os.path.join(mounts[0], f"prefork-{os.getpid()}")
        os.mkdir(self.group)
        enter = 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"'
        self.root = root
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["bash", "-c", enter, "bash", self.group, "unshare", *NAMESPACES, "--propagation", "private",
             "bash", "-c", BOOT, "bash", root],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT)
        self.init = None

    def __enter__(self):
        try:
            self.init = until(lambda: children_of(self.process.pid), "process 1")[0]
            until(lambda: self.ctl("is-system-running").stdout.strip() in ("running", "degraded"), "systemd")
        except Failure:
            self.__exit__(Failure)
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.inside("journalctl", "-n", "60", "--no-pager", "-o", "short-precise").stdout, file=sys.stderr)
        if self.init:
            os.kill(self.init, signal.SIGKILL)
        self.process.kill()
        self.process.wait(DEADLINE)
        self.output.seek(0)
        if kind:
            print(self.output.read().decode("utf-8", "replace"), file=sys.stderr)
        for directory, _, _ in os.walk(self.group, topdown=False):
            until(lambda path=directory: self.removed(path), f"an empty {directory}")

    @staticmethod
    def removed(path):
        try:
            os.rmdir(path)
        except OSError:
            return False
        return True

    def inside(self, *command):
        return run("nsenter", "-t", str(self.init), "-m", "-p", "-n", "-r", "-w", *command)

    def ctl(self, *arguments):
        return self.inside("systemctl", *arguments)

    def do(self, *arguments):
        """Seconds that the command took."""
        begin = time.monotonic()
        done = self.ctl(*arguments)
        expect(done.returncode == 0, f"systemctl {' '.join(arguments)}: {done.stdout}")
        return time.monotonic() - begin

    def show(self, name):
        return self.ctl("show", "--value", "--property", name, "prefork.service").stdout.strip()

    def enter(self):
        """Moves this thread into the network of the system."""
        with open(f"/proc/{self.init}/ns/net", encoding="ascii") as namespace:
            expect(LIBC.setns(namespace.fileno(), CLONE_NEWNET) == 0, f"setns: {os.strerror(ctypes.get_errno())}")

    def get(self, path, patience=DEADLINE):
        """The body, or None without a complete answer."""
        bodies = []

        def ask():
            self.enter()
            bodies.append(request(PORT, path, patience)[1])

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return bodies[0]


def is_ready(systemd):
    return re.fullmatch(r"(\d+) of \1 child(ren)? ready", systemd.show("StatusText"))


def check_start(systemd):
    systemd.do("start", "prefork.socket")
    took = systemd.do("start", "prefork.service")
    expect(systemd.show("Type") == "notify-reload", f"the type is {systemd.show('Type')!r}")
    expect(is_ready(systemd), f"the status is {systemd.show('StatusText')!r}")
    # Children are up a second after they are ready.
    expect(took >= 1, f"the start took {took:.1f} s")
    return f"{took:.1f} s, {systemd.show('StatusText')!r}"


def check_reload(systemd, program, path):
    before, results = systemd.show("MainPID"), []
    with Load(PORT, ["/"] * 6 + ["/slow?ms=100"] * 2, prepare=systemd.enter) as load:
        for digit in (b"1", b"2", b"3"):
            load.wait_for(load.counts["answered"] + 100)
            put_build(program, path, digit)
            took = systemd.do("reload", "prefork.service")
            wanted = build_text(digit)
            builds = {systemd.get("/build") for _ in range(20)}
            expect(builds == {wanted}, f"after the reload, {builds} serve")
            results.append(f"{took:.1f} s")
        load.wait_for(load.counts["answered"] + 100)
        counts = load.stop()
    expect(set(counts) == {"answered"}, f"a reload cost requests: {counts}")
    expect(systemd.show("MainPID") == before, "the master is another process")
    # A restart that is refused is over at once.
    os.rename(path, f"{path}.away")
    took = systemd.do("reload", "prefork.service")
    os.rename(f"{path}.away", path)
    expect(took < 5, f"a reload without a program took {took:.1f} s")
    expect(systemd.get("/build") == wanted, "no answer after a reload that was refused")
    return f"{', '.join(results)}; {counts}; refused in {took:.1f} s"


def check_deploys(systemd, program, path):
    """A restart of the service replaces the master, too. A second service on the same socket serves meanwhile."""
    units, results = os.path.join(systemd.root, "etc/systemd/system"), []
    bridge = os.path.join(units, "prefork-bridge.service")
    shutil.copy(os.path.join(units, "prefork.service"), bridge)
    systemd.do("daemon-reload")
    for digit, steps in ((b"4", [("restart", "prefork.service")]),
                         (b"5", [("start", "prefork-bridge.service"), ("restart", "prefork.service"),
                                 ("stop", "prefork-bridge.service")])):
        before = systemd.show("MainPID")
        with Load(PORT, ["/"] * 6, prepare=systemd.enter, pause=0.002) as load, \
                Load(PORT, ["/slow?ms=2000"] * 4, prepare=systemd.enter) as slow:
            slow.wait_for(4)
            put_build(program, path, digit)
            for step in steps:
                systemd.do(*step)
            load.wait_for(load.counts["answered"] + 100)
            slow.stop()
            counts = load.stop()
        expect(set(counts) == set(slow.counts) == {"answered"}, f"a deploy cost requests: {counts}, {slow.counts}")
        expect(systemd.show("MainPID") != before, "the master is the same process")
        builds = {systemd.get("/build") for _ in range(20)}
        expect(builds == {build_text(digit)}, f"after the deploy, {builds} serve")
        results.append(f"{counts}, an answer took up to {load.longest:.2f} s")
    os.unlink(bridge)
    # With a bridge, no request waits for the drain, which takes up to two seconds.
    expect(load.longest < 1, f"with a bridge, an answer took {load.longest:.2f} s")
    return "; with a bridge ".join(results)


def has_request(systemd):
    """Whether a child has accepted a connection and read what came on it: no unread bytes, and an inode (proc(5))."""
    rows = [line.split() for line in systemd.inside("cat", "/proc/net/tcp").stdout.splitlines()[1:]]
    return any(row[1].endswith(f":{PORT:04X}") and row[3] == "01" and row[4].endswith(":00000000") and row[9] != "0"
               for row in rows)


def check_long_drain(systemd):
    """The drain takes longer than TimeoutStopSec."""
    answers = []
    client = threading.Thread(target=lambda: answers.append(systemd.get("/slow?ms=8000")))
    client.start()
    until(lambda: has_request(systemd), "a child reads the request")
    took = systemd.do("stop", "prefork.service")
    client.join()
    expect(answers == ["Hello world!"], f"the request got {answers}")
    expect(took > 5, f"the stop took {took:.1f} s")
    expect(systemd.show("Result") == "success", f"the result is {systemd.show('Result')}")
    return f"{took:.1f} s with TimeoutStopSec={systemd.show('TimeoutStopUSec')}"


def check_watchdog(systemd):
    """The watchdog leaves a fleet that serves, and replaces a master that is stopped."""
    systemd.do("start", "prefork.service")
    time.sleep(5)  # More than twice WatchdogSec.
    expect(systemd.show("NRestarts") == "0", "the watchdog has replaced a fleet that serves")
    begin = time.monotonic()
    systemd.inside("bash", "-c", f"kill -STOP {systemd.show('MainPID')}")
    until(lambda: systemd.show("NRestarts") == "1", "the watchdog")
    took = time.monotonic() - begin
    until(lambda: is_ready(systemd), "the new fleet")
    expect(systemd.get("/") == "Hello world!", "no answer of the new fleet")
    return f"{took:.1f} s"


def main():
    if os.geteuid() != 0:
        sys.exit("systemd: not root")
    needs("debootstrap", "unshare=util-linux", "nsenter=util-linux", "ip=iproute2", "swift=")
    program, root = product(), system()
    path = os.path.join(root, PROGRAM)
    put_build(program, path, b"0")
    for name in ("prefork.service", "prefork.socket"):
        shutil.copy(os.path.join(UNITS, name), os.path.join(root, "etc/systemd/system", name))
    drop_in = os.path.join(root, "etc/systemd/system/prefork.service.d")
    shutil.rmtree(drop_in, ignore_errors=True)
    with System(root) as systemd:
        print(systemd.ctl("--version").stdout.splitlines()[0], flush=True)
        print(f"start: {check_start(systemd)}", flush=True)
        print(f"reload: {check_reload(systemd, program, path)}", flush=True)
        print(f"deploys: {check_deploys(systemd, program, path)}", flush=True)
        os.mkdir(drop_in)
        with open(os.path.join(drop_in, "times.conf"), "w", encoding="ascii") as file:
            file.write(DROP_IN)
        systemd.do("daemon-reload")
        systemd.do("restart", "prefork.service")
        print(f"long drain: {check_long_drain(systemd)}", flush=True)
        print(f"watchdog: {check_watchdog(systemd)}", flush=True)


try:
    main()
except Failure as failure:
    sys.exit(f"systemd: {failure}")
