@testable import Prefork

/// Checks a supervisor's actions.
extension Referee {
    mutating func check(
        _ action: Supervisor.Action,
        isFirst: Bool,
        isLast: Bool,
        away: Int64,
        _ supervisor: Supervisor,
        _ coverage: inout Coverage
    ) throws(Violation) {
        try require(!hasFinished, "\(action) after the end")
        switch action {
        case .spawn(let slot, let launch, let generation, let prints):
            try require(isLast, "a spawn that is not the last action of its batch")
            try checkSpawn(slot, launch, generation, prints)
            if slots[slot].spawns > 1 { coverage.note(.recoveries) }
        case .announce(let pid, let replaces):
            try require(!batch.announced && batch.reportedSpawn, "\(action) out of order")
            guard let index = batch.spawned else { throw Violation(text: "\(action), but nothing was spawned") }
            let isSuccessor = batch.predecessor != nil
            let isRight = batch.spawnedPID == pid && (isSuccessor ? nil : slots[index].lastPID) == replaces
            try require(isRight, "\(action) is not what was spawned")
            slots[index].lastPID = pid
            batch.announced = true
        case .announceMaster(let pids):
            try require(batch.completesFilling && !hasAnnouncedMaster && stop == nil, "\(action) out of order")
            try require(pids == batch.fleet, "\(action), but others are there")
            (hasAnnouncedMaster, batch.announcedMaster) = (true, true)
        case .signal(let pid, let signal): try checkSignal(pid, signal)
        case .prepareRestart, .keepPrograms, .awaitEmptyQueue, .handOver, .prepareRenewal: try checkWanted(action)
        case .rotate(let slots):
            let members = Array(slots)
            try require(isFirst && stop == nil && !batch.stops, "\(action) out of order")
            try require(members == wantedRotation && members != rotation, "\(action), but \(wantedRotation) are ready")
            rotation = members
            coverage.note(.rotations)
        case .closeAdmission:
            try require(batch.began && !batch.tells && !batch.askedAdmission, "\(action) out of order")
            batch.askedAdmission = true
        case .closeListeners:
            try require(batch.tells && !hasClosed, "\(action) out of order")
            let allAreTold = slots.allSatisfy {
                $0.current == nil && $0.outgoing.allSatisfy { $0.isTold || $0.isKilled }
            }
            try require(allAreTold, "listeners closed before all were told to exit")
            hasClosed = true
        case .finish:
            try require(batch.reportedStopped, "an end without a word")
            hasFinished = true
            try checkEnd(away, supervisor, &coverage)
        case .report(let event): try check(event, away, &coverage)
        }
    }

    /// Restarts and resizes lead to what the rules say, in this order.
    private mutating func checkWanted(_ action: Supervisor.Action) throws(Violation) {
        let first = batch.wanted.first
        try require(first == action, "\(action), not \(String(describing: first))")
        batch.wanted.removeFirst()
    }

    private mutating func checkSpawn(
        _ index: Int, _ launch: Int, _ generation: Int, _ prints: Bool
    ) throws(Violation) {
        let now = batch.now
        try require(asked == nil && !batch.asked, "two spawns at a time")
        try require(stop == nil, "a spawn after the stop began")
        let slot = slots[index]
        try require(slot.successor == nil, "a third child in slot \(index)")
        try require(index < target, "a spawn in slot \(index), which has left the fleet")
        try require(generation == slot.generation, "generation \(generation), not \(slot.generation)")
        slots[index].startingGeneration = generation
        slots[index].isStarting = true
        try require(launch == slot.spawns, "launch \(launch), not \(slot.spawns), in slot \(index)")
        try require(batch.isTimer, "a spawn out of turn")
        try require(prints == !isQuiet, "a backtrace is \(prints ? "" : "not ")printed")
        if isFilling {
            try require(index == filled, "slot \(index) is filled, but \(filled) is next")
            filled += 1
        } else {
            guard let due = slot.nextTry else {
                throw Violation(text: "a spawn in slot \(index), which waits for none")
            }
            try require(due <= now, "a spawn in slot \(index), \(due - now) ns too early")
            try require(
                slots.allSatisfy { ($0.nextTry ?? .max) >= due }, "slot \(index) before one that waited longer")
        }
        slots[index].nextTry = nil
        slots[index].lastSpawn = now
        slots[index].spawns += 1
        spawnTimes.append(now)
        (asked, batch.asked) = (index, true)
        try checkRate(index)
    }

    /// Strict modes bound the number of starts.
    private func checkRate(_ slot: Int) throws(Violation) {
        if let limit = limits.limitPerSlot {
            try require(slots[slot].recoveries <= limit, "slot \(slot) is recovered more often than its limit allows")
        }
        if limits.recovery == .never {
            let most = limits.children + shortages + planned
            try require(spawnTimes.count <= most, "a start, though recovery is off")
        }
    }

    // MARK: Signals

    private mutating func checkSignal(_ pid: Int32, _ signal: Signal) throws(Violation) {
        for index in slots.indices {
            if slots[index].current?.pid == pid || slots[index].successor?.pid == pid {
                try require(signal == .terminate, "\(signal) to slot \(index)'s child")
                return try checkRequest(index, isCurrent: slots[index].current?.pid == pid)
            }
            if let position = slots[index].outgoing.firstIndex(where: { $0.pid == pid }) {
                return try checkStep(index, position, signal)
            }
        }
        throw Violation(text: "\(signal) to \(pid), which is no child")
    }

    /// A child is asked to exit because the fleet stops.
    private mutating func checkRequest(_ index: Int, isCurrent: Bool) throws(Violation) {
        guard var kid = isCurrent ? slots[index].current : slots[index].successor else { return }
        try require(stop != nil || batch.began, "slot \(index) is told to exit for no reason")
        try require(!hasClosed, "slot \(index) is told to exit after the listeners were closed")
        try require(kid.readyAt == nil || batch.tells, "slot \(index) is told to exit before its queue is empty")
        try require(!batch.askedAdmission, "slot \(index) is told to exit, and not ready, too late")
        kid.cause = .shutdown
        kid.since = batch.now
        kid.isTold = true
        kid.toldIn = batches
        kid.killDue = sum(batch.now, limits.grace)
        if isCurrent { slots[index].current = nil } else { slots[index].successor = nil }
        slots[index].outgoing.append(kid)
    }

    /// Outside of a stop, a child that serves is asked to exit only if its slot leaves the fleet, or another child of
    /// the slot is up.
    private func checkPlanned(_ index: Int, _ kid: Kid) throws(Violation) {
        guard kid.readyAt != nil, !kid.isWithdrawn, kid.cause != .abandoned, kid.cause != .resize else { return }
        let successor = slots[index].current
        // It was up when the other one was asked to exit, but this input says that it no longer is.
        if let subject = batch.subject, batch.promoted[index] == subject { return }
        try require(successor?.accepts == true && successor?.isUp == true, "slot \(index) serves and is told to exit")
    }

    private mutating func checkStep(_ index: Int, _ position: Int, _ signal: Signal) throws(Violation) {
        let kid = slots[index].outgoing[position]
        if signal == .kill {
            try require(batch.killing == kid.pid, "slot \(index) is killed without a word")
            try require(
                kid.isTold || [.unrequested, .unreplaced].contains(kid.cause),
                "slot \(index) is killed before it was told to exit")
            try require(!kid.isKilled, "slot \(index) is killed twice")
            try require(
                batch.killsAll || batch.isTimer && kid.killDue <= batch.now,
                "slot \(index) is killed \(kid.killDue - batch.now) ns too early")
            slots[index].outgoing[position].isKilled = true
        } else {
            let isAbort = kid.isUnresponsive && kid.mustBeTold
            try require(signal == (isAbort ? .abort : .terminate), "\(signal) to slot \(index)")
            if kid.mustBeTold {
                if !isAbort { try checkPlanned(index, kid) }
                slots[index].outgoing[position].mustBeTold = false
                slots[index].outgoing[position].isTold = true
                slots[index].outgoing[position].toldIn = batches
                return
            }
            try require(
                [.unrequested, .unreplaced].contains(kid.cause) && (!kid.isTold || kid.isUnresponsive)
                    && !kid.isKilled && batch.tells,
                "slot \(index) is told twice to exit")
            slots[index].outgoing[position].isTold = true
            slots[index].outgoing[position].isUnresponsive = false
            slots[index].outgoing[position].isKilled = false
            slots[index].outgoing[position].toldIn = batches
            slots[index].outgoing[position].killDue = sum(batch.now, limits.grace)
        }
    }

    // MARK: Reports

    private mutating func check(_ event: Prefork.Event, _ away: Int64, _ coverage: inout Coverage) throws(Violation) {
        switch event.payload {
        case .spawned(let slot, let pid, let replaces):
            try require(batch.spawned == slot && !batch.reportedSpawn, "\(event) out of order")
            let isRight = batch.spawnedPID == pid && (batch.predecessor ?? slots[slot].lastPID) == replaces
            try require(isRight, "\(event) is not what was spawned")
            batch.reportedSpawn = true
        case .spawnFailed(let exit, let consequence):
            try require(batch.isFailedStart, "\(event), but no start failed")
            try check(exit, consequence)
        case .exited(let exit, let consequence):
            try require(!batch.isFailedStart, "\(event), but a start failed")
            try check(exit, consequence)
        case .ready(let slot, let pid, let delay):
            try require(batch.ready == slot && !batch.reportedReady, "\(event), but it did not say so")
            let kid = kid(pid)
            try require(slots[slot].kids.contains { $0.pid == pid }, "\(event) is another child")
            let expected = kid.map { Duration.nanoseconds(batch.now - $0.spawnedAt) }
            try require(delay == expected, "\(event) is not that late")
            batch.reportedReady = true
            coverage.note(.readiness)
        case .draining(let slot, let pid, let origin):
            try require(kid(pid)?.isWithdrawn == true, "\(event), but it does not")
            if origin == .closedChannel {
                try require(batch.replaced.contains(pid), "\(event), but its exit is not late")
                batch.replaced.removeAll { $0 == pid }
            } else {
                try require(batch.drained == slot && !batch.reportedDrain, "\(event), but it did not say so")
                batch.reportedDrain = true
            }
        case .notReady(let slot, let pid, let delay):
            let kid = slots[slot].outgoing.first { $0.pid == pid }
            try require(kid?.mustBeTold == true && batch.judged.contains(pid), "\(event) is judged wrongly")
            try require(delay == kid.map { .nanoseconds(batch.now - $0.spawnedAt) }, "\(event) is not that late")
        case .suspended(let time):
            try require(!batch.reportedSuspension, "\(event) twice")
            try require(batch.suspended.map { .nanoseconds($0) } == time, "\(event), but it was not")
            batch.reportedSuspension = true
            coverage.note(.suspensions)
        case .stopping, .alreadyStopping, .stopped: try checkStop(event, away, &coverage)
        case .killing(let slot, let pid, let reason, let time):
            guard let kid = slots[slot].outgoing.first(where: { $0.pid == pid }) else {
                throw Violation(text: "\(event) is another child")
            }
            try require(reason == (batch.killsAll ? .secondInterrupt : .notDrained), "\(event) for another reason")
            try require(time == .nanoseconds(batch.now - kid.since), "\(event) has had another time")
            batch.killing = pid
            coverage.note(batch.killsAll ? .secondInterrupts : .kills)
        case .backtracesSuppressed:
            try require(batch.suppresses && !batch.reportedSuppression, "\(event) out of order")
            batch.reportedSuppression = true
        case .backtracesResumed:
            let last = crashTimes.last ?? .min
            try require(isQuiet && batch.now - last >= 60 * Self.second, "\(event) too early")
            isQuiet = false
            crashTimes = []
            coverage.note(.backtracesResumed)
        case .restarting, .retiring, .restarted, .restartFailed, .rolledBack, .resized, .recycling, .unresponsive,
            .upgraded, .upgradeFailed:
            try checkWanted(.report(event))
        default: throw Violation(text: "\(event) is nothing that a supervisor reports")
        }
    }

    private mutating func checkStop(_ event: Prefork.Event, _ away: Int64, _ coverage: inout Coverage) throws(Violation)
    {
        switch event.payload {
        case .stopping(let reason, let grace):
            try require(batch.stops && stop == nil, "\(event) out of order")
            try require(
                limits.grace == .max || grace == .nanoseconds(limits.grace), "\(event) has another grace period")
            stop = (batch.now, away)
            batch.began = true
            if case .failure = reason.payload {} else { coverage.note(.orderlyStops) }
            if isFilling { coverage.note(.stopsWhileFilling) }
            isFilling = false
            for index in slots.indices { (slots[index].nextTry, slots[index].retirement) = (nil, nil) }
            (renewal, isRenewalQueued, isUpgradeQueued, queuedTarget) = (nil, false, false, nil)
            abandonHandover("the fleet stops", &coverage)
        case .alreadyStopping(_, let remaining):
            try require(batch.repeats && !batch.reportedRepeat, "\(event) out of order")
            try require(remaining >= .zero, "\(event) is over")
            batch.reportedRepeat = true
        default:
            try require(!batch.reportedStopped && stop != nil, "\(event) out of order")
            batch.reportedStopped = true
        }
    }

    private mutating func check(
        _ exit: Prefork.ChildExit, _ consequence: Prefork.Event.Consequence
    ) throws(Violation) {
        try require(!batch.reportedExit, "\(exit) is handled twice")
        try require(exit == batch.exit, "\(exit) is not what happened")
        if let delay = consequence.delay {
            try require(delay.clampedNanoseconds <= limits.maximum, "a delay of \(delay)")
        }
        if consequence != .expected { unexpected += 1 }
        try require(consequence == batch.consequence, "\(exit) leads to \(consequence), not \(batch.consequence)")
        batch.reportedExit = true
    }
}
