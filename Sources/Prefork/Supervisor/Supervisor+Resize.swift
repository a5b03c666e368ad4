/// How the number of slots changes while the fleet runs.
extension Supervisor {
    mutating func resizeRequested(_ count: Int, _ now: Instant, _ actions: inout [Action]) {
        if isStopping { return }
        // While slots are filled for the first time, only the last request counts, when they are.
        guard case .running = phase else {
            queuedTarget = count
            return
        }
        queuedTarget = nil
        let old = target
        if count == old { return }
        target = count
        actions.append(.report(.resized(from: old, to: count)))
        while slots.count < count { slots.append(Slot()) }
        for index in slots.indices.dropFirst(min(old, count)) {
            if index < count { enlist(index, now, &actions) } else { retire(index, now, &actions) }
        }
    }

    /// A slot joins the fleet, for the first time or again.
    private mutating func enlist(_ index: Int, _ now: Instant, _ actions: inout [Action]) {
        slots[index].retirement = nil
        slots[index].generation = generation
        slots[index].failures = 0
        // A child that drains is replaced beside it, as always.
        if slots[index].current?.isDraining == true, slots[index].current?.exitExpectedBy == nil {
            withdraw(index, .current, now, &actions)
        }
        // Its child stays if it has not been asked to exit, unless a restart has passed it by.
        if let current = slots[index].current, current.generation == generation { return }
        if slots[index].isIdle { slots[index].attempt = .backingOff(until: now) }
    }

    /// A slot leaves the fleet. Its child gets no new connections, accepts those that are queued, and is then asked to
    /// exit.
    private mutating func retire(_ index: Int, _ now: Instant, _ actions: inout [Action]) {
        if slots[index].retirement != nil { return }
        slots[index].recycling = nil
        requestExit(index, .successor, .abandoned, now, &actions)
        slots[index].retryDelay = nil
        if case .backingOff = slots[index].attempt { slots[index].attempt = .none }
        guard let current = slots[index].current else { return }
        if current.isAccepting, rules.queueDrain > .zero {
            slots[index].retirement = .accepting(until: now + rules.queueDrain)
            actions.append(.awaitEmptyQueue(slot: index))
        } else {
            slots[index].retirement = .accepted
        }
    }

    mutating func queueEmpty(_ index: Int) {
        guard slots.indices.contains(index), case .accepting = slots[index].retirement else { return }
        slots[index].retirement = .accepted
    }

    mutating func proceedWithRetirements(_ now: Instant, _ actions: inout [Action]) {
        for index in slots.passages.due(at: now) {
            if case .accepting(let until) = slots[index].retirement, until <= now {
                slots[index].retirement = .accepted
            }
        }
        // A child that no longer accepts need not wait.
        for index in slots.all(.deserted) { slots[index].retirement = .accepted }
        for index in slots.all(.leaving) {
            slots[index].retirement = nil
            requestExits(of: index, .resize, now, &actions)
        }
    }
}
