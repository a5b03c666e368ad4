@testable import Prefork

/// Derives the expected effects of an input.
extension Referee {
    /// A master that comes more than a second too late starts its timers again.
    mutating func noticeSuspension() {
        let now = batch.now
        guard let expectedBy, now - expectedBy > Self.second else { return }
        for index in slots.indices {
            slots[index].current = slots[index].current.map { begunAgain($0, expectedBy) }
            slots[index].successor = slots[index].successor.map { begunAgain($0, expectedBy) }
            if case .accepting = slots[index].retirement {
                slots[index].retirement = .accepting(until: sum(now, limits.queueDrain))
                batch.suspended = now - expectedBy
            }
            for position in slots[index].outgoing.indices where !slots[index].outgoing[position].isKilled {
                let kid = slots[index].outgoing[position]
                let usual =
                    kid.isUnresponsive ? limits.abortGrace : sum(limits.grace, kid.isTold ? 0 : 2 * Self.second)
                let time = kid.killTime ?? usual
                slots[index].outgoing[position].killDue = sum(now, time)
                batch.suspended = now - expectedBy
            }
        }
        if case .baking(_?) = renewal?.stage {
            let until = sum(now, limits.bake ?? 0)
            renewal?.stage = .baking(until: until)
            batch.suspended = now - expectedBy
        }
        if closing != nil {
            closing = sum(now, limits.queueDrain)
            batch.suspended = now - expectedBy
        }
        if stop != nil, batch.suspended != nil { extensions += 1 }
    }

    private mutating func begunAgain(_ kid: Kid, _ expectedBy: Int64) -> Kid {
        let now = batch.now
        var (kid, counts) = (kid, false)
        if kid.exitDue != nil {
            kid.exitDue = sum(now, Self.exitNotice)
            counts = true
        }
        if kid.beatBy != nil { kid.beatBy = sum(now, limits.heartbeat ?? 0) }
        if kid.readyAt == nil {
            kid.readyBy = sum(now, limits.readinessTimeout)
            counts = true
        } else {
            mayBeSilent = true
            if kid.upAt != .min { kid.upAt = sum(now, limits.settle) }
            if kid.provenAt != .min { kid.provenAt = sum(now, max(Self.second, limits.settle)) }
        }
        if counts { batch.suspended = now - expectedBy }
        return kid
    }

    /// Notes the children that have been ready for long enough.
    mutating func confirm(_ coverage: inout Coverage) {
        for index in slots.indices {
            confirm(index, &coverage)
            confirmSuccessor(index, &coverage)
        }
    }

    mutating func confirm(_ index: Int, _ coverage: inout Coverage) {
        guard var kid = slots[index].current, kid.readyAt != nil, !kid.isWithdrawn else { return }
        let isAnyProven = slots.contains { $0.current?.provenAt == .min }
        if kid.upAt != .min, kid.upAt <= batch.now {
            kid.upAt = .min
            (hasBeenUp, mayBeSilent) = (true, true)
            kid.recycleAt = limits.recycleAfter.map { age in
                let jitter = Supervisor.jitter(kid.pid, upTo: .nanoseconds(age) / 10).clampedNanoseconds
                return sum(sum(batch.now, age), jitter)
            }
            slots[index].failures = 0
            coverage.note(.up)
        }
        if kid.provenAt != .min, kid.provenAt <= batch.now {
            kid.provenAt = .min
            mayBeSilent = true
            slots[index].lives = []
            coverage.note(.proven)
            slots[index].current = kid
            // The whole fleet was down, and the cause is over.
            if !isAnyProven {
                for other in slots.indices {
                    let soon = sum(batch.now, limits.next)
                    guard let due = slots[other].nextTry, due > soon else { continue }
                    slots[other].nextTry = soon
                    coverage.note(.retries)
                }
            }
        }
        slots[index].current = kid
    }

    mutating func expect(_ input: Supervisor.Input, _ coverage: inout Coverage) {
        let now = batch.now
        switch input {
        case .spawned(let slot, let pid):
            asked = nil
            slots[slot].isStarting = false
            let kid = Kid(
                pid: pid, generation: slots[slot].startingGeneration, spawnedAt: slots[slot].lastSpawn,
                readyBy: sum(now, limits.readinessTimeout))
            batch.predecessor = slots[slot].current?.pid
            if slots[slot].current == nil { slots[slot].current = kid } else { slots[slot].successor = kid }
            batch.spawned = slot
            batch.spawnedPID = pid
            dismissIfUnwanted(slot, kid, &coverage)
            endFilling()
        case .spawnFailed(let slot, let error):
            asked = nil
            slots[slot].isStarting = false
            batch.isFailedStart = true
            let isShortage = error.code == 11 || error.code == 12
            if isShortage {
                shortages += 1
                coverage.note(.shortages)
            }
            ended(slot, nil, .notSpawned(error), processorTime: nil, isShortage: isShortage, &coverage)
            coverage.note(.failedStarts)
            endFilling()
        case .spawnRefused(let slot, let error):
            asked = nil
            slots[slot].isStarting = false
            coverage.note(.refusedStarts)
            guard hasBeenUp else { return begin(.spawn) }
            batch.isFailedStart = true
            ended(
                slot, nil, .notSpawned(SystemError(refusal: error)), processorTime: nil, isShortage: false, &coverage)
            endFilling()
        case .ready(let pid, let cost):
            if let slot = slotWithSuccessor(pid) { return successorIsReady(slot, cost, &coverage) }
            guard let slot = slotWithCurrent(pid), slots[slot].current?.readyAt == nil else { return }
            let (upAt, provenAt) = (sum(now, limits.settle), sum(now, max(Self.second, limits.settle)))
            slots[slot].current?.readyAt = now
            slots[slot].current?.upAt = upAt
            slots[slot].current?.provenAt = provenAt
            slots[slot].current?.startCost = cost?.clampedNanoseconds
            slots[slot].current?.beatBy = limits.heartbeat.map { now + $0 }
            batch.ready = slot
            if slots[slot].current?.isWithdrawn == true { withdraw(slot, &coverage) } else { confirm(slot, &coverage) }
        case .draining(let pid, let origin):
            batch.subject = pid
            if let slot = slotWithSuccessor(pid) { return successorDrains(slot, origin, &coverage) }
            guard let slot = slotWithCurrent(pid), slots[slot].current?.isWithdrawn == false else { return }
            slots[slot].current?.isWithdrawn = true
            slots[slot].current?.drainOrigin = origin
            batch.drained = slot
            coverage.note(.drains)
            withdraw(slot, &coverage)
        case .hungUp(let pid):
            batch.subject = pid
            if let slot = slotWithSuccessor(pid), slots[slot].successor?.isWithdrawn == false {
                slots[slot].successor?.isWithdrawn = true
                let due = sum(now, Self.exitNotice)
                slots[slot].successor?.exitDue = due
                return coverage.note(.hangUps)
            }
            guard let slot = slotWithCurrent(pid), slots[slot].current?.isWithdrawn == false else { return }
            let exitDue = sum(now, Self.exitNotice)
            slots[slot].current?.isWithdrawn = true
            slots[slot].current?.exitDue = exitDue
            coverage.note(.hangUps)
        case .exited(let pid, let end):
            batch.subject = pid
            exited(pid, end, &coverage)
        case .stop(let reason, let arrival): stopped(reason, arrival.nanoseconds, &coverage)
        case .admissionClosed: batch.closesAdmission = true
        case .fail: begin(.nothing)
        case .timer: batch.isTimer = true
        case .restart: restartRequested(&coverage)
        case .upgrade: upgradeRequested(&coverage)
        case .renew: renewalRequested(&coverage)
        case .handedOver: handedOver(&coverage)
        case .handoverFailed(let reason): abandonHandover(reason, &coverage)
        case .restartPrepared(let generation): opened(generation)
        case .restartRefused(let generation, let reason): refused(generation, reason, &coverage)
        case .rollback: rollbackRequested(&coverage)
        case .resize(let count): resizeRequested(count, &coverage)
        case .recycle(let pid, let reason): recycle(pid, reason, &coverage)
        case .beat(let pid):
            let beatBy = sum(now, limits.heartbeat ?? 0)
            if let slot = slotWithCurrent(pid), slots[slot].current?.beatBy != nil {
                slots[slot].current?.beatBy = beatBy
            }
            if let slot = slotWithSuccessor(pid), slots[slot].successor?.beatBy != nil {
                slots[slot].successor?.beatBy = beatBy
            }
        case .stalled(let pid, let evidence):
            batch.subject = pid
            stalled(pid, evidence, &coverage)
        case .queueEmpty(let slot):
            if case .accepting = slots[slot].retirement { slots[slot].retirement = .accepted }
        }
    }

    private mutating func stopped(_ reason: Prefork.StopReason, _ arrival: Int64, _ coverage: inout Coverage) {
        let wasStopping = stop != nil
        if stop == nil { begin(.nothing) }
        if case .signal(2, _) = reason.payload {
            if let firstInterrupt, arrival - firstInterrupt >= Self.second {
                batch.killsAll = true
            } else {
                firstInterrupt = firstInterrupt ?? arrival
            }
        }
        batch.repeats = wasStopping && !batch.killsAll && !hasFinished
        if batch.repeats { coverage.note(.repeatedStops) }
    }

    private mutating func exited(_ pid: Int32, _ end: Supervisor.End, _ coverage: inout Coverage) {
        let reason: Prefork.ChildExit.Reason =
            switch end.status {
            case .exited(let code): .status(code)
            case .signaled(let number, let core): .signal(number, coreDumped: core)
            case .lost: .unknown
            }
        for index in slots.indices {
            if let kid = slots[index].current, kid.pid == pid {
                slots[index].current = nil
                noteCrash(reason, &coverage)
                return ended(
                    index, kid, reason, processorTime: end.processorTime, isShortage: false, wasCurrent: true,
                    &coverage)
            }
            if let kid = slots[index].successor, kid.pid == pid {
                slots[index].successor = nil
                noteCrash(reason, &coverage)
                return successorExited(index, kid, reason, &coverage)
            }
            if let position = slots[index].outgoing.firstIndex(where: { $0.pid == pid }) {
                let kid = slots[index].outgoing.remove(at: position)
                noteCrash(reason, &coverage)
                return ended(index, kid, reason, processorTime: end.processorTime, isShortage: false, &coverage)
            }
        }
    }

    /// The fifth crash within a minute is the last that prints a backtrace.
    private mutating func noteCrash(_ reason: Prefork.ChildExit.Reason, _ coverage: inout Coverage) {
        guard stop == nil, case .signal(let number, _) = reason.payload, [4, 5, 6, 7, 8, 11].contains(number) else {
            return
        }
        crashTimes.append(batch.now)
        if !isQuiet, crashTimes.count >= 5, batch.now - crashTimes[crashTimes.count - 5] <= 60 * Self.second {
            isQuiet = true
            batch.suppresses = true
            coverage.note(.backtracesSuppressed)
        }
    }

    // MARK: Withdrawing

    /// A child that no longer serves gets a replacement beside it.
    /// - Parameter isUnresponsive: whether it is told to exit by SIGABRT, because it does not respond.
    mutating func withdraw(_ slot: Int, isUnresponsive: Bool = false, _ coverage: inout Coverage) {
        guard stop == nil, !batch.stops, var kid = slots[slot].current, kid.readyAt != nil else { return }
        if slot >= target { return }
        let fails = isOnTrial(kid)
        let fault: Prefork.Event.RestartFault =
            isUnresponsive ? .unresponsive(slot: slot, pid: kid.pid) : .draining(slot: slot, pid: kid.pid)
        defer { if fails { failRenewal(fault, &coverage) } }
        let cause: Supervisor.ExitCause = isUnresponsive ? .unresponsive : .unrequested
        var isReplaced = limits.recovery != .never && !slots[slot].outgoing.contains { $0.cause == cause }
        if let limit = limits.limitPerSlot, slots[slot].recoveries >= limit { isReplaced = false }
        kid.cause = isReplaced ? cause : .unreplaced
        (kid.isUnresponsive, kid.mustBeTold) = (isUnresponsive, isUnresponsive)
        kid.exitDue = nil
        kid.since = batch.now
        kid.killDue = sum(batch.now, isUnresponsive ? limits.abortGrace : sum(limits.grace, 2 * Self.second))
        slots[slot].current = nil
        slots[slot].outgoing.append(kid)
        if replaceBySuccessor(slot, &coverage) { return }
        guard isReplaced else {
            (slots[slot].nextTry, slots[slot].retryDelay) = (nil, nil)
            return coverage.note(.notReplaced)
        }
        slots[slot].recoveries += 1
        coverage.note(.replacedBeside)
        guard let delay = delayAfterService(slot, kid, nil, &coverage) else { return startFailed(slot, &coverage) }
        slots[slot].nextTry = sum(batch.now, delay)
        slots[slot].retryDelay = nil
    }

    // MARK: The stop

    /// Ready children are asked to exit when nothing is queued any more, when that takes too long, when no child is
    /// left that could accept, or when an operator has lost patience.
    mutating func expectTelling(_ coverage: inout Coverage) {
        if batch.stops { closing = sum(batch.now, limits.queueDrain) }
        guard let until = closing else { return }
        let isLate = batch.isTimer && until <= batch.now
        batch.tells =
            batch.closesAdmission || isLate || batch.killsAll || acceptingSlots.isEmpty || limits.queueDrain == 0
        guard batch.tells else { return }
        closing = nil
        for index in slots.indices {
            for position in slots[index].outgoing.indices where slots[index].outgoing[position].cause == .unresponsive {
                let left = min(max(0, slots[index].outgoing[position].killDue - batch.now), limits.grace)
                slots[index].outgoing[position].killTime = left
                if !slots[index].outgoing[position].isKilled {
                    slots[index].outgoing[position].killDue = sum(batch.now, left)
                    slots[index].outgoing[position].hastenedIn = batches
                }
            }
        }
        if batch.stops { return }
        if batch.closesAdmission {
            coverage.note(.emptyQueues)
        } else if isLate {
            coverage.note(.fullQueues)
        } else {
            coverage.note(batch.killsAll ? .killedWhileClosing : .deserted)
        }
    }

    private mutating func endFilling() {
        guard isFilling, filled == limits.children, !batch.stops else { return }
        isFilling = false
        batch.completesFilling = true
        batch.fleet = slots.compactMap { $0.current?.pid }
    }

    mutating func begin(_ reason: Failure) {
        guard stop == nil else { return }
        batch.stops = true
        failure = reason
        hadBeenUp = hasBeenUp
    }
}
