@testable import Prefork

/// What a supervisor's actions must be like, and what must not be missing.
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
        case .spawn(let slot, let launch):
            try require(isLast, "a spawn that is not the last action of its batch")
            try checkSpawn(slot, launch)
            if slots[slot].spawns > 1 { coverage.note(.recoveries) }
        case .announce(let pid, let replaces):
            try require(!batch.announced && batch.reportedSpawn, "\(action) out of order")
            let slot = batch.spawned.map { slots[$0] }
            try require(slot?.pid == pid && slot?.lastPID == replaces, "\(action) is not what was spawned")
            if let spawned = batch.spawned { slots[spawned].lastPID = pid }
            batch.announced = true
        case .announceMaster(let pids):
            try require(batch.completesFilling && !hasAnnouncedMaster && stop == nil, "\(action) out of order")
            try require(pids == slots.compactMap { $0.pid == 0 ? nil : $0.pid }, "\(action), but others are there")
            (hasAnnouncedMaster, batch.announcedMaster) = (true, true)
        case .signal(let pid, let signal):
            guard let slot = slot(of: pid) else { throw Violation(text: "\(signal) to \(pid), which is no child") }
            if signal == .kill { try checkKill(slot) } else { try checkTerminate(slot, signal) }
        case .rotate(let members):
            try require(isFirst && stop == nil && !batch.stops, "\(action) out of order")
            try require(members == wantedRotation && members != rotation, "\(action), but \(wantedRotation) are ready")
            rotation = members
            coverage.note(.rotations)
        case .closeAdmission:
            try require(batch.began && !batch.tells && !batch.askedAdmission, "\(action) out of order")
            batch.askedAdmission = true
        case .closeListeners:
            try require(batch.tells && !hasClosed, "\(action) out of order")
            try require(slots.allSatisfy { $0.pid == 0 || $0.isTold }, "listeners closed before all were told to leave")
            hasClosed = true
        case .finish:
            try require(batch.reportedStopped, "an end without a word")
            hasFinished = true
            try checkEnd(away, supervisor, &coverage)
        case .report(let report): try check(report, away, &coverage)
        }
    }

    private mutating func checkSpawn(_ index: Int, _ launch: Int) throws(Violation) {
        let now = batch.now
        try require(asked == nil && !batch.asked, "two spawns at a time")
        try require(stop == nil, "a spawn after the stop began")
        let slot = slots[index]
        try require(slot.pid == 0, "a second child in slot \(index)")
        try require(launch == slot.spawns, "launch \(launch), not \(slot.spawns), in slot \(index)")
        try require(batch.isTimer, "a spawn out of turn")
        if isFilling {
            try require(index == filled, "slot \(index) is filled, but \(filled) is next")
            filled += 1
        } else {
            guard let due = slot.nextTry else {
                throw Violation(text: "a spawn in slot \(index), which waits for none")
            }
            try require(due <= now, "a spawn in slot \(index), \(due - now) ns too early")
            try require(
                slots.allSatisfy { ($0.nextTry ?? .max) >= due },
                "slot \(index) before one that waited longer"
            )
        }
        // A slot's first replacement may come at once. From then on either a delay lies between two starts, or a child
        // that was healthy.
        if slot.recoveries > 1, let last = slot.lastSpawn {
            let least = min(limits.next, min(limits.maximum, limits.healthyAfter))
            let gap = now - last
            try require(gap >= least, "slot \(index) is started again after \(gap) ns")
        }
        slots[index].nextTry = nil
        slots[index].lastSpawn = now
        slots[index].spawns += 1
        spawnTimes.append(now)
        (asked, batch.asked) = (index, true)
        try checkRate(index)
    }

    /// All starts but each slot's first in any window follow an exit that counted in it, or before it in the same slot.
    private func checkRate(_ slot: Int) throws(Violation) {
        if let limit = limits.limitPerSlot {
            try require(slots[slot].spawns <= limit + 1, "slot \(slot) has more starts than its limit allows")
        }
        switch limits.recovery {
        case .unlimited: break
        case .never: try require(spawnTimes.count <= limits.children, "a start, though recovery is off")
        case .upTo(let exits):
            var count = spawnTimes.count
            if let window = limits.window { count = spawnTimes.count { $0 >= batch.now - window } }
            try require(count <= exits + limits.children, "\(count) starts within the window")
        }
    }

    private mutating func checkTerminate(_ index: Int, _ signal: Signal) throws(Violation) {
        let slot = slots[index]
        try require(signal == .terminate, "\(signal) to slot \(index)")
        try require(!slot.isTold, "slot \(index) is told twice to leave")
        if batch.began || batch.tells {
            try require(!hasClosed, "slot \(index) is told to leave after the listeners were closed")
            try require(slot.readyAt == nil || batch.tells, "slot \(index) is told to leave before its queue is empty")
            try require(!batch.askedAdmission, "slot \(index) is told to leave, and not ready, too late")
        } else {
            try require(batch.isTimer && batch.told == slot.pid, "slot \(index) is told to leave for no reason")
        }
        slots[index].isTold = true
        slots[index].toldIn = batches
        slots[index].killDue = sum(batch.now, limits.grace)
    }

    private mutating func checkKill(_ index: Int) throws(Violation) {
        let slot = slots[index]
        try require(batch.killing == slot.pid, "slot \(index) is killed without a word")
        try require(slot.isTold, "slot \(index) is killed before it was told to leave")
        try require(!slot.isKilled, "slot \(index) is killed twice")
        try require(
            batch.killsAll || batch.isTimer && slot.killDue <= batch.now,
            "slot \(index) is killed \(slot.killDue - batch.now) ns too early"
        )
        slots[index].isKilled = true
    }

    private mutating func check(
        _ report: Supervisor.Report,
        _ away: Int64,
        _ coverage: inout Coverage
    ) throws(Violation) {
        switch report {
        case .spawned(let slot, let pid, let replaces):
            try require(batch.spawned == slot && !batch.reportedSpawn, "\(report) out of order")
            try require(slots[slot].pid == pid && slots[slot].lastPID == replaces, "\(report) is not what was spawned")
            batch.reportedSpawn = true
        case .spawnFailed(let exit, let consequence):
            try require(batch.isFailedStart, "\(report), but no start failed")
            try check(exit, consequence)
        case .exited(let exit, let consequence):
            try require(!batch.isFailedStart, "\(report), but a start failed")
            try check(exit, consequence)
        case .ready(let slot, let pid, let delay):
            try require(batch.ready == slot && !batch.reportedReady, "\(report), but it did not say so")
            try require(slots[slot].pid == pid, "\(report) is another child")
            try require(delay == .nanoseconds(batch.now - slots[slot].spawnedAt), "\(report) is not that late")
            batch.reportedReady = true
            coverage.note(.readiness)
        case .notReady(let slot, let pid, let delay):
            let child = slots[slot]
            try require(child.pid == pid && child.readyAt == nil && !child.isTold, "\(report) is judged wrongly")
            try require(sum(child.judgedFrom, limits.readinessTimeout) <= batch.now, "\(report) is judged too early")
            try require(delay == .nanoseconds(batch.now - child.spawnedAt), "\(report) is not that late")
            batch.told = pid
            coverage.note(.notReady)
        case .suspended(let time):
            try require(!batch.reportedSuspension, "\(report) twice")
            try require(batch.suspended.map { .nanoseconds($0) } == time, "\(report), but it was not")
            batch.reportedSuspension = true
            coverage.note(.suspensions)
        case .stopping(let reason):
            try require(batch.stops && stop == nil, "\(report) out of order")
            stop = (batch.now, away)
            batch.began = true
            if reason.code != .failure { coverage.note(.orderlyStops) }
            if isFilling { coverage.note(.stopsWhileFilling) }
            isFilling = false
            for index in slots.indices { slots[index].nextTry = nil }
        case .killing(let slot, let pid):
            try require(slots[slot].pid == pid, "\(report) is another child")
            batch.killing = pid
            coverage.note(batch.killsAll ? .secondSignals : .kills)
        case .stopped:
            try require(!batch.reportedStopped && stop != nil, "\(report) out of order")
            batch.reportedStopped = true
        }
    }

    private mutating func check(
        _ exit: Prefork.ChildExit,
        _ consequence: Prefork.Event.Consequence
    ) throws(Violation) {
        try require(!batch.reportedExit, "\(exit) is handled twice")
        try require(exit == batch.exit, "\(exit) is not what happened")
        if let delay = consequence.delay {
            try require(delay.clampedNanoseconds <= limits.maximum, "a delay of \(delay)")
        }
        try require(consequence == batch.consequence, "\(exit) leads to \(consequence), not \(batch.consequence)")
        batch.reportedExit = true
    }

    private func checkEnd(
        _ away: Int64,
        _ supervisor: Supervisor,
        _ coverage: inout Coverage
    ) throws(Violation) {
        guard let stop else { throw Violation(text: "an end without a stop") }
        try require(slots.allSatisfy { $0.pid == 0 }, "the end comes before the last child's")
        let isRight =
            switch (failure, supervisor.failure?.payload) {
            case (.nothing, nil), (.childRefused, .childRefused), (.childExited, .childExited),
                (.spawn, .spawnedStranger):
                true
            case (.overRecovery, .overRecovery(let last)): last.elementsEqual(exits.suffix(32))
            default: false
            }
        try require(isRight, "\(String(describing: supervisor.failure)), but it was \(failure)")
        switch failure {
        case .overRecovery: coverage.note(.overRecovery)
        case .childRefused: coverage.note(.childRefused)
        case .childExited: coverage.note(.childExited)
        case .nothing, .spawn: break
        }
        guard limits.grace != .max, limits.queueDrain != .max else { return }
        let longest =
            (limits.queueDrain + limits.grace) * Int64(1 + extensions) + (away - stop.away)
            + SimulatedChild.longestDeath + Self.slack
        try require(batch.now - stop.since <= longest, "a stop took \(batch.now - stop.since) ns, not \(longest)")
    }

    // MARK: What is left

    func checkCompleteness() throws(Violation) {
        try require((batch.suspended != nil) == batch.reportedSuspension, "a suspension is not reported")
        try require((batch.spawned != nil) == batch.announced, "a child is not announced")
        try require((batch.exit != nil) == batch.reportedExit, "an exit is not handled")
        try require((batch.ready != nil) == batch.reportedReady, "a child's readiness is not heard")
        try require(batch.stops == batch.began, "a stop does not begin")
        try require(batch.completesFilling == batch.announcedMaster, "the fleet is not announced")
        if stop != nil {
            try require(hasClosed == (closing == nil), "the listeners are closed too early, or not")
            try require(
                slots.allSatisfy { $0.pid == 0 || $0.isTold || closing != nil && $0.readyAt != nil },
                "a stop does not reach all children"
            )
            try require(batch.askedAdmission == (batch.began && !batch.tells), "newcomers are let in")
            try require(hasFinished || slots.contains { $0.pid != 0 }, "no child is left, and yet no end")
        } else {
            try require(rotation == wantedRotation, "\(rotation) get connections, but \(wantedRotation) are ready")
        }
        if batch.killsAll {
            try require(slots.allSatisfy { $0.pid == 0 || $0.isKilled }, "a second signal does not kill all")
        }
        // While the slots are filled nobody is judged.
        guard batch.isTimer, !isFilling else { return }
        for index in slots.indices where slots[index].pid != 0 {
            let slot = slots[index]
            if !slot.isTold, slot.readyAt == nil {
                try require(sum(slot.judgedFrom, limits.readinessTimeout) > batch.now, "slot \(index) is not judged")
            }
            // With no grace at all the next timer, which is due at once, kills who is told now.
            if slot.isTold, !slot.isKilled, slot.toldIn != batches {
                try require(slot.killDue > batch.now, "slot \(index) is not killed in time")
            }
        }
        let isWaiting = slots.contains { ($0.nextTry ?? .max) <= batch.now }
        try require(!isWaiting || batch.asked, "a slot is not filled in time")
    }

    /// Who is ready; all where nobody is, for then connections wait.
    private var wantedRotation: [Int] {
        let ready = readySlots
        return ready.isEmpty ? Array(slots.indices) : ready
    }

    func checkState(_ supervisor: Supervisor) throws(Violation) {
        for index in slots.indices {
            let slot = slots[index]
            let life = supervisor.slots[index].state.life
            try require(life?.pid ?? 0 == slot.pid, "\(life?.pid ?? 0), not \(slot.pid), is in slot \(index)")
            if case .ready = supervisor.slots[index].state {
                try require(slot.readyAt != nil && !slot.isTold, "slot \(index) counts as ready and is not")
            } else {
                try require(slot.pid == 0 || slot.isTold || slot.readyAt == nil, "slot \(index) is ready")
            }
        }
        try require(supervisor.rotation == rotation, "\(supervisor.rotation) are in rotation, not \(rotation)")
        try require(supervisor.isStopping == (stop != nil), "a stop that nobody asked for, or none")
        try require((supervisor.phase == .finished) == hasFinished, "an end that nobody was told of")
        let deadline = supervisor.nextDeadline?.nanoseconds
        try require(
            deadline == dueTimes,
            "the next deadline is \(String(describing: deadline)), not \(String(describing: dueTimes))"
        )
    }
}
