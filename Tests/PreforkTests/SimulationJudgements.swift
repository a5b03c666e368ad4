@testable import Prefork

/// Derives what a timer decides about children that are late.
extension Referee {
    /// The judgement of a timer on children that are late.
    mutating func expectJudgements(_ coverage: inout Coverage) {
        if isFilling { return }
        // When the wait for the queues ends, all children are asked to exit. From then on none is judged.
        if let closing, closing <= batch.now { return }
        for index in slots.indices {
            judgeSuccessor(index, &coverage)
            judgeReadiness(index, &coverage)
            judgeSilent(index, &coverage)
            judgeSilentSuccessor(index, &coverage)
            judgeHeartbeat(index, &coverage)
            noteAge(index, &coverage)
        }
    }

    private mutating func judgeReadiness(_ index: Int, _ coverage: inout Coverage) {
        guard let kid = slots[index].current, kid.readyAt == nil, kid.readyBy <= batch.now else { return }
        batch.judged.append(kid.pid)
        coverage.note(.notReady)
        dismissCurrent(index, slots[index].successor == nil ? .notReady : .abandoned)
        if !replaceBySuccessor(index, &coverage) { (slots[index].nextTry, slots[index].retryDelay) = (nil, nil) }
        if isOnTrial(kid.generation) { failRenewal(.notReady(slot: index, pid: kid.pid), &coverage) }
    }

    /// A child whose channel is closed and whose exit is late.
    private mutating func judgeSilent(_ index: Int, _ coverage: inout Coverage) {
        guard let kid = slots[index].current, let due = kid.exitDue, due <= batch.now else { return }
        slots[index].current?.exitDue = nil
        if kid.readyAt == nil {
            let now = batch.now
            slots[index].current?.readyBy = now
            judgeReadiness(index, &coverage)
        } else {
            batch.replaced.append(kid.pid)
            slots[index].current?.drainOrigin = .closedChannel
            withdraw(index, &coverage)
        }
    }
}
