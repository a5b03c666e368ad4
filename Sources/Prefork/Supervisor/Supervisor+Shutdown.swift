/// How a fleet ends.
extension Supervisor {
    /// A second SIGINT kills if it comes at least this much later than the first, because a held Ctrl-C is one request.
    static let interruptPause: Duration = .seconds(1)

    /// Any number of requests is one request. Only a second SIGINT means more: the person at the terminal has lost
    /// patience.
    mutating func stopRequested(
        _ reason: Prefork.StopReason, _ arrival: Instant, _ now: Instant, _ actions: inout [Action]
    ) {
        let wasStopping = isStopping
        stop(reason, nil, now, &actions)
        if reason.isInterrupt, let first = firstInterrupt, arrival - first >= Self.interruptPause {
            killAll(now, &actions)
            return
        }
        if reason.isInterrupt, firstInterrupt == nil { firstInterrupt = arrival }
        if wasStopping, phase != .finished {
            actions.append(.report(.alreadyStopping(reason, remaining: remaining(now))))
        }
    }

    /// The longest time that the children still have.
    private func remaining(_ now: Instant) -> Duration {
        if case .closingAdmission(let until) = phase { return max(.zero, until - now) + rules.grace }
        let last = slots.flatMap(\.outgoing).compactMap(\.escalation.next).max()
        return max(.zero, last.map { $0 - now } ?? .zero)
    }

    mutating func stop(
        _ reason: Prefork.StopReason, _ error: PreforkError?, _ now: Instant, _ actions: inout [Action]
    ) {
        guard !isStopping else { return }
        failure = error
        phase = .closingAdmission(until: now + rules.queueDrain)
        actions.append(.report(.stopping(reason, grace: rules.grace)))
        // Children that are not ready accept nothing. The others go on until everything queued is accepted.
        for index in slots.indices {
            if case .backingOff = slots[index].attempt { slots[index].attempt = .none }
            slots[index].retirement = nil
            for role in [Slot.Role.current, .successor] {
                if let child = slots[index][role], child.readyAt == nil {
                    requestExit(index, role, .shutdown, now, &actions)
                }
            }
        }
        // The children of both builds are asked to exit.
        (restart, isRestartQueued, isUpgradeQueued, queuedTarget) = (nil, false, false, nil)
        abandonHandover("the fleet stops", &actions)
        if !acceptingSlots.isEmpty, rules.queueDrain > .zero { actions.append(.closeAdmission) }
    }

    /// Ends the wait for queued connections if no child is left that could accept them, or if waiting is off.
    mutating func finishAdmission(_ now: Instant, _ actions: inout [Action]) {
        if acceptingSlots.isEmpty || rules.queueDrain == .zero { requestExits(now, &actions) }
    }

    /// Asks all children that have not been asked yet to exit. Further calls do nothing.
    mutating func requestExits(_ now: Instant, _ actions: inout [Action]) {
        guard case .closingAdmission = phase else { return }
        phase = .stopping
        for index in slots.indices {
            // A child that was killed already is only waited for.
            for position in slots[index].outgoing.indices
            where [.unrequested, .unreplaced].contains(slots[index].outgoing[position].cause)
                && slots[index].outgoing[position].escalation.next != nil
            {
                // It drains already, but from now on it has the same time as the others.
                slots[index].outgoing[position].escalation = .terminate(grace: rules.grace, at: now)
                takeStep(index, position, now, &actions)
            }
            // A child that prints its stacks has no more time than the others.
            for position in slots[index].outgoing.indices where slots[index].outgoing[position].cause == .unresponsive {
                slots[index].outgoing[position].escalation.hasten(to: rules.grace, at: now)
            }
            requestExits(of: index, .shutdown, now, &actions)
        }
        // The master's copies are closed last, so that a new connection finds an open listener while a child still
        // accepts.
        actions.append(.closeListeners)
    }

    mutating func requestExits(of index: Int, _ cause: ExitCause, _ now: Instant, _ actions: inout [Action]) {
        requestExit(index, .current, cause, now, &actions)
        requestExit(index, .successor, cause, now, &actions)
    }

    /// Asks a child of the slot, if there is one, to exit, and kills it if it has not done so by the end of the grace
    /// period.
    mutating func requestExit(
        _ index: Int, _ role: Slot.Role, _ cause: ExitCause, _ now: Instant, _ actions: inout [Action]
    ) {
        guard let child = slots[index][role] else { return }
        slots[index][role] = nil
        slots[index].outgoing.append(
            Exiting(child: child, cause: cause, since: now, escalation: .terminate(grace: rules.grace, at: now)))
        takeStep(index, slots[index].outgoing.count - 1, now, &actions)
    }

    /// Sends the signals that are due, one for each child. A child then has a moment between two signals even if there
    /// is no grace period.
    mutating func escalate(_ index: Int, _ now: Instant, _ actions: inout [Action]) {
        for position in slots[index].outgoing.indices { takeStep(index, position, now, &actions) }
    }

    mutating func takeStep(_ index: Int, _ position: Int, _ now: Instant, _ actions: inout [Action]) {
        guard let signal = slots[index].outgoing[position].escalation.take(at: now) else { return }
        let exiting = slots[index].outgoing[position]
        if signal == .kill {
            let drain = now - exiting.since
            actions.append(.report(.killing(slot: index, pid: exiting.child.pid, .notDrained, after: drain)))
        }
        actions.append(.signal(pid: exiting.child.pid, signal))
    }

    private mutating func killAll(_ now: Instant, _ actions: inout [Action]) {
        requestExits(now, &actions)  // Children are killed only after they were asked.
        for index in slots.indices {
            for position in slots[index].outgoing.indices where slots[index].outgoing[position].escalation.next != nil {
                let exiting = slots[index].outgoing[position]
                slots[index].outgoing[position].escalation.end()
                let drain = now - exiting.since
                actions.append(.report(.killing(slot: index, pid: exiting.child.pid, .secondInterrupt, after: drain)))
                actions.append(.signal(pid: exiting.child.pid, .kill))
            }
        }
    }

    mutating func finishIfEmpty(_ actions: inout [Action]) {
        guard phase == .stopping, slots.all(.occupied).isEmpty else { return }
        phase = .finished
        actions.append(.report(.stopped))
        actions.append(.finish)
    }
}

extension Prefork.StopReason {
    fileprivate var isInterrupt: Bool {
        if case .signal(let number, _) = payload { number == Signal.interrupt.number } else { false }
    }
}
