@testable import Prefork

/// Knows the rules of the fleet a second time, from their description and in plain numbers, and holds everything that a
/// `Supervisor` does against them. It looks at inputs and actions; of the supervisor's own state it reads only what others
/// read there: who is in which slot, who counts as ready, and the next deadline.
struct Referee {
    struct Slot {
        /// 0 where no child is.
        var pid: Int32 = 0
        var spawnedAt: Int64 = 0
        /// Since when the readiness is waited for.
        var judgedFrom: Int64 = 0
        var readyAt: Int64?
        /// It got TERM.
        var isTold = false
        var toldIn = 0
        var killDue: Int64 = 0
        var isKilled = false

        /// When a replacement is due.
        var nextTry: Int64?
        var lastPID: Int32?
        var lastSpawn: Int64?
        var spawns = 0
        var failures = 0
        var recoveries = 0
    }

    /// What the input at hand must lead to, and what it has led to.
    struct Batch {
        var now: Int64 = 0
        var isTimer = false
        var suspended: Int64?
        var spawned: Int?
        var ready: Int?
        var exit: Prefork.ChildExit?
        var consequence = Prefork.Event.Consequence.expected
        var isFailedStart = false
        var stops = false
        var killsAll = false
        var closesAdmission = false
        var completesFilling = false

        var told: Int32?
        var killing: Int32?
        var began = false
        var tells = false
        var askedAdmission = false
        var reportedSpawn = false
        var reportedExit = false
        var reportedReady = false
        var reportedSuspension = false
        var reportedStopped = false
        var announced = false
        var announcedMaster = false
        var asked = false
    }

    enum Failure { case nothing, overRecovery, childRefused, childExited, spawn }

    static let second: Int64 = 1_000_000_000
    static let burst: Int64 = 100_000_000
    /// For what happens between a child's death and the end, other than the death and the master's absences.
    static let slack: Int64 = 1_000_000

    var limits: Limits
    var slots: [Slot] = []
    var batch = Batch()
    var batches = 0
    var asked: Int?
    var filled = 0
    var isFilling = true
    var hasAnnouncedMaster = false
    var stop: (since: Int64, away: Int64)?
    var hasClosed = false
    /// Who gets new connections.
    var rotation: [Int] = []
    /// Until when, in a stop, those who are ready go on accepting; nil: they have been told, or there is no stop.
    var closing: Int64?
    var hasFinished = false
    /// How often a suspension gave the stopped children their time again.
    var extensions = 0
    var failure = Failure.nothing
    var exits: [Prefork.ChildExit] = []
    var exitTimes: [Int64] = []
    var spawnTimes: [Int64] = []
    /// When the supervisor was, or was to be, called.
    var expectedBy: Int64?

    init(_ limits: Limits, now: Int64) {
        self.limits = limits
        reset(limits, now: now)
    }

    var firstStopSignal: Int64?
    /// When the signal that is being judged came.
    var arrived: Int64 = 0

    mutating func reset(_ limits: Limits, now: Int64) {
        self.limits = limits
        slots.removeAll(keepingCapacity: true)
        for _ in 0..<limits.children { slots.append(Slot()) }
        exits.removeAll(keepingCapacity: true)
        exitTimes.removeAll(keepingCapacity: true)
        spawnTimes.removeAll(keepingCapacity: true)
        (asked, filled, isFilling, hasAnnouncedMaster, stop) = (nil, 0, true, false, nil)
        firstStopSignal = nil
        (hasClosed, hasFinished, extensions, failure, expectedBy) = (false, false, 0, .nothing, nil)
        (rotation, closing) = (Array(slots.indices), nil)
    }

    /// One input and what the supervisor made of it, before anything of that is carried out.
    mutating func judge(
        _ input: Supervisor.Input,
        _ actions: [Supervisor.Action],
        at now: Int64,
        _ supervisor: Supervisor,
        away: Int64,
        _ coverage: inout Coverage
    ) throws(Violation) {
        batch = Batch()
        batches += 1
        batch.now = now
        let wasDue = dueTimes.map { $0 <= now } ?? false
        noticeSuspension()
        expect(input, &coverage)
        expectTelling(&coverage)
        for (index, action) in actions.enumerated() {
            try check(
                action, isFirst: index == 0, isLast: index == actions.count - 1, away: away, supervisor, &coverage)
        }
        try checkCompleteness()
        if batch.isTimer, wasDue { try require(!actions.isEmpty, "a timer that was due led to nothing") }
        try checkState(supervisor)
        expectedBy = dueTimes.map { max($0, now) }
    }

    // MARK: What an input must lead to

    /// A master that comes more than a second too late begins to wait anew.
    mutating func noticeSuspension() {
        let now = batch.now
        guard let expectedBy, now - expectedBy > Self.second else { return }
        for index in slots.indices where slots[index].pid != 0 {
            if slots[index].isTold {
                if slots[index].isKilled { continue }
                slots[index].killDue = sum(now, limits.grace)
            } else if slots[index].readyAt == nil {
                slots[index].judgedFrom = now
            } else {
                continue
            }
            batch.suspended = now - expectedBy
        }
        if closing != nil {
            closing = sum(now, limits.queueDrain)
            batch.suspended = now - expectedBy
        }
        if stop != nil, batch.suspended != nil { extensions += 1 }
    }

    mutating func expect(_ input: Supervisor.Input, _ coverage: inout Coverage) {
        let now = batch.now
        switch input {
        case .spawned(let slot, let pid):
            asked = nil
            slots[slot].pid = pid
            slots[slot].spawnedAt = slots[slot].lastSpawn ?? now
            slots[slot].judgedFrom = now
            slots[slot].readyAt = nil
            (slots[slot].isTold, slots[slot].isKilled) = (false, false)
            batch.spawned = slot
            endFilling()
        case .spawnFailed(let slot, let error):
            asked = nil
            batch.isFailedStart = true
            exited(slot, .notSpawned(error), lifetime: 0)
            coverage.note(.failedStarts)
            endFilling()
        case .spawnRefused:
            asked = nil
            begin(.spawn)
            coverage.note(.refusedStarts)
        case .ready(let pid):
            guard let slot = slot(of: pid), !slots[slot].isTold, slots[slot].readyAt == nil else { return }
            slots[slot].readyAt = now
            batch.ready = slot
        case .exited(let pid, let status, _):
            guard let slot = slot(of: pid) else { return }
            let reason: Prefork.ChildExit.Reason =
                switch status {
                case .exited(let code): .status(code)
                case .signaled(let number, let core): .signal(number, coreDumped: core)
                case .lost: .unknown
                }
            exited(slot, reason, lifetime: now - slots[slot].spawnedAt)
        case .stop(let reason) where reason.code == .signal:
            if stop == nil { begin(.nothing) }
            if let firstStopSignal {
                batch.killsAll = arrived - firstStopSignal >= Self.burst
            } else {
                firstStopSignal = arrived
            }
        case .admissionClosed: batch.closesAdmission = true
        case .stop, .fail: begin(.nothing)
        case .timer: batch.isTimer = true
        }
    }

    /// Those who are ready are told to leave when nothing is queued any more, when that takes too long, when nobody is left who
    /// could accept, or when an operator has lost patience.
    mutating func expectTelling(_ coverage: inout Coverage) {
        if batch.stops { closing = sum(batch.now, limits.queueDrain) }
        guard let until = closing else { return }
        let isLate = batch.isTimer && until <= batch.now
        batch.tells = batch.closesAdmission || isLate || batch.killsAll || readySlots.isEmpty || limits.queueDrain == 0
        guard batch.tells else { return }
        closing = nil
        if batch.stops { return }
        if batch.closesAdmission {
            coverage.note(.emptyQueues)
        } else if isLate {
            coverage.note(.fullQueues)
        } else {
            coverage.note(batch.killsAll ? .killedWhileClosing : .deserted)
        }
    }

    var readySlots: [Int] {
        slots.indices.filter { slots[$0].pid != 0 && slots[$0].readyAt != nil && !slots[$0].isTold }
    }

    mutating func endFilling() {
        guard isFilling, filled == limits.children, !batch.stops else { return }
        isFilling = false
        batch.completesFilling = true
    }

    mutating func begin(_ reason: Failure) {
        guard stop == nil else { return }
        batch.stops = true
        failure = reason
    }

    mutating func exited(_ slot: Int, _ reason: Prefork.ChildExit.Reason, lifetime: Int64) {
        let now = batch.now
        let exit = Prefork.ChildExit(
            slot: slot,
            pid: batch.isFailedStart ? 0 : slots[slot].pid,
            reason: reason,
            lifetime: .nanoseconds(lifetime),
            wasReady: !batch.isFailedStart && slots[slot].readyAt != nil
        )
        batch.exit = exit
        if !batch.isFailedStart, let readyAt = slots[slot].readyAt, now - readyAt >= limits.healthyAfter {
            slots[slot].failures = 0
        }
        slots[slot].pid = 0
        if stop != nil { return }
        exits.append(exit)
        exitTimes.append(now)
        if let fault = refusal(slot, reason) {
            batch.consequence = .givingUp
            begin(fault)
            return
        }
        let delay = delay(afterFailures: slots[slot].failures)
        slots[slot].failures += 1
        slots[slot].recoveries += 1
        slots[slot].nextTry = sum(now, delay)
        batch.consequence = .recovering(after: .nanoseconds(delay))
    }

    func refusal(_ slot: Int, _ reason: Prefork.ChildExit.Reason) -> Failure? {
        if let status = reason.status, limits.fatalExitStatuses.contains(status) {
            let healthy = slots.filter {
                $0.pid != 0 && !$0.isTold && $0.readyAt.map { batch.now - $0 >= limits.healthyAfter } == true
            }
            if healthy.isEmpty { return .childRefused }
        }
        switch limits.recovery {
        case .never: return .childExited
        case .upTo(let most):
            var count = exitTimes.count
            if let window = limits.window { count = exitTimes.count { $0 >= batch.now - window } }
            if count > most { return .overRecovery }
        case .unlimited: break
        }
        if let limit = limits.limitPerSlot, slots[slot].recoveries >= limit { return .overRecovery }
        return nil
    }

    func delay(afterFailures failures: Int) -> Int64 {
        if failures == 0 { return min(limits.first, limits.maximum) }
        let (delay, overflow) = limits.next.multipliedReportingOverflow(by: Int64(1) << min(failures - 1, 62))
        return overflow ? limits.maximum : min(delay, limits.maximum)
    }

    /// When something is due; a deadline that is earlier keeps the master busy, a later one lets somebody wait.
    var dueTimes: Int64? {
        if isFilling { return .min }
        var due = closing
        for slot in slots {
            var time: Int64?
            if slot.pid == 0 {
                time = slot.nextTry
            } else if slot.isTold {
                time = slot.isKilled ? nil : slot.killDue
            } else if slot.readyAt == nil {
                time = sum(slot.judgedFrom, limits.readinessTimeout)
            }
            if let time { due = min(due ?? time, time) }
        }
        return due
    }

    func slot(of pid: Int32) -> Int? { slots.firstIndex { $0.pid == pid } }

    func sum(_ time: Int64, _ duration: Int64) -> Int64 {
        let (sum, overflow) = time.addingReportingOverflow(duration)
        return overflow ? .max : sum
    }
}
