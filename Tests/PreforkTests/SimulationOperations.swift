@testable import Prefork

/// Derives the expected effects of restarts, rollbacks and resizes.
extension Referee {
    // MARK: Requests

    mutating func restartRequested(_ coverage: inout Coverage) {
        if stop != nil { return }
        if isFilling || handingOver != nil || renewal != nil && renewal?.stage != .returning {
            isRenewalQueued = true
            coverage.note(.queuedRestarts)
        } else {
            open()
        }
    }

    private mutating func open() {
        isRenewalQueued = false
        latest += 1
        renewal = Renewal(generation: latest, since: batch.now, isUpgrade: isUpgradeQueued)
        isUpgradeQueued = false
        batch.wanted.append(.prepareRestart(generation: latest))
    }

    mutating func opened(_ generation: Int) {
        guard renewal?.generation == generation, renewal?.stage == .opening else { return }
        beginRenewal()
    }

    private mutating func beginRenewal() {
        let bakes = limits.bake != nil && renewal?.isRollback != true
        renewal?.stage = bakes ? .baking(until: nil) : .replacing
        batch.wanted.append(.report(.restarting(generation: renewal?.generation ?? 0)))
    }

    mutating func refused(_ generation: Int, _ reason: String, _ coverage: inout Coverage) {
        guard renewal?.generation == generation, renewal?.stage == .opening else { return }
        batch.wanted.append(.report(.restartFailed(generation: generation, serving: serving, .refused(reason))))
        coverage.note(.refusedRestarts)
        endRenewal()
    }

    mutating func rollbackRequested(_ coverage: inout Coverage) {
        if stop != nil { return }
        (isRenewalQueued, isUpgradeQueued) = (false, false)
        abandonHandover("a rollback was requested", &coverage)
        if renewal != nil {
            failRenewal(.rollback, &coverage)
        } else if let previous {
            renewal = Renewal(generation: previous, since: batch.now, isRollback: true)
            beginRenewal()
            coverage.note(.rollbacks)
        } else {
            batch.wanted.append(
                .report(
                    .restartFailed(generation: serving, serving: serving, .refused("there is no build before"))))
        }
    }

    mutating func upgradeRequested(_ coverage: inout Coverage) {
        if stop != nil { return }
        isUpgradeQueued = true
        restartRequested(&coverage)
    }

    mutating func renewalRequested(_ coverage: inout Coverage) {
        guard stop == nil, !isFilling, renewal == nil, handingOver == nil else { return }
        latest += 1
        renewal = Renewal(generation: latest, since: batch.now, isSame: true)
        batch.wanted.append(.prepareRenewal(generation: latest, of: serving))
        coverage.note(.renewals)
    }

    mutating func handedOver(_ coverage: inout Coverage) {
        guard let since = handingOver else { return }
        handingOver = nil
        batch.wanted.append(
            .report(.upgraded(generation: serving, after: .nanoseconds(batch.now - since))))
        coverage.note(.upgrades)
    }

    mutating func abandonHandover(_ reason: String, _ coverage: inout Coverage) {
        if handingOver == nil { return }
        handingOver = nil
        batch.wanted.append(.report(.upgradeFailed(generation: serving, reason: reason)))
        coverage.note(.failedUpgrades)
    }

    mutating func resizeRequested(_ count: Int, _ coverage: inout Coverage) {
        if stop != nil { return }
        if isFilling {
            queuedTarget = count
            return
        }
        resize(to: count, &coverage)
    }

    private mutating func resize(to count: Int, _ coverage: inout Coverage) {
        queuedTarget = nil
        if count == target { return }
        let old = target
        target = count
        batch.wanted.append(.report(.resized(from: old, to: count)))
        while slots.count < count { slots.append(Slot()) }
        for index in slots.indices where index >= min(old, count) {
            if index < count { enlist(index, &coverage) } else { retire(index, &coverage) }
        }
        coverage.note(old < count ? .grown : .shrunk)
    }

    private mutating func enlist(_ index: Int, _ coverage: inout Coverage) {
        slots[index].retirement = nil
        slots[index].failures = 0
        slots[index].generation = serving
        if let kid = slots[index].current, kid.isWithdrawn, kid.exitDue == nil { withdraw(index, &coverage) }
        if slots[index].current?.generation == serving { return }
        if slots[index].isIdle { plan(index) }
    }

    mutating func plan(_ index: Int) {
        slots[index].nextTry = batch.now
        planned += 1
    }

    private mutating func retire(_ index: Int, _ coverage: inout Coverage) {
        if slots[index].retirement != nil { return }
        dismissSuccessor(index, &coverage)
        (slots[index].nextTry, slots[index].retryDelay) = (nil, nil)
        guard let current = slots[index].current else { return }
        if current.accepts, limits.queueDrain > 0 {
            slots[index].retirement = .accepting(until: sum(batch.now, limits.queueDrain))
            batch.wanted.append(.awaitEmptyQueue(slot: index))
        } else {
            slots[index].retirement = .accepted
        }
    }

    // MARK: Progress

    mutating func expectOperations(_ coverage: inout Coverage) {
        guard stop == nil, !batch.stops, !isFilling else { return }
        if let queuedTarget { resize(to: queuedTarget, &coverage) }
        for index in slots.indices { retry(index) }
        expectRetirements(&coverage)
        expectRenewal(&coverage)
        expectRecycling(&coverage)
    }

    private mutating func retry(_ index: Int) {
        guard let delay = slots[index].retryDelay,
            !slots[index].outgoing.contains(where: { $0.cause == .abandoned })
        else { return }
        slots[index].retryDelay = nil
        slots[index].nextTry = sum(batch.now, delay)
        planned += 1
    }

    private mutating func expectRetirements(_ coverage: inout Coverage) {
        for index in slots.indices where index >= target {
            if case .accepting(let until) = slots[index].retirement,
                until <= batch.now || slots[index].current?.accepts != true
            {
                slots[index].retirement = .accepted
            }
            guard slots[index].retirement == .accepted, !slots[index].outgoing.contains(where: { $0.cause == .resize })
            else { continue }
            slots[index].retirement = nil
            if slots[index].current != nil { coverage.note(.retired) }
            dismissCurrent(index, .resize)
        }
    }

    private mutating func expectRenewal(_ coverage: inout Coverage) {
        if let renewal {
            let build = renewal.stage == .returning ? serving : renewal.generation
            switch renewal.stage {
            case .opening: return
            case .baking(let until):
                guard isSettled(0, build) else {
                    begin(0, build)
                    return
                }
                let end = until ?? sum(batch.now, limits.bake ?? 0)
                if end > batch.now {
                    self.renewal?.stage = .baking(until: end)
                    return
                }
                coverage.note(.baked)
                mayBeSilent = true
                self.renewal?.stage = .replacing
            case .replacing, .returning: break
            }
            giveTurns(build)
            for slot in slots.prefix(target) where slot.generation != build { return }
            if renewal.stage == .returning {
                for slot in slots.prefix(target) {
                    if slot.successor != nil || slot.current.map({ $0.generation != build }) == true { return }
                }
                batch.wanted.append(
                    .report(.rolledBack(generation: build, after: .nanoseconds(batch.now - renewal.since))))
                coverage.note(.returned)
            } else {
                for index in 0..<target where !isSettled(index, build) { return }
                if !renewal.isSame { previous = serving }
                serving = build
                batch.wanted.append(
                    .report(.restarted(generation: build, after: .nanoseconds(batch.now - renewal.since))))
                coverage.note(.restarts)
            }
            endRenewal()
            if renewal.isUpgrade, renewal.stage != .returning {
                handingOver = renewal.since
                batch.wanted.append(.handOver(generation: serving))
            }
        }
        if isRenewalQueued, handingOver == nil { open() }
    }

    private mutating func giveTurns(_ build: Int) {
        var busy = 0
        for index in 0..<target where slots[index].generation == build && !isSettled(index, build) { busy += 1 }
        for index in 0..<target {
            if slots[index].current != nil, busy >= limits.concurrency { continue }
            if begin(index, build) { busy += 1 }
        }
    }

    private func isSettled(_ index: Int, _ build: Int) -> Bool {
        let slot = slots[index]
        return slot.current?.generation == build && slot.current?.isUp == true && slot.successor == nil
            && slot.isIdle
    }

    @discardableResult
    private mutating func begin(_ index: Int, _ build: Int) -> Bool {
        let slot = slots[index]
        let isOther = slot.current.map { $0.generation != build } ?? false
        guard slot.successor == nil, !slot.isStarting, slot.generation != build || slot.isIdle && isOther else {
            return false
        }
        for kid in slot.outgoing {
            guard renewal?.goesBack == true, [.restart, .unrequested, .unreplaced].contains(kid.cause) else {
                return false
            }
        }
        slots[index].generation = build
        slots[index].shortages = 0
        slots[index].retryDelay = nil
        plan(index)
        return true
    }

    private mutating func endRenewal() {
        renewal = nil
        var kept = [serving] + (previous.map { [$0] } ?? [])
        for slot in slots.prefix(target) where !kept.contains(slot.generation) { kept.append(slot.generation) }
        batch.wanted.append(.keepPrograms(generations: kept))
    }

    // MARK: Failing

    func isOnTrial(_ build: Int) -> Bool {
        renewal?.generation == build && renewal?.stage != .returning
    }

    /// Whether the end of this child fails a restart.
    func isOnTrial(_ kid: Kid) -> Bool {
        guard isOnTrial(kid.generation) else { return false }
        if case .baking = renewal?.stage { return true }
        return !kid.isUp
    }

    mutating func failRenewal(_ fault: Prefork.Event.RestartFault, _ coverage: inout Coverage) {
        guard stop == nil, !batch.stops, let failed = renewal, failed.stage != .returning else { return }
        batch.wanted.append(.report(.restartFailed(generation: failed.generation, serving: serving, fault)))
        coverage.note(.failedRestarts)
        renewal?.stage = .returning
        for index in slots.indices where slots[index].generation == failed.generation {
            dismissSuccessor(index, &coverage)
            slots[index].retryDelay = nil
            if slots[index].current?.generation == failed.generation {
                coverage.note(.replacedBack)
                continue
            }
            if slots[index].current != nil {
                slots[index].nextTry = nil
            } else if slots[index].nextTry != nil {
                slots[index].nextTry = batch.now
            }
            slots[index].generation = serving
        }
    }

    mutating func successorFailed(
        _ index: Int, _ build: Int, _ fault: Prefork.Event.RestartFault, _ coverage: inout Coverage
    ) {
        if isOnTrial(build) { return failRenewal(fault, &coverage) }
        guard !slots[index].isStarting else { return }
        slots[index].retryDelay = delayAfterFailure(index)
        retry(index)
        coverage.note(.repeatedReturns)
    }
}
