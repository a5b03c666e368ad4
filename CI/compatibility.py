#!/usr/bin/env python3
"""Runs the demonstration server of the commit before beside that of this one: a master of one restarts with children of
the other, and each upgrades to the other in place, under load.

    CI/compatibility.py [COMMIT]    the commit before, unless another one is named; two minutes with the build

The state that a master hands over, and what it tells its children, must be understood by builds before and after it.
Skipped in a clone that has only one commit.
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from support import HOST, ROOT, Clients, Failure, Server, converse, expect, needs, until

CHILDREN = 2
BUILT = os.path.join(ROOT, ".build/previous")


def git(*arguments):
    return subprocess.run(
        ["git", "-C", ROOT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def build(package, scratch):
    command = ["swift", "build", "--package-path", package, "--scratch-path", scratch, "--product", "hello-prefork"]
    built = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    expect(built.returncode == 0, f"{built.stdout}{' '.join(command)} failed")
    shown = subprocess.run([*command, "--show-bin-path"], check=True, stdout=subprocess.PIPE, text=True)
    return os.path.join(shown.stdout.strip(), "hello-prefork")


def previous(commit):
    """The program of that commit. `None` if the clone does not have it."""
    found = git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    if found.returncode:
        return None
    with tempfile.TemporaryDirectory() as directory:
        made = git("worktree", "add", "--detach", directory, found.stdout.strip())
        expect(made.returncode == 0, made.stdout)
        try:
            # A copy, because the build folder goes with the next commit.
            program = os.path.join(BUILT, "hello-prefork.previous")
            os.makedirs(BUILT, exist_ok=True)
            shutil.copy2(build(directory, BUILT), program)
            return program
        finally:
            git("worktree", "remove", "--force", directory)


class Load(Clients):
    def __init__(self, port):
        self.port, self.answered, self.faults = port, 0, []
        super().__init__(self.run, range(4))

    def run(self, _):
        while not self.over.is_set():
            try:
                with socket.create_connection((HOST, self.port), 10) as connection:
                    converse(connection, "/")
                    self.answered += 1
            except OSError as error:
                self.faults.append(repr(error))


def put(program, path):
    shutil.copy2(program, path + ".new")
    os.rename(path + ".new", path)


def check(name, first, second):
    """A fleet of the first program becomes one of the second, and goes back."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "server")
        put(first, path)
        server = Server(path, "--children", str(CHILDREN), "--readiness", "explicit", f"{HOST}:0")
        with server:
            server.wait_for("ready after", CHILDREN)
            load = Load(server.listening())
            put(second, path)
            os.kill(server.pid, signal.SIGHUP)
            server.wait_for(" restarted: ", 1)
            os.kill(server.pid, signal.SIGUSR2)
            server.wait_for(" upgraded: ", 1)
            put(first, path)
            os.kill(server.pid, signal.SIGUSR2)
            server.wait_for(" upgraded: ", 2)
            expect(os.path.samestat(os.stat(f"/proc/{server.pid}/exe"), os.stat(path)), "the master's program")
            until(lambda: len(server.children()) == CHILDREN, "the old children's ends")
            load.stop()
            server.stop()
            print(f"{name}: {load.answered} answered, {len(load.faults)} failed")
            expect(not load.faults, f"requests failed: {load.faults[:5]}")
            expect(not server.find("keeps its program|channel's protocol"), "a build was not understood")


def main():
    needs("swift=", "git")
    commit = sys.argv[1] if len(sys.argv) > 1 else "HEAD~1"
    try:
        old = previous(commit)
        if old is None:
            print(f"skipped: this clone has no {commit}")
            return
        new = build(ROOT, os.path.join(ROOT, ".build"))
        check("old master, new build", old, new)
        check("new master, old build", new, old)
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")


main()
