@testable import Prefork

/// Derives the expected effects of an exit or a failed start.
extension Referee {
    mutating func ended(
        _ slot: Int, _ kid: Kid?, _ reason: Prefork.ChildExit.Reason, processorTime: Duration?, isShortage: Bool,
        wasCurrent: Bool = false, _ coverage: inout Coverage
    ) {
        let exit = exit(slot, kid, reason)
        batch.exit = exit
        if stop != nil || slot >= target || kid?.cause?.isPlanned == true { return }
        if kid == nil, slots[slot].current != nil {
            return successorDidNotStart(slot, exit, isShortage: isShortage, &coverage)
        }
        let fails = kid.map { isOnTrial($0) } ?? (isOnTrial(slots[slot].startingGeneration) && !isShortage)
        defer { if fails { failRenewal(.exit(exit), &coverage) } }
        if wasCurrent { _ = replaceBySuccessor(slot, &coverage) }
        if isShortage {
            recover(slot, after: delayAfterFailure(slot))
            return
        }
        let strict = countStrictly(exit)
        if kid?.cause == .unrequested || kid?.cause == .unresponsive || slots[slot].current != nil {
            // It was replaced already, so here it only counts.
            coverage.note(.replacedExits)
            batch.consequence = .replaced
            if let strict { giveUp(strict) }
            return
        }
        var isFatal = false
        if case .status(let status) = reason.payload { isFatal = limits.fatalStatuses.contains(status) }
        let isAnyUp = slots.contains { $0.current.map { $0.isUp && $0.accepts } == true }
        if isFatal, !isAnyUp, !fails { return giveUp(.childRefused) }
        if let strict { return giveUp(strict) }
        if let limit = limits.limitPerSlot, slots[slot].recoveries >= limit { return giveUp(.overRecovery) }
        slots[slot].recoveries += 1
        if isFatal { coverage.note(.sparedFatal) }
        guard !isFatal, let kid, kid.readyAt != nil, kid.cause != .notReady else { return startFailed(slot, &coverage) }
        guard let delay = delayAfterService(slot, kid, processorTime, &coverage) else {
            return startFailed(slot, &coverage)
        }
        recover(slot, after: delay)
    }

    func exit(_ slot: Int, _ kid: Kid?, _ reason: Prefork.ChildExit.Reason) -> Prefork.ChildExit {
        let now = batch.now
        return Prefork.ChildExit(
            slot: slot,
            pid: kid?.pid ?? 0,
            reason: reason,
            lifetime: .nanoseconds(kid.map { now - $0.spawnedAt } ?? 0),
            wasReady: kid?.readyAt != nil,
            readyTime: kid?.readyAt.map { .nanoseconds(now - $0) },
            drainOrigin: kid?.cause?.isRequested == true ? .master : kid?.drainOrigin
        )
    }

    private mutating func recover(_ slot: Int, after delay: Int64) {
        slots[slot].nextTry = sum(batch.now, delay)
        slots[slot].retryDelay = nil
        batch.consequence = .recovering(after: .nanoseconds(delay))
    }

    private mutating func giveUp(_ reason: Failure) {
        batch.consequence = .givingUp
        begin(reason)
    }

    private mutating func countStrictly(_ exit: Prefork.ChildExit) -> Failure? {
        exits.append(exit)
        switch limits.recovery {
        case .automatic, .unlimited: return nil
        case .never: return .childExited
        case .upTo(let most):
            strictTimes.append(batch.now)
            let count =
                limits.window.map { window in strictTimes.count { $0 >= batch.now - window } } ?? strictTimes.count
            return count > most ? .overRecovery : nil
        }
    }

    mutating func startFailed(_ slot: Int, _ coverage: inout Coverage) {
        var delay = delayAfterFailure(slot)
        guard limits.recovery == .automatic, !hasBeenUp else { return recover(slot, after: delay) }
        coverage.note(.startFailures)
        if startFailures == 0 { firstStartFailure = batch.now }
        startFailures += 1
        if startFailures > 5 * target {
            let left = firstStartFailure + 15 * Self.second - batch.now
            if left <= 0 { return giveUp(.gaveUp) }
            delay = min(delay, left)
        }
        recover(slot, after: delay)
    }

    mutating func delayAfterFailure(_ slot: Int) -> Int64 {
        let failures = slots[slot].failures
        slots[slot].failures += 1
        if failures == 0 { return min(limits.first, limits.maximum) }
        let (delay, overflow) = limits.next.multipliedReportingOverflow(by: Int64(1) << min(failures - 1, 62))
        return overflow ? limits.maximum : min(delay, limits.maximum)
    }

    /// - Returns: `nil` if the end counts as a failed start.
    mutating func delayAfterService(
        _ slot: Int, _ kid: Kid, _ processorTime: Duration?, _ coverage: inout Coverage
    ) -> Int64? {
        let least = min(limits.first, limits.maximum)
        guard let readyAt = kid.readyAt, kid.provenAt != .min else { return least }
        let start = readyAt - kid.spawnedAt
        slots[slot].lives.append((start, batch.now - readyAt))
        let lives = slots[slot].lives.suffix(8)
        let services = lives.map(\.service)
        var wait: Int64
        if lives.count < 4 {
            if !hasBeenUp { return nil }
            wait = poison.spend(kid.startCost ?? start, at: batch.now)
        } else if services.reduce(0, +) * 4 < lives.map(\.start).reduce(0, +)
            || lives.count == 8 && services.max() ?? 0 < (services.min() ?? 0) * 2
        {
            coverage.note(.broken)
            if !hasBeenUp { return nil }
            wait = broken.spend(processorTime?.clampedNanoseconds ?? start, at: batch.now)
        } else {
            coverage.note(.poison)
            wait = poison.spend(kid.startCost ?? start, at: batch.now)
        }
        if wait > 0 { coverage.note(.throttled) }
        return min(max(wait, least), limits.maximum)
    }
}
