@testable import Prefork

/// Plays schedules. It is the operating system and the operator of a `Supervisor`, under a virtual clock. It feeds the
/// supervisor as `Master` does, in the same order and with the same guards, and asks a `Referee` after every step.
///
/// One object plays many schedules, one after another, so that its buffers are reused.
final class Simulation {
    private var random = SplitMix64(seed: 0)
    private var lastArrival = Int64.min
    private var schedule: Schedule
    private var supervisor: Supervisor
    private var referee: Referee

    private var now: Int64 = 0
    /// How long the master was not in its loop although something waited for it.
    private var away: Int64 = 0
    private var turns = 0
    /// The children that were started and not reaped.
    private var children: [SimulatedChild] = []
    private var inbox: [Supervisor.Input] = []
    /// Pids in this turn's order.
    private var order: [Int32] = []
    private var stopTurn = 0
    /// When the queues are empty at a stop.
    private var admissionAt = Int64.max
    private var operatorPlan: [(at: Int64, reason: Prefork.StopReason)] = []
    private var stalls = 0
    /// When the queues of retired slots are empty.
    private var emptyAt: [(at: Int64, slot: Int)] = []
    /// Builds whose children fail.
    private var badGenerations: Set<Int> = []
    private var isFeeding = false
    /// Whether the master's own program is to be replaced at the end of this turn.
    private var isHandingOver = false
    /// Whether a hook has failed, or a stop has begun. Then no more hooks are called.
    private var hooksAreOver = false

    private(set) var coverage = Coverage()
    private(set) var trace: [String] = []
    private var traces = false
    private var start: Int64 = 0

    init() {
        schedule = Schedule(&random)
        supervisor = Supervisor(schedule.limits.rules, children: schedule.limits.children)
        referee = Referee(schedule.limits, now: 0)
    }

    /// - Throws: the first breach.
    func play(seed: UInt64, traces: Bool = false) throws(Violation) {
        random = SplitMix64(seed: seed)
        lastArrival = .min
        schedule = Schedule(&random)
        start = random.time(upTo: 1 << 50)
        now = start
        supervisor = Supervisor(schedule.limits.rules, children: schedule.limits.children)
        referee.reset(schedule.limits, now: now)
        children.removeAll(keepingCapacity: true)
        operatorPlan.removeAll(keepingCapacity: true)
        emptyAt.removeAll(keepingCapacity: true)
        badGenerations.removeAll(keepingCapacity: true)
        trace.removeAll(keepingCapacity: true)
        self.traces = traces
        (away, turns, stalls) = (0, 0, 0)
        (isFeeding, hooksAreOver, isHandingOver) = (false, false, false)
        inbox.removeAll(keepingCapacity: true)
        admissionAt = .max
        // Often while the slots are filled.
        stopTurn = random.chance(of: 200) ? random.below(schedule.limits.children + 1) : random.below(45)
        if traces { trace.append("seed \(seed): \(schedule)") }

        while supervisor.phase != .finished {
            turns += 1
            if turns > 1500 { throw Violation(text: "no end after \(turns) turns") }
            try turn()
        }
        try require(children.isEmpty, "finished, but a child is left")
        try afterTheEnd()
    }

    // MARK: The master's loop

    private func turn() throws(Violation) {
        if turns > stopTurn { planStop() }
        let isSupervising = isSupervising
        try sleep(isSupervising)
        arrangeOrder()
        // Some children beat before the master looks at its timers, and some do not.
        for child in children where random.chance(of: schedule.limits.heartbeat == nil ? 0 : 700) {
            try feed(.beat(pid: child.pid))
        }
        while let next = operatorPlan.first, next.at <= now {
            operatorPlan.removeFirst()
            for pid in order { try hear(pid) }
            try requestStop(next.reason)
        }
        for pid in order { try hear(pid) }
        if isSupervising {
            for pid in order { try reap(pid) }
        }
        if admissionAt <= now {
            admissionAt = .max
            try feed(.admissionClosed)
        }
        while let index = emptyAt.firstIndex(where: { $0.at <= now }) {
            try feed(.queueEmpty(slot: emptyAt.remove(at: index).slot))
        }
        if random.chance(of: schedule.mood.strays) { try stray() }
        if random.chance(of: schedule.mood.operations) { try operate() }
        if let deadline = supervisor.nextDeadline, deadline.nanoseconds <= now { try feed(.timer) }
        try handOver()
    }

    private var isSupervising: Bool {
        if case .filling = supervisor.phase { false } else { true }
    }

    /// Waits until something happens that the master can see, and longer if the master itself is kept from running.
    private func sleep(_ isSupervising: Bool) throws(Violation) {
        var wake = min(operatorPlan.first?.at ?? .max, admissionAt)
        for queue in emptyAt { wake = min(wake, queue.at) }
        if let deadline = supervisor.nextDeadline { wake = min(wake, deadline.nanoseconds) }
        if isSupervising {
            for child in children { wake = min(wake, child.nextSign) }
        }
        if wake == .max {
            // Either all children serve, or those that are left ignore TERM forever.
            stalls += 1
            try require(!supervisor.isStopping || schedule.limits.grace == .max, "a stop waits for nothing")
            try require(stalls < 4, "nothing happens any more")
            planStop()
            wake = now + 1_000_000_000
            if supervisor.isStopping {
                for pause: Int64 in [0, 1_000_000_000] {
                    operatorPlan.append((wake + pause, .signal(Signal.interrupt.number)))
                }
            }
        }
        now = max(now, wake)
        leave(schedule.lateness(&random))
    }

    private func leave(_ time: Int64) {
        now += time
        away += time
    }

    private func arrangeOrder() {
        order.removeAll(keepingCapacity: true)
        guard !children.isEmpty else { return }
        // The master walks over a dictionary, so the order is random.
        let first = random.below(children.count)
        for index in children.indices { order.append(children[(index + first) % children.count].pid) }
    }

    private func hear(_ pid: Int32) throws(Violation) {
        // The reaction to a message takes time, in which more messages come. The master reads those in its next turn.
        let until = now
        while let index = children.firstIndex(where: { $0.pid == pid }),
            let word = children[index].nextWord(by: until)
        {
            try feed(word)
        }
    }

    private func reap(_ pid: Int32) throws(Violation) {
        try hear(pid)
        guard let index = children.firstIndex(where: { $0.pid == pid }), children[index].exitAt <= now else { return }
        let child = children.remove(at: index)
        try feed(.exited(pid: pid, child.end))
    }

    /// Late and foreign messages, and timers that were not set. They must have no effect.
    private func stray() throws(Violation) {
        let pid = freePID()
        coverage.note(.strays)
        switch random.below(8) {
        case 0: try feed(.ready(pid: pid))
        case 1: try feed(.exited(pid: pid, .exited(0)))
        case 2: try feed(.draining(pid: pid, .program))
        case 3: try feed(.hungUp(pid: pid))
        // The message comes once more, in any state.
        case 4: if let child = children.first, referee.hasBeenReady(child.pid) { try feed(.ready(pid: child.pid)) }
        case 5:
            if let child = children.last, referee.hasWithdrawn(child.pid) {
                try feed(.draining(pid: child.pid, .program))
            }
        case 6: try feed(.admissionClosed)
        default: if isSupervising { try feed(.timer) }
        }
    }

    private func afterTheEnd() throws(Violation) {
        leave(random.time(upTo: 10_000_000_000))
        try require(supervisor.nextDeadline == nil, "a deadline after the end")
        try feed(.timer)
        try requestStop(.signal(Signal.terminate.number))
        try feed(.exited(pid: freePID(), .exited(0)))
    }

    // MARK: The master's hands

    private func requestStop(_ reason: Prefork.StopReason) throws(Violation) {
        // The master may have been busy when it came. But it cannot have come before the one before it.
        let arrival =
            random.chance(of: 500) ? max(lastArrival, now - random.time(upTo: 300_000_000)) : max(lastArrival, now)
        lastArrival = arrival
        try feed(.stop(reason, at: Instant(nanoseconds: arrival)))
    }

    /// As the master does it, an input that comes from an action waits until the actions before it are carried out.
    private func feed(_ input: Supervisor.Input) throws(Violation) {
        inbox.append(input)
        if isFeeding { return }
        isFeeding = true
        defer { isFeeding = false }
        while !inbox.isEmpty {
            let input = inbox.removeFirst()
            let actions = supervisor.handle(input, at: Instant(nanoseconds: now))
            coverage.note(.inputs)
            if traces { trace.append("\(moment) \(input) -> \(actions.isEmpty ? "-" : "")\(list(actions))") }
            try referee.judge(input, actions, at: now, supervisor, away: away, &coverage)
            hooksAreOver = hooksAreOver || supervisor.isStopping
            for action in actions { try perform(action) }
        }
    }

    private func perform(_ action: Supervisor.Action) throws(Violation) {
        switch action {
        case .spawn(let slot, _, let generation, _): try feed(spawn(slot, generation))
        case .announce, .announceMaster:
            guard !hooksAreOver else { return }
            leave(schedule.slowness(&random))
            if random.chance(of: schedule.mood.hookFailures) {
                coverage.note(.hookFailures)
                hooksAreOver = true
                try feed(.fail(description: "a hook failed"))
            }
        case .signal(let pid, let signal):
            guard let index = children.firstIndex(where: { $0.pid == pid }) else {
                throw Violation(text: "\(signal) to \(pid), which is no child")
            }
            children[index].get(signal, at: now, &random)
        case .closeAdmission: admissionAt = schedule.admission(&random).map { now + $0 } ?? .max
        case .prepareRestart(let generation):
            if random.chance(of: 50) {
                try feed(.restartRefused(generation: generation, reason: "no such file"))
            } else {
                if random.chance(of: 400) { badGenerations.insert(generation) }
                try feed(.restartPrepared(generation: generation))
            }
        case .awaitEmptyQueue(let slot):
            if let delay = schedule.admission(&random) { emptyAt.append((now + delay, slot)) }
        case .prepareRenewal(let generation, _): try feed(.restartPrepared(generation: generation))
        case .handOver: isHandingOver = true
        case .rotate, .closeListeners, .report, .finish, .keepPrograms: break
        }
    }

    private func spawn(_ slot: Int, _ generation: Int) -> Supervisor.Input {
        leave(schedule.slowness(&random))
        if random.chance(of: schedule.mood.failedStarts) {
            let isShortage = random.chance(of: schedule.mood.shortages)
            let errors = isShortage ? SimulatedChild.shortages : SimulatedChild.startErrors
            return .spawnFailed(slot: slot, random.pick(errors))
        }
        if random.chance(of: schedule.mood.refusedStarts) {
            return .spawnRefused(slot: slot, .spawnedStranger(slot: slot, pid: 1))
        }
        let pid = freePID()
        var schedule = schedule
        // A bad build fails at once or never serves, mostly.
        if badGenerations.contains(generation) { (schedule.mood.crashes, schedule.mood.hangs) = (800, 300) }
        children.append(SimulatedChild(pid, at: now, schedule, &random))
        return .spawned(slot: slot, pid: pid)
    }

    /// Pids come from a small range, so that numbers come again soon.
    private func freePID() -> Int32 {
        while true {
            let pid = Int32(100 + random.below(24))
            if !children.contains(where: { $0.pid == pid }) { return pid }
        }
    }

    /// Replaces the supervisor by one that knows only the text of its handover, also when nobody has asked for it.
    private func handOver() throws(Violation) {
        guard case .running = supervisor.phase, supervisor.restart == nil else { return }
        guard isHandingOver || random.chance(of: schedule.mood.operations / 2) else { return }
        isHandingOver = false
        if random.chance(of: 200) { return try feed(.handoverFailed(reason: "execve failed")) }
        let lines = supervisor.handoverRecords.map(\.line)
        do throws(HandoverRecord.Fault) {
            supervisor = try passedOn(supervisor)
        } catch {
            throw Violation(text: "the handover is refused: \(error)")
        }
        try require(supervisor.handoverRecords.map(\.line) == lines, "the handover has lost something")
        coverage.note(.adoptions)
        // The start of the new program.
        leave(schedule.slowness(&random))
        try feed(.handedOver)
    }

    // MARK: The operator

    /// A restart, a rollback or a resize.
    private func operate() throws(Violation) {
        switch random.below(16) {
        case 0...4: try feed(.restart)
        case 13...14: try feed(.upgrade)
        case 15: try feed(.renew)
        case 5: try feed(.rollback)
        case 6...7: try feed(.recycle(pid: random.pick(children.map(\.pid) + [freePID()]), .child))
        case 8:
            let pid = random.pick(children.map(\.pid) + [freePID()])
            try feed(.stalled(pid: pid, .stall(waiting: 3, .seconds(2))))
        default: try feed(.resize(to: 1 + random.below(8)))
        }
    }

    /// The stop that every schedule has, and the signals that impatient people send after it.
    private func planStop() {
        guard !hasPlannedStop else { return }
        stopTurn = .max
        var at = now + (random.chance(of: 500) ? 0 : random.time(upTo: 3_000_000_000))
        for _ in 0..<(1 + random.below(4)) {
            let reason: Prefork.StopReason =
                random.chance(of: 700) ? .signal(random.pick([Signal.terminate, .interrupt]).number) : .request
            operatorPlan.append((at, reason))
            at += schedule.pause(&random)
        }
    }

    private var hasPlannedStop: Bool { stopTurn == .max }

    // MARK: Tracing

    private var moment: String {
        let time = now - start
        return "+\(time / 1_000_000_000).\(String(1_000_000_000 + time % 1_000_000_000).dropFirst())"
    }

    private func list(_ actions: [Supervisor.Action]) -> String {
        actions.map { "\n      \($0)" }.joined()
    }
}

func require(_ condition: Bool, _ text: @autoclosure () -> String) throws(Violation) {
    if !condition { throw Violation(text: text()) }
}
