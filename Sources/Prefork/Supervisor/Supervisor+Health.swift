/// How children that do not respond are found and replaced.
extension Supervisor {
    mutating func beat(_ pid: Int32, _ now: Instant) {
        guard let (index, role) = place(of: pid), slots[index][role]?.beatBy != nil else { return }
        slots[index][role]?.beatBy = rules.heartbeatTimeout.map { now + $0 }
    }

    mutating func judgeHeartbeat(_ index: Int, _ now: Instant, _ actions: inout [Action]) {
        for role in [Slot.Role.current, .successor] {
            guard let child = slots[index][role], !child.isDraining, let due = child.beatBy, due <= now else {
                continue
            }
            slots[index][role]?.beatBy = nil
            // A slot that leaves the fleet, and a stop, have their own time.
            if isStopping || index >= target { continue }
            unresponsive(index, role, .silence(rules.heartbeatTimeout ?? .zero), now, &actions)
        }
    }

    mutating func stalled(
        _ pid: Int32, _ evidence: Prefork.Event.Evidence, _ now: Instant, _ actions: inout [Action]
    ) {
        guard !isStopping, let (index, role) = place(of: pid), index < target, slots[index][role]?.isAccepting == true
        else { return }
        unresponsive(index, role, evidence, now, &actions)
    }

    /// The child gets no more connections, its replacement is started at once, and it is asked to print its stacks and
    /// exit.
    private mutating func unresponsive(
        _ index: Int, _ role: Slot.Role, _ evidence: Prefork.Event.Evidence, _ now: Instant, _ actions: inout [Action]
    ) {
        guard let child = slots[index][role] else { return }
        actions.append(.report(.unresponsive(slot: index, pid: child.pid, evidence)))
        counters.noteUnresponsive()
        withdraw(index, role, .unresponsive, .abort(grace: rules.abortGrace, at: now), now, &actions)
    }
}
