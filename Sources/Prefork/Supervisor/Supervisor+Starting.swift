/// How slots get their children, and when a child counts.
extension Supervisor {
    mutating func spawn(_ index: Int, _ now: Instant, _ actions: inout [Action]) {
        let launch = slots[index].launches
        slots[index].launches += 1
        slots[index].attempt = .spawning(since: now, launch: launch)
        if backtraces.resume(at: now) { actions.append(.report(.backtracesResumed)) }
        actions.append(.spawn(slot: index, launch: launch, printsBacktrace: !backtraces.areSuppressed))
    }

    mutating func spawned(_ index: Int, _ pid: Int32, _ now: Instant, _ actions: inout [Action]) {
        guard case .spawning(let since, let launch) = slots[index].attempt else { return }
        let replaces = slots[index].lastPID
        slots[index].attempt = .none
        slots[index].current = Child(
            pid: pid, launch: launch, spawnedAt: since, stage: .starting(readyBy: now + rules.readinessTimeout))
        slots[index].lastPID = pid
        actions.append(.report(.spawned(slot: index, pid: pid, replaces: replaces)))
        actions.append(.announce(pid: pid, replaces: replaces))
        // A stop that began while the child was started has not reached it.
        if isStopping { requestExit(index, .shutdown, now, &actions) }
        finishFilling(&actions)
    }

    mutating func spawnFailed(_ index: Int, _ error: SystemError, _ now: Instant, _ actions: inout [Action]) {
        guard case .spawning = slots[index].attempt else { return }
        slots[index].attempt = .none
        let exit = Prefork.ChildExit(
            slot: index, pid: 0, reason: .notSpawned(error), lifetime: .zero, wasReady: false)
        let verdict = judge(index, exit, .failedStart(isShortage: error.isShortageForSpawn), now)
        if !isStopping { counters.note(exit) }
        actions.append(.report(.spawnFailed(exit, verdict.consequence)))
        carryOut(verdict, index, now, &actions)
        finishFilling(&actions)
    }

    /// Ends a fleet that has never had a child up. Once a child has been up, this is a failed start like any other,
    /// because the closure may work again while the other children serve.
    mutating func spawnRefused(_ index: Int, _ error: PreforkError, _ now: Instant, _ actions: inout [Action]) {
        if hasBeenUp { return spawnFailed(index, SystemError(refusal: error), now, &actions) }
        slots[index].attempt = .none
        stop(.failure("\(error)"), error, now, &actions)
    }

    /// Supervision begins after the last slot's first try.
    private mutating func finishFilling(_ actions: inout [Action]) {
        guard case .filling(let next) = phase, next == target else { return }
        phase = .running
        actions.append(.announceMaster(pids: slots.compactMap { $0.current?.pid }))
    }

    mutating func ready(_ pid: Int32, _ startCost: Duration?, _ now: Instant, _ actions: inout [Action]) {
        guard let index = slotWithCurrent(pid), var child = slots[index].current, case .starting = child.stage else {
            return
        }
        child.stage = .ready(since: now, upAt: now + rules.settleTime, provenAt: now + rules.provingTime)
        child.startCost = startCost
        slots[index].current = child
        actions.append(.report(.ready(slot: index, pid: pid, after: now - child.spawnedAt)))
        // A child that was asked to exit during its start may still say that it is ready.
        if child.isDraining { withdraw(index, now, &actions) } else { confirm(index, now) }
    }

    func slotWithCurrent(_ pid: Int32) -> Int? { slots.firstIndex { $0.current?.pid == pid } }

    // MARK: Up

    /// Notes which children have been ready for long enough by now. It comes before anything else, so that an exit is
    /// judged by the result.
    mutating func confirmChildren(_ now: Instant) {
        for index in slots.indices { confirm(index, now) }
    }

    private mutating func confirm(_ index: Int, _ now: Instant) {
        guard var child = slots[index].current, !child.isDraining,
            case .ready(let since, let upAt, let provenAt) = child.stage
        else { return }
        let isUpNow = upAt.map { $0 <= now } ?? false
        let isProvenNow = provenAt.map { $0 <= now } ?? false
        guard isUpNow || isProvenNow else { return }
        let wasAnyProven = slots.contains { $0.current?.isProven == true }
        child.stage = .ready(since: since, upAt: isUpNow ? nil : upAt, provenAt: isProvenNow ? nil : provenAt)
        slots[index].current = child
        if isUpNow {
            hasBeenUp = true
            slots[index].failures = 0
        }
        if isProvenNow {
            slots[index].crashes.forget()
            // The cause that kept the whole fleet down is over. The other slots need not wait any longer.
            if !wasAnyProven { retryAll(now) }
        }
    }

    private mutating func retryAll(_ now: Instant) {
        for index in slots.indices {
            // The next try comes within the shortest delay that is configured.
            let soon = now + rules.delays.next
            if let due = slots[index].nextTry { slots[index].attempt = .backingOff(until: min(due, soon)) }
        }
    }

    // MARK: Not ready in time

    mutating func judgeReadiness(_ index: Int, _ now: Instant, _ actions: inout [Action]) {
        guard let child = slots[index].current, case .starting(let readyBy) = child.stage, readyBy <= now else {
            return
        }
        actions.append(.report(.notReady(slot: index, pid: child.pid, after: now - child.spawnedAt)))
        requestExit(index, .notReady, now, &actions)
    }

    // MARK: Rotation

    mutating func rotationChange() -> [Action] {
        guard !isStopping else { return [] }
        let accepting = acceptingSlots
        let wanted = accepting.isEmpty ? Array(slots.indices) : accepting
        if wanted == rotation { return [] }
        rotation = wanted
        return [.rotate(slots: wanted)]
    }
}
