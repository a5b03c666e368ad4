#!/usr/bin/env python3
"""Breaks the rules in Sources/Prefork/Supervisor, one line at a time, in a temporary copy of the package. Prints after
how many schedules the simulation notices. Fails if a mutation survives, or if the line that it changes does not exist.

    CI/mutants.py [N] [WORD …]    up to N schedules each (200,000); only mutations whose name contains each WORD
"""
import concurrent.futures
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time

from support import ROOT, needs

RULES = "Sources/Prefork/Supervisor"  # every Swift file in it

# Name, the text that occurs exactly once, and its replacement.
MUTATIONS = [
    ("a stop keeps what waits for its next try",
     "case .waiting: slots[index].state = .empty",
     "case .waiting: break"),
    ("a child that was killed is not marked",
     "slots[index].state = .stopping(life, since: since, killAt: nil)",
     "slots[index].state = .stopping(life, since: since, killAt: .distantPast)"),
    ("exits never leave the window",
     "exitTimes.removeAll { $0 < now - window }",
     "exitTimes.removeAll { _ in now - window > now }"),
    ("only the window's exits count where there is none",
     "(rules.window == nil ? exitCount : exitTimes.count) > exits",
     "exitTimes.count > exits"),
    ("one exit fewer is survived",
     "(rules.window == nil ? exitCount : exitTimes.count) > exits",
     "(rules.window == nil ? exitCount : exitTimes.count) >= exits"),
    ("delays double beyond the maximum",
     "delay = delay > maximum / 2 ? maximum : delay * 2",
     "delay = delay * 2"),
    ("alive for long is healthy",
     "if let readyAt = life.readyAt, now - readyAt >= rules.healthyAfter",
     "if now - life.spawnedAt >= rules.healthyAfter"),
    ("a suspended master judges readiness at once",
     "life.judgedFrom = now",
     "life.judgedFrom = life.spawnedAt"),
    ("a suspended master kills at once",
     "case .stopping(let life, let since, .some):\n"
     "                slots[index].state = .stopping(life, since: since, killAt: now + rules.grace)",
     "case .stopping(let life, let since, .some):\n"
     "                slots[index].state = .stopping(life, since: since, killAt: since + rules.grace)"),
    ("a final status is tried again",
     "rules.finalStatuses.contains(status), !isAnyHealthy(now)",
     "rules.finalStatuses.contains(-status), !isAnyHealthy(now)"),
    ("a final status ends those that serve",
     "rules.finalStatuses.contains(status), !isAnyHealthy(now)",
     "rules.finalStatuses.contains(status)"),
    ("whoever is ready is healthy",
     "return now - readyAt >= rules.healthyAfter",
     "return now >= readyAt"),
    ("a stop that has begun can begin again",
     "guard !isStopping else { return }\n        failure = error",
     "failure = error"),
    ("a slot is recovered while stopping",
     "let expected = isStopping",
     "let expected = isStopping; if expected { slots[index].state = .waiting(until: now); return }"),
    ("a burst of signals kills",
     "arrived - first >= Self.burst",
     "arrived - first >= .zero"),
    ("a burst is measured by the reading of the signals",
     "arrived - first >= Self.burst",
     "now - first >= Self.burst"),
    ("a second request kills",
     "guard case .signal = reason else { return }",
     "if case .signal = reason {}"),
    ("the first signal kills in a stop that began without one",
     "guard let first = firstStopSignal else {\n            firstStopSignal = arrived\n            return\n        }",
     "let first = firstStopSignal ?? arrived - .seconds(1)\n        firstStopSignal = first"),
    ("a child that was told to leave can still become ready",
     "case .starting(var life) = slots[index].state else",
     "var life = slots[index].state.life else"),
    ("the end comes with the first empty slot",
     "slots.allSatisfy({ $0.state == .empty })",
     "slots.contains(where: { $0.state == .empty })"),
    ("the slot limit allows one more",
     "slots[index].recoveries >= limit",
     "slots[index].recoveries > limit"),
    ("the first slot that is due comes first",
     "if let index = due.min(by: { slots[$0].state.waitsUntil ?? now < slots[$1].state.waitsUntil ?? now }) {",
     "if let index = due.first {"),
    ("a child that is not ready in time has no grace",
     "slots[index].state = .stopping(life, since: now, killAt: now + rules.grace)\n"
     "        actions",
     "slots[index].state = .stopping(life, since: now, killAt: now)\n"
     "        actions"),
    ("a slot stays in rotation when its child is gone",
     "if wanted == rotation { return }",
     "if wanted == rotation || wanted.count < rotation.count { return }"),
    ("a slot without a ready child is put into rotation",
     "slots.indices.filter { if case .ready = slots[$0].state { true } else { false } }",
     "slots.indices.filter { slots[$0].state.life != nil }"),
    ("nobody is in rotation while no child is ready",
     "let wanted = ready.isEmpty ? Array(slots.indices) : ready",
     "let wanted = ready"),
    ("connections are steered anew in a stop",
     "guard !isStopping else { return }\n        let ready",
     "let ready"),
    ("connections are steered after a child was told of",
     "actions.insert(.rotate(slots: wanted), at: 0)",
     "actions.append(.rotate(slots: wanted))"),
    ("who is not ready waits for the queues",
     "case .starting(let life): tell(index, life, now, &actions)",
     "case .starting: break"),
    ("who is ready is told before the queues are empty",
     "case .empty, .spawning, .ready, .stopping: break\n            }\n        }\n        if !readySlots",
     "case .ready(let life): tell(index, life, now, &actions)\n"
     "            case .empty, .spawning, .stopping: break\n            }\n        }\n        if !readySlots"),
    ("newcomers are let in during a stop",
     "if !readySlots.isEmpty, rules.queueDrain > .zero { actions.append(.closeAdmission) }",
     ""),
    ("nobody hears that the queues are empty",
     "case .admissionClosed: tellChildren(now, &actions)",
     "case .admissionClosed: break"),
    ("queues are waited for without an end",
     "if case .closingAdmission(let until) = phase, until <= now { tellChildren(now, &actions) }",
     ""),
    ("the queues are waited for when nobody accepts",
     "if readySlots.isEmpty || rules.queueDrain == .zero { tellChildren(now, &actions) }",
     "if rules.queueDrain == .zero || slots.allSatisfy({ $0.state == .empty }) { tellChildren(now, &actions) }"),
    ("a second signal waits for the queues",
     "tellChildren(now, &actions)  // A kill is one of children that have been told.",
     ""),
    ("the children are told twice",
     "guard case .closingAdmission = phase else { return }\n        phase = .stopping",
     "guard isStopping, phase != .finished else { return }\n        phase = .stopping"),
    ("the listeners stay open",
     "actions.append(.closeListeners)",
     ""),
]


def run(tree, schedules):
    """None if no rule was broken, otherwise what the simulation noticed."""
    test = ["swift", "test", "-c", "release", "--scratch-path", tree / ".build", "--filter"]
    build = subprocess.run(test + ["SimulationTests/none"], cwd=tree, capture_output=True, text=True)
    if build.returncode != 0:
        sys.exit(f"the mutation does not compile:\n{build.stdout}{build.stderr}")
    environment = {**os.environ, "PREFORK_SIMULATE": str(schedules)}
    for name in ("PREFORK_SEED", "PREFORK_SEED_BASE"):
        environment.pop(name, None)
    command = test + ["SimulationTests/schedules", "--skip-build"]
    try:
        result = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        return "hung"
    line = re.search(r"^simulation: .*$", result.stdout, re.MULTILINE)
    if line is None:
        # A trap in the rules counts as noticed. A filter that matches no test does not.
        if result.returncode == 0:
            sys.exit(result.stdout + result.stderr)
        return "trapped"
    if result.returncode == 0:
        return None
    found = re.search(r"after (\d+) schedules, breaks a rule: (.*)", line[0])
    return f"after {int(found[1]):>6,} schedules: {found[2]}" if found else line[0]


def copy(root, tree):
    """Copies the library and, of the tests, the simulation. The others take time to build and would not run."""
    shutil.copytree(root / "Sources", tree / "Sources", ignore=shutil.ignore_patterns("hello-prefork"))
    shutil.copy(root / "Package.swift", tree)
    for folder in ("Sources/hello-prefork", "Tests/PreforkTests", "Tests/IntegrationTests"):
        (tree / folder).mkdir(parents=True)
    (tree / "Sources/hello-prefork/Nothing.swift").write_text("@main struct Nothing { static func main() {} }\n")
    (tree / "Tests/IntegrationTests/Nothing.swift").write_text("import Testing\n")
    for source in (root / "Tests/PreforkTests").glob("Simulation*.swift"):
        shutil.copy(source, tree / "Tests/PreforkTests")


def main():
    arguments = sys.argv[1:]
    schedules = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 200_000
    wanted = [m for m in MUTATIONS if all(word in m[0] for word in arguments)]
    root = pathlib.Path(ROOT)
    originals = {rules.relative_to(root): rules.read_text() for rules in sorted((root / RULES).glob("*.swift"))}
    for name, old, _ in wanted:
        if (count := sum(text.count(old) for text in originals.values())) != 1:
            sys.exit(f"{name}: its line occurs {count} times instead of once")
    needs("swift=")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="prefork-mutants-") as folder:
        trees = queue.SimpleQueue()
        # One worker per processor, because the compiler mostly compiles one file on one processor.
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        for number in range(workers):
            copy(root, pathlib.Path(folder) / str(number))
            trees.put(pathlib.Path(folder) / str(number))

        def attempt(mutation):
            name, old, new = mutation
            tree = trees.get()
            try:
                for rules, text in originals.items():
                    (tree / rules).write_text(text.replace(old, new))
                return run(tree, schedules)
            except SystemExit as error:
                return error
            finally:
                trees.put(tree)

        noticed = attempt(("no mutation", "\0", ""))
        if noticed is not None:
            sys.exit(f"without any mutation: {noticed}")
        print(f"{'no mutation':56}{schedules:,} schedules break no rule", flush=True)
        survivors = 0
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for mutation, noticed in zip(wanted, pool.map(attempt, wanted)):
                if isinstance(noticed, SystemExit):
                    pool.shutdown(cancel_futures=True)
                    sys.exit(f"{mutation[0]}: {noticed}")
                survivors += noticed is None
                print(f"{mutation[0]:56}{noticed or 'SURVIVED'}", flush=True)
    print(f"{len(wanted) - survivors} of {len(wanted)} mutations noticed, {time.monotonic() - start:.0f} s")
    sys.exit(1 if survivors else 0)


main()
