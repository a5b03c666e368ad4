/// The rules for exits.
extension Supervisor {
    /// A closed channel announces an exit that is known some microseconds later. If it is not known after this time,
    /// something holds the dead child (a debugger), or it lives on without serving: it is replaced without waiting
    /// for its exit.
    static let exitNotice: Duration = .milliseconds(100)
    /// A child that drains unasked ends itself after the grace period and a second. If it does not, it is killed
    /// after this much more.
    static let unrequestedMargin: Duration = .seconds(2)

    /// The decision after the end of a child, or after its withdrawal.
    enum Verdict {
        case recover(after: Duration)
        case giveUp(PreforkError)

        var consequence: Prefork.Event.Consequence {
            switch self {
            case .recover(let delay): .recovering(after: delay)
            case .giveUp: .givingUp
            }
        }
    }

    /// The kind of an end.
    enum Ending {
        case failedStart(isShortage: Bool)
        /// The child was ready.
        case served(Child, processorTime: Duration?)
    }

    mutating func exited(_ pid: Int32, _ end: End, _ now: Instant, _ actions: inout [Action]) {
        guard let (index, child, role, cause) = remove(pid) else { return }
        let exit = Prefork.ChildExit(
            slot: index,
            pid: pid,
            reason: Prefork.ChildExit.Reason(end.status),
            lifetime: now - child.spawnedAt,
            wasReady: child.readyAt != nil,
            isProbablyOutOfMemory: end.isOutOfMemory,
            readyTime: child.readyAt.map { now - $0 },
            drainOrigin: cause?.isRequested == true ? .master : child.drainOrigin
        )
        slots[index].lastExit = exit
        if !isStopping, backtraces.noteCrash(end.status, at: now) { actions.append(.report(.backtracesSuppressed)) }
        // The exit of a slot that leaves the fleet leads to nothing either.
        if isStopping || cause?.isPlanned == true || index >= target {
            actions.append(.report(.exited(exit, .expected)))
            return
        }
        if role == .successor {
            counters.note(exit)
            actions.append(.report(.exited(exit, .predecessorStays)))
            childFailed(index, child.generation, .exit(exit), now, &actions)
            return
        }
        let isOnTrial = isOnTrial(child)
        // A successor that is there already takes its place, whatever stage it is in.
        if role == .current { replaceBySuccessor(index) }
        let verdict: Verdict
        if cause == .unrequested || cause == .unresponsive || slots[index].current != nil {
            // Its replacement was started when it withdrew, or before. Here it only counts.
            if let error = strictRefusal(index, exit, now) {
                verdict = .giveUp(error)
            } else {
                counters.note(exit)
                actions.append(.report(.exited(exit, .replaced)))
                if isOnTrial { failRestart(.exit(exit), now, &actions) }
                return
            }
        } else {
            let ending: Ending =
                child.readyAt == nil || cause == .notReady
                ? .failedStart(isShortage: false) : .served(child, processorTime: end.processorTime)
            verdict = judge(index, exit, ending, isOnTrial: isOnTrial, now)
        }
        counters.note(exit)
        actions.append(.report(.exited(exit, verdict.consequence)))
        carryOut(verdict, index, now, &actions)
        if isOnTrial { failRestart(.exit(exit), now, &actions) }
    }

    /// Removes a child. From here on, the pid may be another process's.
    private mutating func remove(_ pid: Int32) -> (slot: Int, child: Child, role: Slot.Role?, cause: ExitCause?)? {
        if let (index, role) = place(of: pid), let child = slots[index][role] {
            slots[index][role] = nil
            places[pid] = nil
            return (index, child, role, nil)
        }
        guard let index = places.removeValue(forKey: pid),
            let position = slots[index].outgoing.firstIndex(where: { $0.child.pid == pid })
        else { return nil }
        let exiting = slots[index].outgoing.remove(at: position)
        return (index, exiting.child, nil, exiting.cause)
    }

    mutating func carryOut(_ verdict: Verdict, _ index: Int, _ now: Instant, _ actions: inout [Action]) {
        switch verdict {
        case .recover(let delay):
            // The answer to a start that is under way is still to come.
            if case .spawning = slots[index].attempt { return }
            slots[index].retryDelay = nil
            slots[index].attempt = .backingOff(until: now + delay)
        case .giveUp(let error): stop(.failure("\(error)"), error, now, &actions)
        }
    }

    // MARK: Judging

    /// Decides what an unexpected exit, or a failed start, leads to. Not called during a stop.
    /// - Parameter isOnTrial: whether it ends a restart, so that the slot gets a child of the build before.
    mutating func judge(
        _ index: Int, _ exit: Prefork.ChildExit, _ ending: Ending, isOnTrial: Bool, _ now: Instant
    ) -> Verdict {
        if case .failedStart(isShortage: true) = ending { return .recover(after: delayAfterFailedStart(index)) }
        let strict = strictRefusal(index, exit, now)
        if exit.hasFatalStatus(rules), !isAnyUp, !isOnTrial { return .giveUp(.childRefused(exit)) }
        if let strict { return .giveUp(strict) }
        if let limit = rules.limitPerSlot, slots[index].recoveries >= limit { return .giveUp(.overRecovery(lastExits)) }
        slots[index].recoveries += 1
        if exit.hasFatalStatus(rules) { return failedStart(index, now) }
        guard case .served(let child, let processorTime) = ending else { return failedStart(index, now) }
        return afterService(index, child, processorTime, now)
    }

    /// The strict modes count every exit.
    private mutating func strictRefusal(_ index: Int, _ exit: Prefork.ChildExit, _ now: Instant) -> PreforkError? {
        lastExits = lastExits.suffix(Self.keptExits - 1) + [exit]
        switch rules.recovery {
        case .automatic, .unlimited: return nil
        case .never: return .childExited(exit)
        case .upTo(let exits):
            return strictExits.count(at: now, within: rules.window) > exits ? .overRecovery(lastExits) : nil
        }
    }

    private mutating func failedStart(_ index: Int, _ now: Instant) -> Verdict {
        var delay = delayAfterFailedStart(index)
        guard rules.recovery == .automatic, !hasBeenUp else { return .recover(after: delay) }
        startFailures.note(at: now)
        switch startFailures.state(ofChildren: target, at: now) {
        case .few: break
        case .many(let left): delay = min(delay, left)  // The last try comes when the time is over, not long after it.
        case .tooMany: return .giveUp(.overRecovery(lastExits))
        }
        return .recover(after: delay)
    }

    mutating func delayAfterFailedStart(_ index: Int) -> Duration {
        defer { slots[index].failures += 1 }
        return rules.delays.delay(afterFailures: slots[index].failures)
    }

    /// A child that had served is replaced at once, unless its slot looks like a program that is broken.
    private mutating func afterService(
        _ index: Int, _ child: Child, _ processorTime: Duration?, _ now: Instant
    ) -> Verdict {
        let least = rules.delays.delay(afterFailures: 0)
        guard let readyAt = child.readyAt, !child.isProven else { return .recover(after: least) }
        let start = readyAt - child.spawnedAt
        slots[index].crashes.note(start: start, service: now - readyAt)
        let wait: Duration
        switch (slots[index].crashes.suspicion, hasBeenUp) {
        case (.poison, _), (.unknown, true): wait = poisonBudget.charge(child.startCost ?? start, at: now)
        case (.brokenProgram, true): wait = brokenBudget.charge(processorTime ?? start, at: now)
        case (.brokenProgram, false), (.unknown, false): return failedStart(index, now)
        }
        return .recover(after: min(max(wait, least), rules.delays.maximum))
    }

    // MARK: Withdrawing

    /// Handles a child's message that it drains. The child gets no more connections, and its replacement is started
    /// beside it.
    mutating func draining(_ pid: Int32, _ origin: Prefork.DrainOrigin, _ now: Instant, _ actions: inout [Action]) {
        guard let (index, role) = place(of: pid), slots[index][role]?.isDraining == false else { return }
        slots[index][role]?.isDraining = true
        slots[index][role]?.drainOrigin = origin
        actions.append(.report(.draining(slot: index, pid: pid, origin)))
        withdraw(index, role, now, &actions)
    }

    /// Handles the hang-up of a child's channel. The child gets no more connections. Its exit, which tells why, is
    /// usually known at once.
    mutating func hungUp(_ pid: Int32, _ now: Instant) {
        guard let (index, role) = place(of: pid), slots[index][role]?.isDraining == false else { return }
        slots[index][role]?.isDraining = true
        slots[index][role]?.exitExpectedBy = now + Self.exitNotice
    }

    mutating func replaceWithoutExit(
        _ index: Int, _ role: Slot.Role, _ now: Instant, _ actions: inout [Action]
    ) {
        guard let child = slots[index][role], let expected = child.exitExpectedBy, expected <= now else { return }
        slots[index][role]?.exitExpectedBy = nil
        guard child.readyAt != nil else {
            // It can no longer become ready.
            slots[index][role]?.stage = .starting(readyBy: now)
            judgeReadiness(index, now, &actions)
            return
        }
        slots[index][role]?.drainOrigin = .closedChannel
        actions.append(.report(.draining(slot: index, pid: child.pid, .closedChannel)))
        withdraw(index, role, now, &actions)
    }

    /// Starts a replacement beside a child that has stopped serving, if the rules allow one. Otherwise its exit
    /// decides.
    mutating func withdraw(_ index: Int, _ role: Slot.Role, _ now: Instant, _ actions: inout [Action]) {
        let steps = [Escalation.Step(signal: .kill, after: rules.grace + Self.unrequestedMargin)]
        withdraw(index, role, .unrequested, Escalation(steps, at: now), now, &actions)
    }

    /// - Parameters:
    ///   - cause: why it is replaced. If it cannot be replaced at once, its exit decides.
    ///   - escalation: the signals for it.
    mutating func withdraw(
        _ index: Int, _ role: Slot.Role, _ cause: ExitCause, _ escalation: Escalation, _ now: Instant,
        _ actions: inout [Action]
    ) {
        guard !isStopping, let child = slots[index][role], child.readyAt != nil else { return }
        let fault: RestartFault =
            cause == .unresponsive
            ? .unresponsive(slot: index, pid: child.pid) : .draining(slot: index, pid: child.pid)
        if role == .successor {
            requestExit(index, .successor, .abandoned, now, &actions)
            return childFailed(index, child.generation, fault, now, &actions)
        }
        // A slot that leaves the fleet gets no replacement. It is asked to exit below.
        if index >= target { return }
        let isOnTrial = isOnTrial(child)
        let isReplaced =
            rules.recovery != .never && !slots[index].isExiting(because: cause)
            && rules.limitPerSlot.map { slots[index].recoveries < $0 } ?? true
        slots[index].current = nil
        slots[index].outgoing.append(
            Exiting(child: child, cause: isReplaced ? cause : .unreplaced, since: now, escalation: escalation))
        takeStep(index, slots[index].outgoing.count - 1, now, &actions)
        replaceBySuccessor(index)
        if !isReplaced { waitForExit(index) }
        if isReplaced, slots[index].current == nil {
            slots[index].recoveries += 1
            carryOut(afterService(index, child, nil, now), index, now, &actions)
        }
        if isOnTrial { failRestart(fault, now, &actions) }
    }
}

extension Prefork.ChildExit {
    fileprivate func hasFatalStatus(_ rules: Supervisor.Rules) -> Bool {
        if case .status(let status) = reason.payload { rules.fatalExitStatuses.contains(status) } else { false }
    }
}
