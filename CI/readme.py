#!/usr/bin/env python3
"""Checks the Markdown files of the package, READMEs and DocC articles alike, and the programs in them.

    CI/readme.py [--links]                all checks, or the links and paths alone
    CI/readme.py --program PATH           the program of README.md, which was built from its copy

Every relative link must lead to a file, and its fragment to a heading. Every path of the repository in a text must
exist. The program of Platforms/Frameworks/Plain/README.md, word for word, must build, answer and stop. That of
README.md needs Hummingbird. It must be the same as its copy, which CI/frameworks.py builds.
"""
import collections
import ctypes
import glob
import os
import re
import subprocess
import sys

from support import ROOT, Failure, Server, expect, needs, request, until

# Product: the file whose first Swift listing is its program.
PROGRAMS = {"Plain": "Platforms/Frameworks/Plain/README.md"}
COPY = "Platforms/Frameworks/Takeover/Sources/readme-server/Server.swift"  # The program of README.md.
PORT = 8080  # The programs name it.
CLONE_NEWNET = 0x40000000

LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|^\s*\[[^\]]+\]:\s*(\S+)")
# A path from the root of the repository, also after an ellipsis.
REPOSITORY_PATH = re.compile(r"(?:(?<=…/)|(?<![\w./-]))(?:\.ci|\.github|CI|Platforms|Sources|Tests)/[\w./*+-]*")
RELATIVE_PATH = re.compile(r"(?<![\w./-])\./[\w./+-]+")
INLINE_CODE = re.compile(r"`([^`]+)`")


def markdown_files():
    """Paths from the root. Skips hidden folders, which hold builds."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(folder, name), ROOT)


def numbered_lines(path):
    """Number, text, and whether the line is in a fenced listing."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        fenced = False
        for number, line in enumerate(file, 1):
            is_fence = line.lstrip().startswith("```")
            yield number, line.rstrip("\n"), fenced or is_fence
            fenced ^= is_fence


def anchors(path):
    """The fragments of a file's headings, as GitHub makes them."""
    seen, found = collections.Counter(), set()
    for _, line, fenced in numbered_lines(path):
        heading = None if fenced else re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
        if heading:
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def link_fault(path, target):
    """What is wrong with a link in the file, or None."""
    if re.match(r"[A-Za-z][\w+.-]*:", target):
        return None  # Another scheme: the web, mail, or a symbol of DocC.
    name, _, fragment = target.partition("#")
    base = ROOT if name.startswith("/") else os.path.join(ROOT, os.path.dirname(path))
    file = os.path.normpath(os.path.join(base, name.lstrip("/"))) if name else os.path.join(ROOT, path)
    if not os.path.exists(file):
        return f"broken link: {target}"
    if fragment and file.endswith(".md") and fragment not in anchors(os.path.relpath(file, ROOT)):
        return f"broken link: {target}: no such heading"
    return None


def exists(path, token):
    """Whether the path or pattern fits a file, from the root or from the folder of the Markdown file."""
    return any(glob.glob(os.path.join(base, token)) for base in (ROOT, os.path.join(ROOT, os.path.dirname(path))))


def paths_in(path, line):
    """The texts in a line that look like paths of the repository."""
    found = [token.rstrip(".,:") for token in REPOSITORY_PATH.findall(line)]
    found += RELATIVE_PATH.findall(line)
    beside = os.path.join(ROOT, os.path.dirname(path))
    for code in INLINE_CODE.findall(line):
        # Code such as `Sources/Name` next to a README counts only if its first folder is there.
        if re.fullmatch(r"[\w.+-]+(/[\w.+-]*)+", code) and os.path.isdir(os.path.join(beside, code.split("/")[0])):
            found.append(code)
    return dict.fromkeys(found)


def check_links():
    faults, files, links, paths = [], 0, 0, 0
    for path in markdown_files():
        files += 1
        for number, line, fenced in numbered_lines(path):
            prose = "" if fenced else INLINE_CODE.sub("`code`", line)
            for match in LINK.finditer(prose):
                links += 1
                if fault := link_fault(path, match[1] or match[2]):
                    faults.append(f"{path}:{number}: {fault}")
            for token in paths_in(path, LINK.sub("", line)):
                paths += 1
                if not exists(path, token):
                    faults.append(f"{path}:{number}: no such path: {token}")
    for fault in faults:
        print(fault, file=sys.stderr)
    expect(files and links and paths, "found nothing to check")
    expect(not faults, f"{len(faults)} broken links or paths")
    print(f"readme: {links} links and {paths} paths in {files} files are valid")


def first_program(path):
    """The first Swift listing of the file."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        listing = re.search(r"^```swift\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)
    expect(listing, f"{path} has no Swift listing")
    return listing[1]


def build_programs():
    """Builds the programs in a package that depends on this one, and returns their paths."""
    package = os.path.join(ROOT, ".build/readme")
    targets = []
    for name, path in PROGRAMS.items():
        os.makedirs(os.path.join(package, "Sources", name), exist_ok=True)
        with open(os.path.join(package, "Sources", name, f"{name}.swift"), "w", encoding="utf-8") as file:
            file.write(first_program(path))
        product = '.product(name: "Prefork", package: "prefork")'
        targets.append(f'        .executableTarget(name: "{name}", dependencies: [{product}]),\n')
    with open(os.path.join(package, "Package.swift"), "w", encoding="utf-8") as file:
        file.write(f"""// swift-tools-version: 6.0
import PackageDescription
let package = Package(
    name: "Server",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "prefork", path: "{ROOT}")],
    targets: [
{''.join(targets)}    ]
)
""")
    build = ["swift", "build", "--package-path", package, "-Xswiftc", "-warnings-as-errors"]
    expect(subprocess.run(build, check=False).returncode == 0, "the programs do not build")
    shown = subprocess.run([*build, "--show-bin-path"], check=True, stdout=subprocess.PIPE, text=True)
    return [os.path.join(shown.stdout.strip(), name) for name in PROGRAMS]


def leave_network():
    """Moves this process into its own network namespace, in which every port is free. Needs the privilege; without it,
    the programs need their port on this machine."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def check_copy():
    with open(os.path.join(ROOT, COPY), encoding="utf-8") as file:
        expect(file.read() == first_program("README.md"), f"{COPY} is not the program of README.md")
    print("readme: the program of README.md is the same as its copy")


def check_programs(programs):
    needs("swift=", "ip=iproute2")
    leave_network()
    for program in programs:
        name = os.path.basename(program)
        expect(request(PORT)[0] == "refused", f"port {PORT} is in use")
        with Server(program) as server:
            until(lambda: request(PORT)[0] == "answered", f"an answer of {name}")
            _, body = request(PORT)
            expect(body and body.strip() == "hello", f"{name} answers {body!r}")
            server.stop()
        print(f"readme: {name} answers and stops")


def main():
    words = sys.argv[1:]
    try:
        check_copy()
        if words[:1] == ["--program"]:
            return check_programs(words[1:])
        check_links()
        if "--links" not in words:
            check_programs(build_programs())
    except Failure as failure:
        sys.exit(f"readme: {failure}")


main()
