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
    # Stopping
    ("a stop keeps what waits for its next try",
     "if case .backingOff = slots[index].attempt { slots[index].attempt = .none }\n            slots[index].retirement",
     "slots[index].retirement"),
    ("a stop that has begun can begin again",
     "guard !isStopping else { return }\n        failure = error",
     "failure = error"),
    ("a slot is recovered while stopping",
     "if isStopping || cause?.isPlanned == true || index >= target {",
     "if cause?.isPlanned == true || index >= target {"),
    ("a held Ctrl-C kills",
     "arrival - first >= Self.interruptPause",
     "arrival - first >= .zero"),
    ("the pause between two interrupts is measured by their reading",
     "arrival - first >= Self.interruptPause",
     "now - first >= Self.interruptPause"),
    ("a second TERM kills",
     "number == Signal.interrupt.number",
     "number == Signal.interrupt.number || number == Signal.terminate.number"),
    ("a second request kills",
     "if reason.isInterrupt, let first = firstInterrupt, arrival",
     "if let first = firstInterrupt, arrival"),
    ("the first interrupt kills in a stop that began without one",
     "if reason.isInterrupt, firstInterrupt == nil { firstInterrupt = arrival }",
     "if firstInterrupt == nil { firstInterrupt = arrival }"),
    ("a repeated request gets no answer",
     "if wasStopping, phase != .finished {",
     "if wasStopping, phase == .finished {"),
    ("a repeated request promises more time than there is not",
     "return max(.zero, until - now) + rules.grace",
     "return until - now + rules.grace"),
    ("a child is killed again and again",
     "guard let next, next <= now else { return nil }\n            return steps.popFirst()?.signal",
     "guard let next, next <= now else { return nil }\n            return steps.first?.signal"),
    ("a second interrupt kills a child that was killed",
     "where slots[index].outgoing[position].escalation.next != nil {\n                let exiting",
     "where slots[index].outgoing[position].since <= now {\n                let exiting"),
    ("a second interrupt leaves the kill of the grace period",
     "slots[index].outgoing[position].escalation.end()\n",
     "\n"),
    ("the end comes with the first empty slot",
     "guard phase == .stopping, slots.all(.occupied).isEmpty",
     "guard phase == .stopping, slots.all(.occupied).count < slots.count"),
    ("a child that is about to exit is forgotten at the end",
     "current == nil && successor == nil && outgoing.isEmpty && attempt == .none",
     "current == nil && successor == nil && attempt == .none"),
    ("a child that is not ready waits for the queues",
     "if let child = slots[index][role], child.readyAt == nil {\n                    requestExit",
     "if let child = slots[index][role], child.readyAt == nil, false {\n                    requestExit"),
    ("a ready child is asked to exit before the queues are empty",
     "if let child = slots[index][role], child.readyAt == nil {\n                    requestExit",
     "if slots[index][role] != nil {\n                    requestExit"),
    ("new connections are let in during a stop",
     "if !acceptingSlots.isEmpty, rules.queueDrain > .zero { actions.append(.closeAdmission) }",
     ""),
    ("nothing follows when the queues are empty",
     "case .admissionClosed: requestExits(now, &actions)",
     "case .admissionClosed: break"),
    ("queues are waited for without an end",
     "if case .closingAdmission(let until) = phase, until <= now { requestExits(now, &actions) }",
     ""),
    ("queues are waited for when no child accepts",
     "if acceptingSlots.isEmpty || rules.queueDrain == .zero {",
     "if rules.queueDrain == .zero || slots.allSatisfy(\\.isEmpty) {"),
    ("a second interrupt waits for the queues",
     "requestExits(now, &actions)  // Children are killed only after they were asked.",
     "if case .closingAdmission = phase { return }"),
    ("listeners close before the children are asked",
     "phase = .stopping\n        for index in slots.indices {",
     "phase = .stopping\n        actions.append(.closeListeners)\n        for index in slots.indices {"),
    ("a drain that nobody asked for keeps its own time in a stop",
     "slots[index].outgoing[position].escalation = .terminate(grace: rules.grace, at: now)\n",
     "\n"),
    ("there is no grace period",
     "Escalation([Step(signal: .terminate, after: .zero), Step(signal: .kill, after: grace)], at: begin)",
     "Escalation([Step(signal: .terminate, after: .zero), Step(signal: .kill, after: .zero)], at: begin)"),
    # Starting
    ("a refused start ends a fleet that has been up",
     "if hasBeenUp { return spawnFailed(",
     "if isStopping { return spawnFailed("),
    ("a refused start never ends a fleet",
     "if hasBeenUp { return spawnFailed(",
     "if true { return spawnFailed("),
    ("a child that must exit can still become ready",
     "var child = slots[index][role], case .starting = child.stage else {",
     "var child = slots[index][role] else {"),
    ("the first slot that is due comes first",
     "let index = slots.tries.first {",
     "let index = slots.tries.due(at: now).first {"),
    ("readiness is waited for without an end",
     "judgeReadiness(index, now, &actions)\n            replaceWithoutExit",
     "replaceWithoutExit"),
    ("a child is up as soon as it is ready",
     "upAt: now + rules.settleTime, provenAt: now + rules.provingTime)\n        child.startCost",
     "upAt: now, provenAt: now + rules.provingTime)\n        child.startCost"),
    ("a child is proven as soon as it is up",
     "max(.seconds(1), settleTime)",
     "settleTime"),
    ("a child that drains becomes up",
     "guard !isDraining, case .ready(let since, let upAt, let provenAt) = stage else { return }",
     "guard case .ready(let since, let upAt, let provenAt) = stage else { return }"),
    ("failures are kept when a child is up",
     "hasBeenUp = true\n            slots[index].failures = 0",
     "hasBeenUp = true"),
    ("crashes are kept when a child is proven",
     "slots[index].crashes.forget()",
     ""),
    ("slots wait although what kept the fleet down is over",
     "if !wasAnyProven { retryAll(now) }",
     ""),
    ("slots are retried whenever any child is proven",
     "if !wasAnyProven { retryAll(now) }",
     "retryAll(now)"),
    # Rotation
    ("a slot stays in rotation when its child is gone",
     "if wanted == rotation { return [] }",
     "if wanted == rotation || wanted.count < rotation.count { return [] }"),
    ("a slot without a ready child is in rotation",
     "if isAccepting { traits.insert(.accepting) }",
     "if current != nil { traits.insert(.accepting) }"),
    ("a child that drains stays in rotation",
     "var isAccepting: Bool { readyAt != nil && !isDraining }",
     "var isAccepting: Bool { readyAt != nil }"),
    ("no slot is in rotation while no child is ready",
     "let wanted = accepting.isEmpty ? SlotSet(0..<target) : accepting",
     "let wanted = accepting"),
    ("connections are steered during a stop",
     "guard !isStopping else { return [] }\n",
     "\n"),
    ("connections are steered after everything else",
     "return rotationChange() + actions",
     "return actions + rotationChange()"),
    # Exits
    ("exits never leave the window",
     "times[expired] < now - window {",
     "now < now - window {"),
    ("one exit fewer is survived",
     "strictExits.count(at: now, within: rules.window) > exits",
     "strictExits.count(at: now, within: rules.window) >= exits"),
    ("delays double beyond the maximum",
     "delay = delay > maximum / 2 ? maximum : delay * 2",
     "delay = delay * 2"),
    ("a fatal status is tried again",
     "if exit.hasFatalStatus(rules), !isAnyUp, !isOnTrial {",
     "if exit.hasFatalStatus(rules), isAnyUp, !isOnTrial {"),
    ("a fatal status ends children that are up",
     "if exit.hasFatalStatus(rules), !isAnyUp, !isOnTrial {",
     "if exit.hasFatalStatus(rules), !isOnTrial {"),
    ("any ready child spares a fatal status",
     "if current.isUp, current.isAccepting { traits.insert(.serving) }",
     "if current.isAccepting { traits.insert(.serving) }"),
    ("a spared fatal status is replaced at once",
     "if exit.hasFatalStatus(rules) { return failedStart(index, now) }",
     ""),
    ("the slot limit allows one more",
     "let limit = rules.limitPerSlot, slots[index].recoveries >= limit { return .giveUp",
     "let limit = rules.limitPerSlot, slots[index].recoveries > limit { return .giveUp"),
    ("a shortage counts towards giving up",
     "if case .failedStart(isShortage: true) = ending { return .recover(after: delayAfterFailedStart(index)) }",
     ""),
    ("a fleet that has been up gives up",
     "guard rules.recovery == .automatic, !hasBeenUp else { return .recover(after: delay) }",
     "guard rules.recovery == .automatic else { return .recover(after: delay) }"),
    ("a fleet that never gives up does",
     "guard rules.recovery == .automatic, !hasBeenUp else { return .recover(after: delay) }",
     "guard !hasBeenUp else { return .recover(after: delay) }"),
    ("a fleet gives up one failure too early",
     "guard let first, !overflow, count > most else",
     "guard let first, !overflow, count >= most else"),
    ("a fleet gives up before 15 seconds have passed",
     "return elapsed >= Self.leastTime ? .tooMany : .many(Self.leastTime - elapsed)",
     "return .tooMany"),
    ("the last try comes long after 15 seconds",
     "case .many(let left): delay = min(delay, left)",
     "case .many: break"),
    ("a child that served for long waits",
     "guard let readyAt = child.readyAt, !child.isProven else {",
     "guard let readyAt = child.readyAt else {"),
    ("a broken program is taken for a victim",
     "if service * Self.leastService < start { return .brokenProgram }",
     ""),
    ("equal ages say nothing",
     "lives.count == Self.kept && longest < shortest * 2 ? .brokenProgram : .poison",
     ".poison"),
    ("restarts of a broken program cost what they like",
     "wait = brokenBudget.charge(processorTime ?? start, at: now)",
     "wait = .zero"),
    ("restarts of victims cost what they like",
     "case (.poison, _), (.unknown, true): wait = poisonBudget.charge(child.startCost ?? start, at: now)",
     "case (.poison, _), (.unknown, true): wait = .zero"),
    ("a debt is never paid",
     "min(capacity, level + elapsed / 1000 * perMille)",
     "level"),
    ("a delay exceeds the maximum",
     "return .recover(after: min(max(wait, least), rules.delays.maximum))",
     "return .recover(after: max(wait, least))"),
    # Withdrawing
    ("a child that drains is not replaced beside it",
     "cause: isReplaced ? cause : .unreplaced, since: now",
     "cause: .unreplaced, since: now"),
    ("two children of a slot drain at once",
     " && !slots[index].isExiting(because: cause)",
     ""),
    ("a fleet that recovers nothing replaces a child that drains",
     "rules.recovery != .never && !slots[index]",
     "!slots[index]"),
    ("a child that drains is replaced past the slot's limit",
     "            && rules.limitPerSlot.map { slots[index].recoveries < $0 } ?? true",
     ""),
    ("a stop does not reach a child that drains and is not replaced",
     "[.unrequested, .unreplaced].contains(slots[index].outgoing[position].cause)",
     "[.unrequested].contains(slots[index].outgoing[position].cause)"),
    ("the exit of a replaced child starts another",
     "if isOnTrial { failRestart(.exit(exit), now, &actions) }\n                return\n            }",
     "verdict = .recover(after: .zero)\n            }"),
    ("a replaced child does not count in a strict mode",
     "if let error = strictRefusal(index, exit, now) {\n                verdict = .giveUp(error)\n            } else {",
     "if isStopping, let error = strictRefusal(index, exit, now) {\n"
     "                verdict = .giveUp(error)\n            } else {"),
    ("a closed channel keeps its slot in rotation",
     "slots[index][role]?.isDraining = true\n        slots[index][role]?.exitExpectedBy",
     "slots[index][role]?.exitExpectedBy"),
    ("a closed channel without an exit is waited for",
     "slots[index][role]?.exitExpectedBy = now + Self.exitNotice",
     ""),
    # The master's absence
    ("a suspended master judges readiness at once",
     "stage = .starting(readyBy: now + rules.readinessTimeout)\n            return true",
     "return true"),
    ("a suspended master kills at once",
     "mutating func restart(at now: Instant) { begin = now }",
     "mutating func restart(at now: Instant) {}"),
    ("a suspended master takes ready children for proven",
     "provenAt: provenAt.map { _ in now + rules.provingTime })",
     "provenAt: provenAt)"),
    ("a suspended master gives up on the queues",
     "phase = .closingAdmission(until: now + rules.queueDrain)\n            restarted = true",
     "restarted = true"),
    # Backtraces
    ("backtraces are printed in a storm",
     "areSuppressed = true\n",
     "areSuppressed = false\n"),
    ("backtraces are suppressed for good",
     "last >= Self.period else { return false }\n        areSuppressed = false",
     "last >= Self.period * 1000 else { return false }\n        areSuppressed = false"),
    ("backtraces return during a storm",
     "now - last >= Self.period else { return false }",
     "now - last >= .zero else { return false }"),
    # Restarts
    ("the old child goes before the new one is up",
     "case .ready(_, let upAt?, _) = child.stage,\n            upAt <= now",
     "case .ready = child.stage"),
    ("the old child stays beside the new one",
     "requestExit(index, .current, cause, now, &actions)\n        }\n        slots[index].current = successor",
     "}\n        slots[index].current = successor"),
    ("all slots are replaced at once",
     "busy < rules.restartConcurrency ? .replaceable : .vacant",
     ".replaceable"),
    ("a slot without a child waits for its turn",
     "slots.all(busy < rules.restartConcurrency ? .replaceable : .vacant)",
     "busy < rules.restartConcurrency ? slots.all(.replaceable) : []"),
    ("a slot is replaced while an old child drains",
     "return outgoing.allSatisfy { aim.goesBack && $0.cause.letsRollBack }",
     "return true"),
    ("going back waits for old children",
     "return outgoing.allSatisfy { aim.goesBack && $0.cause.letsRollBack }",
     "return outgoing.isEmpty"),
    ("the first new child does not serve alone",
     "if end > now { return }",
     ""),
    ("the first new child may crash",
     "(!child.isUp || restart?.isBaking == true)",
     "!child.isUp"),
    ("a new child that crashes is tried again",
     "if isOnTrial(generation) { return failRestart(fault, now, &actions) }",
     ""),
    ("a fatal status of a new build ends the fleet",
     "if exit.hasFatalStatus(rules), !isAnyUp, !isOnTrial {",
     "if exit.hasFatalStatus(rules), !isAnyUp {"),
    ("a restart that fails leaves the new children",
     "if current.generation == failed.generation { continue }",
     ""),
    ("a restart that fails leaves a start that waits",
     "slots[index].attempt = .none\n            } else if",
     "} else if"),
    ("a successor that is not wanted stays",
     "requestExit(index, .successor, .abandoned, now, &actions)\n"
     "            slots[index].retryDelay = nil\n            if",
     "slots[index].retryDelay = nil\n            if"),
    ("a crash starts a child beside the successor",
     "if role == .current { replaceBySuccessor(index) }",
     ""),
    ("a second restart is forgotten",
     "if isRestartQueued, handingOverSince == nil { prepareRestart(now, &actions) }",
     ""),
    ("a restart begins while the master's program is replaced",
     "if isRestartQueued, handingOverSince == nil {",
     "if isRestartQueued {"),
    ("an upgrade that fails replaces the master's program",
     "if finished.isUpgrade, finished.stage != .returning {",
     "if finished.isUpgrade {"),
    ("a rollback leads to the same program with other listeners",
     "if !finished.isRenewal { previousGeneration",
     "if true { previousGeneration"),
    ("an upgrade is only a restart",
     "isUpgradeQueued = true\n",
     ""),
    ("a stop leaves a handover open",
     'abandonHandover("the fleet stops", &actions)',
     ""),
    ("a rollback goes on with an upgrade",
     'abandonHandover("a rollback was requested", &actions)',
     ""),
    ("a child that returns to the build before counts as restarted",
     "guard let restart, !restart.goesBack, restart.generation == successor.generation else { return .rollback }",
     "guard let restart, !restart.goesBack else { return .rollback }"),
    ("a handover forgets when a child is killed",
     'record.set("signals-since", escalation.begin)',
     'record.set("signals-since", since)'),
    ("a handover forgets a slot that leaves the fleet",
     'case .accepted: record.set("accepted", true)',
     "case .accepted: break"),
    ("a restart during a restart begins at once",
     "handingOverSince == nil, restart == nil || restart?.stage == .returning {",
     "handingOverSince == nil {"),
    ("a restart waits until the fleet is back",
     "handingOverSince == nil, restart == nil || restart?.stage == .returning {",
     "handingOverSince == nil, restart == nil {"),
    ("a rollback leads to the build that serves",
     "if !finished.isRenewal { previousGeneration = generation }\n            generation = served",
     "generation = served"),
    ("a restart ends before all children are up",
     "slots.all(restart.stage == .returning ? .mixed : .unsettled)",
     "slots.all(.mixed)"),
    ("a shortage fails a restart",
     "if isShortage, slots[index].shortages < Self.mostShortages {",
     "if isShortage, slots[index].shortages < 0 {"),
    ("a stop goes on with a restart",
     "(restart, isRestartQueued, isUpgradeQueued, queuedTarget) = (nil, false, false, nil)",
     ""),
    ("the timer of a successor that is up stays due in a stop",
     "slots[index].successor?.passTimes(now)\n            return",
     "return"),
    ("a child starts beside one whose exit decides",
     "if case .backingOff = slots[index].attempt { slots[index].attempt = .none }\n    }",
     "}"),
    # Resizes
    ("a slot that leaves the fleet stays in rotation",
     "let accepting = acceptingSlots.prefix(below: target)",
     "let accepting = acceptingSlots"),
    ("a slot that leaves is asked to exit before its queue is empty",
     "slots[index].retirement = .accepting(until: now + rules.queueDrain)\n            actions",
     "slots[index].retirement = .accepted\n            actions"),
    ("a slot that leaves waits for its queue without an end",
     "if case .accepting(let until) = slots[index].retirement, until <= now {",
     "if case .accepting(let until) = slots[index].retirement, until < Instant(nanoseconds: 0) {"),
    ("a slot that leaves is recovered",
     "if isStopping || cause?.isPlanned == true || index >= target {",
     "if isStopping || cause?.isPlanned == true {"),
    ("two children of a slot leave at the same time",
     "case .accepted: if !isExiting(because: .resize) { traits.insert(.leaving) }",
     "case .accepted: traits.insert(.leaving)"),
    ("a slot that comes back is still asked to exit",
     "slots[index].retirement = nil\n        slots[index].generation = generation",
     "slots[index].generation = generation"),
    ("a slot that comes back keeps a child of another build",
     "if let current = slots[index].current, current.generation == generation { return }",
     "if slots[index].current != nil { return }"),
    ("a resize during the start is forgotten",
     "queuedTarget = count\n            return",
     "return"),
    # Recycling
    ("two slots are recycled at the same time",
     "slots.all(.beingRecycled).isEmpty",
     "true"),
    ("a child is recycled during a restart",
     "guard restart == nil, slots.all",
     "guard slots.all"),
    ("the last request to be recycled comes first",
     "slots[index].mayRecycle ? slots[index].recycling?.since : nil",
     "slots[index].mayRecycle ? .distantPast : nil"),
    ("the new child is recycled for the old one",
     "for index in slots.all(.recycled) { slots[index].recycling = nil }",
     ""),
    ("a child never grows old",
     "recycleRequested(child.pid, .age, now)",
     ""),
    ("a second successor starts while the first one exits",
     "!slots[index].isExiting(because: .abandoned)",
     "true"),
    # Health
    ("a beat counts for nothing",
     "slots[index][role]?.beatBy = rules.heartbeatTimeout.map { now + $0 }",
     ""),
    ("silence is no reason",
     "unresponsive(index, role, .silence(rules.heartbeatTimeout ?? .zero), now, &actions)",
     ""),
    ("a child that does not respond is asked by TERM",
     "withdraw(index, role, .unresponsive, .abort(grace: rules.abortGrace, at: now), now, &actions)",
     "withdraw(index, role, .unresponsive, .terminate(grace: rules.abortGrace, at: now), now, &actions)"),
    ("a suspended master finds children silent",
     "if beatBy != nil { beatBy = rules.heartbeatTimeout.map { now + $0 } }",
     ""),
    ("a stop waits for a child that prints its stacks",
     "slots[index].outgoing[position].escalation.hasten(to: rules.grace, at: now)",
     ""),
    ("the exit of a child that did not respond starts another",
     "cause == .unrequested || cause == .unresponsive || slots[index].current != nil",
     "cause == .unrequested || slots[index].current != nil"),
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
    for folder in ("Sources/hello-prefork", "Tests/PreforkTests", "Tests/IntegrationTests", "Tests/TakeoverServer"):
        (tree / folder).mkdir(parents=True)
    (tree / "Sources/hello-prefork/Nothing.swift").write_text("@main struct Nothing { static func main() {} }\n")
    (tree / "Tests/IntegrationTests/Nothing.swift").write_text("import Testing\n")
    shutil.copy(tree / "Sources/hello-prefork/Nothing.swift", tree / "Tests/TakeoverServer")
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
