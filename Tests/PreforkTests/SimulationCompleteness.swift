@testable import Prefork

/// Checks that no action is missing, and the invariants after every step.
extension Referee {
    func checkCompleteness(_ expected: Batch) throws(Violation) {
        try require((batch.suspended != nil) == batch.reportedSuspension, "a suspension is not reported")
        try require((batch.spawned != nil) == batch.announced, "a child is not announced")
        try require((batch.exit != nil) == batch.reportedExit, "an exit is not handled")
        try require((batch.ready != nil) == batch.reportedReady, "a child's readiness is not heard")
        try require((batch.drained != nil) == batch.reportedDrain, "a child's drain is not heard")
        try require(batch.replaced.isEmpty, "a child that does not exit is not replaced")
        try require(batch.wanted.isEmpty, "\(batch.wanted) did not happen")
        for kid in slots.flatMap(\.outgoing) { try require(!kid.mustBeTold, "\(kid.pid) is not told to exit") }
        try require(batch.stops == batch.began, "a stop does not begin")
        try require(batch.repeats == batch.reportedRepeat, "a repeated request is not answered")
        try require(batch.suppresses == batch.reportedSuppression, "suppressed backtraces are not reported")
        try require(batch.completesFilling == batch.announcedMaster, "the fleet is not announced")
        if stop != nil {
            try checkStopState()
        } else {
            try require(rotation == wantedRotation, "\(rotation) get connections, but \(wantedRotation) are ready")
        }
        for pid in expected.judged {
            try require(kid(pid)?.isTold == true, "\(pid) is not ready in time and may stay")
        }
        // While the slots are filled no child is judged.
        guard batch.isTimer, !isFilling else { return }
        for slot in slots {
            // Without a grace period, the next timer is due at once and kills the children that are asked now.
            for kid in slot.outgoing where !kid.isKilled && kid.toldIn != batches && kid.hastenedIn != batches {
                try require(kid.killDue > batch.now, "\(kid.pid) is not killed in time")
            }
        }
        let isWaiting = slots.contains { ($0.nextTry ?? .max) <= batch.now }
        try require(!isWaiting || batch.asked, "a slot is not filled in time")
    }

    private func checkStopState() throws(Violation) {
        try require(hasClosed == (closing == nil), "the listeners are closed too early, or not")
        try require(
            slots.allSatisfy { slot in
                [slot.current, slot.successor].allSatisfy { $0 == nil || closing != nil && $0?.readyAt != nil }
            },
            "a stop does not reach all children")
        try require(batch.askedAdmission == (batch.began && !batch.tells), "newcomers are let in")
        try require(
            hasFinished || slots.contains { !$0.kids.isEmpty } || asked != nil, "no child is left, and yet no end")
        if batch.killsAll {
            try require(slots.allSatisfy { $0.kids.allSatisfy(\.isKilled) }, "a second interrupt does not kill all")
        }
    }

    /// The slots with a ready child, or all slots if there is none, because connections wait then.
    var wantedRotation: [Int] {
        let accepting = acceptingSlots.filter { $0 < target }
        return accepting.isEmpty ? Array(0..<target) : accepting
    }

    func checkEnd(_ away: Int64, _ supervisor: Supervisor, _ coverage: inout Coverage) throws(Violation) {
        guard let stop else { throw Violation(text: "an end without a stop") }
        try require(slots.allSatisfy(\.kids.isEmpty), "the end comes before the last child's")
        let isRight =
            switch (failure, supervisor.failure?.payload) {
            case (.nothing, nil), (.childRefused, .childRefused), (.childExited, .childExited),
                (.spawn, .spawnedStranger):
                true
            case (.overRecovery, .overRecovery(let last)), (.gaveUp, .overRecovery(let last)):
                last.elementsEqual(exits.suffix(32))
            default: false
            }
        try require(isRight, "\(String(describing: supervisor.failure)), but it was \(failure)")
        let counted = supervisor.counters.total
        try require(counted == unexpected, "\(counted) exits are counted, but there were \(unexpected)")
        switch failure {
        case .gaveUp:
            coverage.note(.gaveUp)
            try require(!hadBeenUp, "a fleet that had been up gives up")
        case .overRecovery:
            coverage.note(.overRecovery)
            try require(limits.isStrict, "a fleet gives up though no limit was set")
        case .childRefused: coverage.note(.childRefused)
        case .childExited: coverage.note(.childExited)
        case .nothing, .spawn: break
        }
        guard limits.grace != .max, limits.queueDrain != .max else { return }
        let longest =
            (limits.queueDrain + limits.grace) * Int64(1 + extensions) + (away - stop.away)
            + SimulatedChild.longestDeath + SimulatedChild.longestHold + Self.slack
        try require(batch.now - stop.since <= longest, "a stop took \(batch.now - stop.since) ns, not \(longest)")
    }

    func checkState(_ supervisor: Supervisor) throws(Violation) {
        try require(supervisor.target == target, "\(supervisor.target) slots, not \(target)")
        try require(supervisor.generation == serving, "generation \(supervisor.generation) serves, not \(serving)")
        try require((supervisor.restart == nil) == (renewal == nil), "a restart, or none")
        for index in slots.indices {
            let (slot, theirs) = (slots[index], supervisor.slots[index])
            let (ours, current) = (slot.current?.pid ?? 0, theirs.current?.pid ?? 0)
            try require(current == ours, "\(current), not \(ours), is in slot \(index)")
            let (next, successor) = (slot.successor?.pid ?? 0, theirs.successor?.pid ?? 0)
            try require(successor == next, "\(successor), not \(next), follows in slot \(index)")
            try require((theirs.retirement == nil) == (slot.retirement == nil), "slot \(index) leaves, or does not")
            let leaving = theirs.outgoing.map(\.child.pid)
            try require(leaving.sorted() == slot.outgoing.map(\.pid).sorted(), "\(leaving) leave slot \(index)")
            let causes = theirs.outgoing.map(\.cause).filter { $0 != .shutdown }
            let isUnique = causes.indices.allSatisfy { !causes[..<$0].contains(causes[$0]) }
            try require(isUnique, "slot \(index) has two outgoing children for one cause: \(causes)")
            try require(
                theirs.isAccepting == slot.isAccepting,
                "slot \(index) accepts, or does not")
        }
        try require(Array(supervisor.rotation) == rotation, "\(supervisor.rotation) are in rotation, not \(rotation)")
        try require(supervisor.isStopping == (stop != nil), "a stop without a request, or none")
        try require((supervisor.phase == .finished) == hasFinished, "an end without an action")
        try require(supervisor.hasBeenUp == hasBeenUp, "a child was up, or none")
        let deadline = supervisor.nextDeadline?.nanoseconds
        try require(
            deadline == dueTimes,
            "the next deadline is \(String(describing: deadline)), not \(String(describing: dueTimes))")
    }
}
