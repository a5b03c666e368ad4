/// How the master's own program is replaced, once its build has proven itself in every slot.
extension Supervisor {
    mutating func upgradeRequested(_ now: Instant, _ actions: inout [Action]) {
        if isStopping { return }
        isUpgradeQueued = true
        restartRequested(now, &actions)
    }

    /// A restart that is under way replaces the children anyway.
    mutating func renewalRequested(_ now: Instant, _ actions: inout [Action]) {
        guard case .running = phase, restart == nil, handingOverSince == nil else { return }
        latestGeneration += 1
        restart = Restart(generation: latestGeneration, since: now, isRenewal: true)
        actions.append(.prepareRenewal(generation: latestGeneration, of: generation))
    }

    /// Restarts wait for the answer, because the state that the new program gets contains none.
    mutating func beginHandover(since: Instant, _ actions: inout [Action]) {
        handingOverSince = since
        actions.append(.handOver(generation: generation))
    }

    mutating func handedOver(_ now: Instant, _ actions: inout [Action]) {
        guard let since = handingOverSince else { return }
        handingOverSince = nil
        actions.append(.report(.upgraded(generation: generation, after: now - since)))
    }

    /// The children of the new build stay. Only the master is still of the old one.
    mutating func handoverFailed(_ reason: String, _ actions: inout [Action]) {
        abandonHandover(reason, &actions)
    }

    mutating func abandonHandover(_ reason: String, _ actions: inout [Action]) {
        if handingOverSince == nil { return }
        handingOverSince = nil
        actions.append(.report(.upgradeFailed(generation: generation, reason: reason)))
    }
}
