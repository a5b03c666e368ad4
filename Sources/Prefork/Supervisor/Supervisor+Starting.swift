/// How slots get their children, and when a child counts.
extension Supervisor {
    mutating func spawn(_ index: Int, _ now: Instant, _ actions: inout [Action]) {
        let launch = slots[index].launches
        slots[index].launches += 1
        let generation = slots[index].generation
        slots[index].attempt = .spawning(since: now, launch: launch, generation: generation)
        if backtraces.resume(at: now) { actions.append(.report(.backtracesResumed)) }
        actions.append(
            .spawn(
                slot: index, launch: launch, generation: generation, printsBacktrace: !backtraces.areSuppressed))
    }

    mutating func spawned(_ index: Int, _ pid: Int32, _ now: Instant, _ actions: inout [Action]) {
        guard case .spawning(let since, let launch, let generation) = slots[index].attempt else { return }
        let isSuccessor = slots[index].current != nil
        let replaces = slots[index].current?.pid ?? slots[index].lastPID
        slots[index].attempt = .none
        let child = Child(
            pid: pid, launch: launch, generation: generation, spawnedAt: since,
            stage: .starting(readyBy: now + rules.readinessTimeout))
        slots[index][isSuccessor ? .successor : .current] = child
        slots[index].lastPID = pid
        places[pid] = index
        actions.append(.report(.spawned(slot: index, pid: pid, replaces: replaces)))
        actions.append(.announce(pid: pid, replaces: isSuccessor ? nil : replaces))
        dismissIfUnwanted(index, now, &actions)
        finishFilling(&actions)
    }

    /// The stop, the end of a restart or a resize that came while the child was started has not reached it.
    private mutating func dismissIfUnwanted(_ index: Int, _ now: Instant, _ actions: inout [Action]) {
        if isStopping { return requestExits(of: index, .shutdown, now, &actions) }
        if index >= target {
            slots[index].retirement = .accepted
            return
        }
        let role: Slot.Role = slots[index].successor == nil ? .current : .successor
        if slots[index][role]?.generation == slots[index].generation { return }
        requestExit(index, role, .abandoned, now, &actions)
        if role == .current { slots[index].attempt = .backingOff(until: now) }
    }

    mutating func spawnFailed(_ index: Int, _ error: SystemError, _ now: Instant, _ actions: inout [Action]) {
        guard case .spawning(_, _, let generation) = slots[index].attempt else { return }
        slots[index].attempt = .none
        let isShortage = error.isShortageForSpawn
        let exit = Prefork.ChildExit(
            slot: index, pid: 0, reason: .notSpawned(error), lifetime: .zero, wasReady: false)
        slots[index].lastExit = exit
        if isStopping || index >= target {
            actions.append(.report(.spawnFailed(exit, .expected)))
            return
        }
        counters.note(exit)
        if slots[index].current != nil {
            actions.append(.report(.spawnFailed(exit, .predecessorStays)))
            if isShortage, slots[index].shortages < Self.mostShortages {
                slots[index].shortages += 1
                slots[index].attempt = .backingOff(until: now + delayAfterFailedStart(index))
            } else {
                childFailed(index, generation, .exit(exit), now, &actions)
            }
            return
        }
        let isOnTrial = isOnTrial(generation) && !isShortage
        let verdict = judge(index, exit, .failedStart(isShortage: isShortage), isOnTrial: isOnTrial, now)
        actions.append(.report(.spawnFailed(exit, verdict.consequence)))
        carryOut(verdict, index, now, &actions)
        if isOnTrial { failRestart(.exit(exit), now, &actions) }
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
        guard let (index, role) = place(of: pid), var child = slots[index][role], case .starting = child.stage else {
            return
        }
        child.stage = .ready(since: now, upAt: now + rules.settleTime, provenAt: now + rules.provingTime)
        child.startCost = startCost
        child.beatBy = rules.heartbeatTimeout.map { now + $0 }
        slots[index][role] = child
        actions.append(.report(.ready(slot: index, pid: pid, after: now - child.spawnedAt)))
        // A child that was asked to exit during its start may still say that it is ready.
        if child.isDraining {
            withdraw(index, role, now, &actions)
        } else if role == .successor {
            confirmSuccessor(index, now, &actions)
        } else {
            confirm(index, now)
        }
    }

    /// The place of a child that works in a slot, or is to work there.
    func place(of pid: Int32) -> (slot: Int, Slot.Role)? {
        guard let index = places[pid] else { return nil }
        if slots[index].current?.pid == pid { return (index, .current) }
        return slots[index].successor?.pid == pid ? (index, .successor) : nil
    }

    // MARK: Up

    /// Notes which children have been ready for long enough by now. It comes before anything else, so that an exit is
    /// judged by the result.
    mutating func confirmChildren(_ now: Instant, _ actions: inout [Action]) {
        for index in slots.passages.due(at: now) {
            confirm(index, now)
            if slots[index].successor != nil { confirmSuccessor(index, now, &actions) }
        }
    }

    /// A successor that is up takes its place. Not during a stop, in which all children exit anyway.
    private mutating func confirmSuccessor(_ index: Int, _ now: Instant, _ actions: inout [Action]) {
        if isStopping {
            slots[index].successor?.passTimes(now)
            return
        }
        guard let child = slots[index].successor, !child.isDraining, case .ready(_, let upAt?, _) = child.stage,
            upAt <= now
        else { return }
        // A timer that comes late finds both due. The other child must not go for one that does not respond.
        if let beatBy = child.beatBy, beatBy <= now { return }
        promoteSuccessor(index, now, &actions)
        confirm(index, now)
    }

    private mutating func confirm(_ index: Int, _ now: Instant) {
        guard let child = slots[index].current else { return }
        let wasAnyProven = !slots.all(.proven).isEmpty
        slots[index].current?.passTimes(now)
        let isUpNow = slots[index].current?.isUp == true && !child.isUp
        let isProvenNow = slots[index].current?.isProven == true && !child.isProven
        if isUpNow {
            slots[index].current?.recycleAt = rules.recycleAfter.map {
                now + $0 + Self.jitter(child.pid, upTo: $0 / 10)
            }
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
        if let child = slots[index].successor, case .starting(let readyBy) = child.stage, readyBy <= now {
            actions.append(.report(.notReady(slot: index, pid: child.pid, after: now - child.spawnedAt)))
            requestExit(index, .successor, .abandoned, now, &actions)
            childFailed(index, child.generation, .notReady(slot: index, pid: child.pid), now, &actions)
        }
        guard let child = slots[index].current, case .starting(let readyBy) = child.stage, readyBy <= now else {
            return
        }
        actions.append(.report(.notReady(slot: index, pid: child.pid, after: now - child.spawnedAt)))
        // If its successor is there already, nothing follows from its exit.
        requestExit(index, .current, slots[index].successor == nil ? .notReady : .abandoned, now, &actions)
        replaceBySuccessor(index)
        waitForExit(index)
        if isOnTrial(child.generation) { failRestart(.notReady(slot: index, pid: child.pid), now, &actions) }
    }

    // MARK: Rotation

    mutating func rotationChange() -> [Action] {
        guard !isStopping else { return [] }
        // Connections to a slot that leaves the fleet would wait for a child that never comes.
        let accepting = acceptingSlots.prefix(below: target)
        let wanted = accepting.isEmpty ? SlotSet(0..<target) : accepting
        if wanted == rotation { return [] }
        rotation = wanted
        return [.rotate(slots: wanted)]
    }
}
