@testable import Prefork

/// Derives the expected effects of children that are to take another's place, that are recycled, or that do not
/// respond.
extension Referee {
    // MARK: Recycling

    mutating func recycle(_ pid: Int32, _ reason: Prefork.Event.RecycleReason, _ coverage: inout Coverage) {
        guard stop == nil, !batch.stops, let slot = slotWithCurrent(pid), slot < target else { return }
        if slots[slot].recycling?.pid == pid { return }
        slots[slot].recycling = Recycling(pid: pid, reason: reason, since: batch.now)
        coverage.note(.recycleRequests)
    }

    mutating func noteAge(_ index: Int, _ coverage: inout Coverage) {
        guard let kid = slots[index].current, !kid.isWithdrawn, let due = kid.recycleAt, due <= batch.now else {
            return
        }
        slots[index].current?.recycleAt = nil
        mayBeSilent = true
        coverage.note(.aged)
        recycle(kid.pid, .age, &coverage)
    }

    mutating func expectRecycling(_ coverage: inout Coverage) {
        for index in slots.indices {
            if slots[index].current?.pid != slots[index].recycling?.pid || index >= target {
                slots[index].recycling = nil
            }
        }
        if renewal != nil { return }
        var first: Int?
        for (index, slot) in slots.enumerated() {
            guard let recycling = slot.recycling else { continue }
            if !slot.isIdle { return }
            guard slot.outgoing.isEmpty, slot.current?.accepts == true else { continue }
            if let other = first, slots[other].recycling?.since ?? 0 <= recycling.since { continue }
            first = index
        }
        guard let first, let recycling = slots[first].recycling else { return }
        slots[first].shortages = 0
        plan(first)
        batch.wanted.append(.report(.recycling(slot: first, pid: recycling.pid, recycling.reason)))
        coverage.note(.recycled)
    }

    // MARK: Successors

    mutating func confirmSuccessor(_ index: Int, _ coverage: inout Coverage) {
        if stop != nil {
            guard var kid = slots[index].successor, kid.accepts else { return }
            if kid.upAt <= batch.now { kid.upAt = .min }
            if kid.provenAt <= batch.now { kid.provenAt = .min }
            slots[index].successor = kid
            mayBeSilent = true
            return
        }
        guard let kid = slots[index].successor, kid.accepts, kid.upAt <= batch.now else { return }
        if let beatBy = kid.beatBy, beatBy <= batch.now { return }
        if let old = slots[index].current {
            batch.wanted.append(.report(.retiring(slot: index, pid: old.pid, successor: kid.pid)))
            dismissCurrent(index, causeOfSwap(from: old.generation, to: kid.generation))
            coverage.note(.replacedByNew)
        }
        slots[index].successor = nil
        slots[index].current = kid
        batch.promoted[index] = kid.pid
        confirm(index, &coverage)
    }

    private func causeOfSwap(from old: Int, to new: Int) -> Supervisor.ExitCause {
        if old == new { return .recycled }
        return renewal?.generation == new && renewal?.goesBack == false ? .restart : .rollback
    }

    /// - Returns: whether there was one.
    mutating func replaceBySuccessor(_ index: Int, _ coverage: inout Coverage) -> Bool {
        guard slots[index].current == nil, let kid = slots[index].successor else { return false }
        slots[index].successor = nil
        slots[index].current = kid
        coverage.note(.promotedEarly)
        return true
    }

    mutating func successorIsReady(_ index: Int, _ cost: Duration?, _ coverage: inout Coverage) {
        guard var kid = slots[index].successor, kid.readyAt == nil else { return }
        kid.readyAt = batch.now
        kid.upAt = sum(batch.now, limits.settle)
        kid.provenAt = sum(batch.now, max(Self.second, limits.settle))
        kid.startCost = cost?.clampedNanoseconds
        kid.beatBy = limits.heartbeat.map { batch.now + $0 }
        slots[index].successor = kid
        batch.ready = index
        if kid.isWithdrawn { withdrawSuccessor(index, &coverage) } else { confirmSuccessor(index, &coverage) }
    }

    mutating func successorDrains(_ index: Int, _ origin: Prefork.DrainOrigin, _ coverage: inout Coverage) {
        guard slots[index].successor?.isWithdrawn == false else { return }
        slots[index].successor?.isWithdrawn = true
        slots[index].successor?.drainOrigin = origin
        batch.drained = index
        coverage.note(.drains)
        withdrawSuccessor(index, &coverage)
    }

    private mutating func withdrawSuccessor(_ index: Int, _ coverage: inout Coverage) {
        guard stop == nil, !batch.stops, let kid = slots[index].successor, kid.readyAt != nil else { return }
        dismissSuccessor(index, &coverage)
        successorFailed(index, kid.generation, .draining(slot: index, pid: kid.pid), &coverage)
    }

    mutating func successorExited(
        _ index: Int, _ kid: Kid, _ reason: Prefork.ChildExit.Reason, _ coverage: inout Coverage
    ) {
        let exit = exit(index, kid, reason)
        batch.exit = exit
        if stop != nil { return }
        batch.consequence = .predecessorStays
        successorFailed(index, kid.generation, .exit(exit), &coverage)
    }

    mutating func successorDidNotStart(
        _ index: Int, _ exit: Prefork.ChildExit, isShortage: Bool, _ coverage: inout Coverage
    ) {
        batch.consequence = .predecessorStays
        guard isShortage, slots[index].shortages < 5 else {
            return successorFailed(index, slots[index].startingGeneration, .exit(exit), &coverage)
        }
        slots[index].shortages += 1
        slots[index].nextTry = sum(batch.now, delayAfterFailure(index))
        planned += 1
    }

    mutating func judgeSuccessor(_ index: Int, _ coverage: inout Coverage) {
        guard let kid = slots[index].successor else { return }
        if kid.readyAt == nil, kid.readyBy <= batch.now {
            batch.judged.append(kid.pid)
            coverage.note(.notReady)
            dismissSuccessor(index, &coverage)
            successorFailed(index, kid.generation, .notReady(slot: index, pid: kid.pid), &coverage)
        }
    }

    /// A successor whose channel is closed and whose exit is late.
    mutating func judgeSilentSuccessor(_ index: Int, _ coverage: inout Coverage) {
        guard let kid = slots[index].successor, let due = kid.exitDue, due <= batch.now else { return }
        if kid.readyAt == nil {
            batch.judged.append(kid.pid)
            coverage.note(.notReady)
            dismissSuccessor(index, &coverage)
            successorFailed(index, kid.generation, .notReady(slot: index, pid: kid.pid), &coverage)
        } else {
            batch.replaced.append(kid.pid)
            slots[index].successor?.drainOrigin = .closedChannel
            slots[index].successor?.exitDue = nil
            withdrawSuccessor(index, &coverage)
        }
    }

    // MARK: Health

    mutating func judgeHeartbeat(_ index: Int, _ coverage: inout Coverage) {
        if let kid = slots[index].current, !kid.isWithdrawn, let due = kid.beatBy, due <= batch.now {
            slots[index].current?.beatBy = nil
            mayBeSilent = true
            if stop == nil, !batch.stops, index < target {
                coverage.note(.silent)
                wantUnresponsive(index, kid.pid, .silence(.nanoseconds(limits.heartbeat ?? 0)))
                withdraw(index, isUnresponsive: true, &coverage)
            }
        }
        if let kid = slots[index].successor, !kid.isWithdrawn, let due = kid.beatBy, due <= batch.now {
            slots[index].successor?.beatBy = nil
            mayBeSilent = true
            if stop == nil, !batch.stops, index < target {
                wantUnresponsive(index, kid.pid, .silence(.nanoseconds(limits.heartbeat ?? 0)))
                failUnresponsiveSuccessor(index, &coverage)
            }
        }
    }

    mutating func stalled(_ pid: Int32, _ evidence: Prefork.Event.Evidence, _ coverage: inout Coverage) {
        guard stop == nil, !batch.stops else { return }
        if let slot = slotWithCurrent(pid), slot < target, slots[slot].current?.accepts == true {
            coverage.note(.stalled)
            wantUnresponsive(slot, pid, evidence)
            withdraw(slot, isUnresponsive: true, &coverage)
        } else if let slot = slotWithSuccessor(pid), slot < target, slots[slot].successor?.accepts == true {
            wantUnresponsive(slot, pid, evidence)
            failUnresponsiveSuccessor(slot, &coverage)
        }
    }

    private mutating func wantUnresponsive(_ index: Int, _ pid: Int32, _ evidence: Prefork.Event.Evidence) {
        batch.wanted.append(.report(.unresponsive(slot: index, pid: pid, evidence)))
    }

    private mutating func failUnresponsiveSuccessor(_ index: Int, _ coverage: inout Coverage) {
        guard let kid = slots[index].successor else { return }
        dismissSuccessor(index, &coverage)
        successorFailed(index, kid.generation, .unresponsive(slot: index, pid: kid.pid), &coverage)
    }

    // MARK: Dismissals

    mutating func dismissIfUnwanted(_ index: Int, _ kid: Kid, _ coverage: inout Coverage) {
        if stop != nil || batch.stops { return }  // The stop asks it, see `checkRequest`.
        if index >= target {
            slots[index].retirement = .accepted
        } else if kid.generation != slots[index].generation {
            if slots[index].successor != nil {
                dismissSuccessor(index, &coverage)
            } else {
                dismissCurrent(index, .abandoned)
                plan(index)
            }
        }
    }

    mutating func dismissSuccessor(_ index: Int, _ coverage: inout Coverage) {
        guard let kid = slots[index].successor else { return }
        slots[index].successor = nil
        coverage.note(.abandoned)
        dismiss(kid, index, .abandoned)
    }

    mutating func dismissCurrent(_ index: Int, _ cause: Supervisor.ExitCause) {
        guard let kid = slots[index].current else { return }
        slots[index].current = nil
        dismiss(kid, index, cause)
    }

    private mutating func dismiss(_ kid: Kid, _ index: Int, _ cause: Supervisor.ExitCause) {
        var kid = kid
        kid.cause = cause
        kid.since = batch.now
        kid.exitDue = nil
        kid.mustBeTold = true
        kid.killDue = sum(batch.now, limits.grace)
        slots[index].outgoing.append(kid)
    }
}
