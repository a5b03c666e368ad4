/// The rules: a value; inputs in, actions out; no clock, no system call. `Master` feeds it and does what it says, and a test
/// drives it through random schedules with a virtual clock.
struct Supervisor {
    /// Two stop signals closer than this are one burst: Ctrl-C reaches the whole process group, and supervisors above us
    /// pass signals on (gunicorn#2908).
    static let burst: Duration = .milliseconds(100)
    /// A timer that comes later than this means that the master itself was not running.
    static let suspension: Duration = .seconds(1)
    /// So many exits are kept for the error.
    static let keptExits = 32

    let rules: Rules
    private(set) var phase = Phase.filling(next: 0)
    private(set) var slots: [Slot]
    /// Why the fleet stops, where it is not an orderly stop.
    private(set) var failure: PreforkError?
    /// Unexpected exits and failed starts: times within the window, and the last ones for the error.
    private var exitTimes: [Instant] = []
    private var exitCount = 0
    private var lastExits: [Prefork.ChildExit] = []
    private var firstStopSignal: Instant?
    /// When somebody should have called; later than that, the master was suspended.
    private var expectedBy: Instant?
    /// Which slots get new connections: those whose child is ready; all where none is. From the start of a stop on it stays
    /// as it is.
    private(set) var rotation: [Int]

    init(_ rules: Rules) {
        self.rules = rules
        slots = Array(repeating: Slot(), count: rules.children)
        rotation = Array(slots.indices)
    }

    var isStopping: Bool {
        switch phase {
        case .filling, .running: false
        case .closingAdmission, .stopping, .finished: true
        }
    }

    var readySlots: [Int] {
        slots.indices.filter { if case .ready = slots[$0].state { true } else { false } }
    }

    /// When `.timer` is due; nil: never.
    var nextDeadline: Instant? {
        if case .filling = phase { return .distantPast }
        let earliest = slots.compactMap(\.deadline).map { deadline in
            guard case .judge(let start) = deadline else { return deadline.instant }
            return start + rules.readinessTimeout
        }.min()
        guard case .closingAdmission(let until) = phase else { return earliest }
        return min(earliest ?? until, until)
    }

    /// One input, and what it leads to. At most one `.spawn` at a time: a stop may come before the next.
    /// - Parameter arrived: when a stop signal came, where that was earlier: it tells whether two are one burst, and nothing
    ///   else. The children's time begins when they are told.
    mutating func handle(_ input: Input, at now: Instant, arrived: Instant? = nil) -> [Action] {
        var actions: [Action] = []
        noticeSuspension(now, &actions)
        switch input {
        case .spawned(let slot, let pid): spawned(slot, pid, now, &actions)
        case .spawnFailed(let slot, let error): spawnFailed(slot, error, now, &actions)
        case .spawnRefused(let slot, let error):
            slots[slot].state = .empty
            stop(.failure("\(error)"), error, now, &actions)
        case .ready(let pid): ready(pid, now, &actions)
        case .exited(let pid, let status, let isOutOfMemory): exited(pid, status, isOutOfMemory, now, &actions)
        case .stop(let reason): stopAgain(reason, arrived ?? now, now, &actions)
        case .fail(let text): stop(.failure(text), nil, now, &actions)
        case .admissionClosed: requestExits(now, &actions)
        case .timer: timer(now, &actions)
        }
        rotate(&actions)
        finishAdmission(now, &actions)
        finishIfEmpty(&actions)
        expectedBy = nextDeadline.map { max($0, now) }
        return actions
    }

    private func slot(of pid: Int32) -> Int? { slots.firstIndex { $0.state.life?.pid == pid } }

    // MARK: Starting

    private mutating func spawned(_ index: Int, _ pid: Int32, _ now: Instant, _ actions: inout [Action]) {
        let replaces = slots[index].lastPID
        let start: Instant
        if case .spawning(let since) = slots[index].state { start = since } else { start = now }
        slots[index].state = .starting(Life(pid: pid, spawnedAt: start, readyAt: nil, judgedFrom: now))
        slots[index].lastPID = pid
        actions.append(.report(.spawned(slot: index, pid: pid, replaces: replaces)))
        actions.append(.announce(pid: pid, replaces: replaces))
        finishFilling(&actions)
    }

    private mutating func spawnFailed(
        _ index: Int,
        _ error: SystemError,
        _ now: Instant,
        _ actions: inout [Action]
    ) {
        slots[index].state = .empty
        let exit = Prefork.ChildExit(
            slot: index,
            pid: 0,
            reason: .notSpawned(error),
            lifetime: .zero,
            wasReady: false
        )
        let consequence = recover(index, exit, now, &actions)
        actions.insert(.report(.spawnFailed(exit, consequence)), at: 0)
        finishFilling(&actions)
    }

    private mutating func spawn(_ index: Int, _ now: Instant, _ actions: inout [Action]) {
        slots[index].state = .spawning(since: now)
        actions.append(.spawn(slot: index, launch: slots[index].spawns))
        slots[index].spawns += 1
    }

    /// After the last slot's first try supervision begins.
    private mutating func finishFilling(_ actions: inout [Action]) {
        guard case .filling(let next) = phase, next == rules.children else { return }
        phase = .running
        actions.append(.announceMaster(pids: slots.compactMap { $0.state.life?.pid }))
    }

    private mutating func ready(_ pid: Int32, _ now: Instant, _ actions: inout [Action]) {
        guard let index = slot(of: pid), case .starting(var life) = slots[index].state else { return }
        life.readyAt = now
        slots[index].state = .ready(life)
        actions.append(.report(.ready(slot: index, pid: pid, after: now - life.spawnedAt)))
    }

    /// Before everything else that this input leads to: no more connections for a child that is gone, and none are kept from
    /// one that is there.
    private mutating func rotate(_ actions: inout [Action]) {
        guard !isStopping else { return }
        let ready = readySlots
        let wanted = ready.isEmpty ? Array(slots.indices) : ready
        if wanted == rotation { return }
        rotation = wanted
        actions.insert(.rotate(slots: wanted), at: 0)
    }

    // MARK: Exits

    private mutating func exited(
        _ pid: Int32,
        _ status: WaitStatus,
        _ isOutOfMemory: Bool,
        _ now: Instant,
        _ actions: inout [Action]
    ) {
        guard let index = slot(of: pid), let life = slots[index].state.life else { return }
        // A child that we told to leave because it was not ready is a failed start; in a stop all exits are expected.
        let expected = isStopping
        let exit = Prefork.ChildExit(
            slot: index,
            pid: pid,
            reason: Prefork.ChildExit.Reason(status),
            lifetime: now - life.spawnedAt,
            wasReady: life.readyAt != nil,
            isProbablyOutOfMemory: isOutOfMemory
        )
        slots[index].state = .empty
        slots[index].lastExit = exit
        if expected {
            actions.append(.report(.exited(exit, .expected)))
            return
        }
        if let readyAt = life.readyAt, now - readyAt >= rules.healthyAfter { slots[index].failures = 0 }
        let consequence = recover(index, exit, now, &actions)
        actions.insert(.report(.exited(exit, consequence)), at: 0)
    }

    /// Decides what an unexpected exit, or a failed start, leads to.
    private mutating func recover(
        _ index: Int,
        _ exit: Prefork.ChildExit,
        _ now: Instant,
        _ actions: inout [Action]
    ) -> Prefork.Event.Consequence {
        slots[index].lastExit = exit
        if isStopping { return .expected }
        remember(exit, now)
        if let error = refusal(index, exit, now) {
            stop(.failure("\(error)"), error, now, &actions)
            return .givingUp
        }
        let delay = rules.interval.delay(afterFailures: slots[index].failures)
        slots[index].failures += 1
        slots[index].recoveries += 1
        slots[index].state = .waiting(until: now + delay)
        return .recovering(after: delay)
    }

    private func refusal(_ index: Int, _ exit: Prefork.ChildExit, _ now: Instant) -> PreforkError? {
        // A replacement that does not like what it finds, such as half of a renewed certificate, must not end those that serve.
        if let status = exit.reason.status, rules.fatalExitStatuses.contains(status), !isAnyHealthy(now) {
            return .childRefused(exit)
        }
        switch rules.recovery {
        case .never: return .childExited(exit)
        case .upTo(let exits) where (rules.window == nil ? exitCount : exitTimes.count) > exits:
            return .overRecovery(lastExits)
        case .upTo, .unlimited: break
        }
        if let limit = rules.limitPerSlot, slots[index].recoveries >= limit { return .overRecovery(lastExits) }
        return nil
    }

    private func isAnyHealthy(_ now: Instant) -> Bool {
        slots.contains { slot in
            guard case .ready(let life) = slot.state, let readyAt = life.readyAt else { return false }
            return now - readyAt >= rules.healthyAfter
        }
    }

    private mutating func remember(_ exit: Prefork.ChildExit, _ now: Instant) {
        exitCount += 1
        lastExits = lastExits.suffix(Self.keptExits - 1) + [exit]
        if let window = rules.window, case .upTo = rules.recovery {
            exitTimes.append(now)
            exitTimes.removeAll { $0 < now - window }
        }
    }

    // MARK: Stopping

    /// A request to stop; while stopping, a second signal kills at once, unless it belongs to the first one's burst.
    private mutating func stopAgain(
        _ reason: Prefork.StopReason,
        _ arrived: Instant,
        _ now: Instant,
        _ actions: inout [Action]
    ) {
        stop(reason, nil, now, &actions)
        guard case .signal = reason.payload else { return }
        // The first signal is a request, also where the stop has begun without one.
        guard let first = firstStopSignal else {
            firstStopSignal = arrived
            return
        }
        guard arrived - first >= Self.burst else { return }
        requestExits(now, &actions)  // A kill is one of children that have been told.
        for index in slots.indices { kill(index, &actions) }
    }

    private mutating func stop(
        _ reason: Prefork.StopReason,
        _ error: PreforkError?,
        _ now: Instant,
        _ actions: inout [Action]
    ) {
        guard !isStopping else { return }
        failure = error
        phase = .closingAdmission(until: now + rules.queueDrain)
        actions.append(.report(.stopping(reason)))
        // Those that are not ready accept nothing; the others go on until what has come in is accepted.
        for index in slots.indices {
            switch slots[index].state {
            case .starting(let life): requestExit(index, life, now, &actions)
            case .waiting: slots[index].state = .empty
            case .empty, .spawning, .ready, .stopping: break
            }
        }
        if !readySlots.isEmpty, rules.queueDrain > .zero { actions.append(.closeAdmission) }
    }

    /// Nobody is left who could accept: there is nothing to wait for.
    private mutating func finishAdmission(_ now: Instant, _ actions: inout [Action]) {
        if readySlots.isEmpty || rules.queueDrain == .zero { requestExits(now, &actions) }
    }

    /// All that are left drain; once.
    private mutating func requestExits(_ now: Instant, _ actions: inout [Action]) {
        guard case .closingAdmission = phase else { return }
        phase = .stopping
        for index in slots.indices {
            if case .ready(let life) = slots[index].state { requestExit(index, life, now, &actions) }
        }
        // Ours last: while a child still accepts, a new connection finds an open listener.
        actions.append(.closeListeners)
    }

    private mutating func requestExit(_ index: Int, _ life: Life, _ now: Instant, _ actions: inout [Action]) {
        slots[index].state = .stopping(life, since: now, killAt: now + rules.grace)
        actions.append(.signal(pid: life.pid, .terminate))
    }

    private mutating func finishIfEmpty(_ actions: inout [Action]) {
        guard phase == .stopping, slots.allSatisfy({ $0.state == .empty }) else { return }
        phase = .finished
        actions.append(.report(.stopped))
        actions.append(.finish)
    }

    // MARK: Time

    private mutating func timer(_ now: Instant, _ actions: inout [Action]) {
        if case .filling(let next) = phase {
            phase = .filling(next: next + 1)
            spawn(next, now, &actions)
            return
        }
        if case .closingAdmission(let until) = phase, until <= now { requestExits(now, &actions) }
        for index in slots.indices {
            switch slots[index].state {
            case .starting(let life) where life.judgedFrom + rules.readinessTimeout <= now:
                actions.append(.report(.notReady(slot: index, pid: life.pid, after: now - life.spawnedAt)))
                requestExit(index, life, now, &actions)
            case .stopping(_, _, let killAt?) where killAt <= now: kill(index, &actions)
            default: break
            }
        }
        // The one that has waited longest; others are due at once, after this one's answer.
        let due = slots.indices.filter { slots[$0].state.waitsUntil.map { $0 <= now } ?? false }
        if let index = due.min(by: { slots[$0].state.waitsUntil ?? now < slots[$1].state.waitsUntil ?? now }) {
            spawn(index, now, &actions)
        }
    }

    private mutating func kill(_ index: Int, _ actions: inout [Action]) {
        guard case .stopping(let life, let since, .some) = slots[index].state else { return }
        slots[index].state = .stopping(life, since: since, killAt: nil)
        actions.append(.report(.killing(slot: index, pid: life.pid)))
        actions.append(.signal(pid: life.pid, .kill))
    }

    /// A master that was stopped, or starved, while its timers ran out has no right to judge: the children had no chance to
    /// be heard. All that is still waited for gets its whole time again.
    private mutating func noticeSuspension(_ now: Instant, _ actions: inout [Action]) {
        guard let expected = expectedBy, now - expected > Self.suspension else { return }
        var restarted = false
        for index in slots.indices {
            switch slots[index].state {
            case .starting(var life):
                life.judgedFrom = now
                slots[index].state = .starting(life)
                restarted = true
            case .stopping(let life, let since, .some):
                slots[index].state = .stopping(life, since: since, killAt: now + rules.grace)
                restarted = true
            default: break
            }
        }
        if case .closingAdmission = phase {
            phase = .closingAdmission(until: now + rules.queueDrain)
            restarted = true
        }
        if restarted { actions.append(.report(.suspended(now - expected))) }
    }
}
