/// How the children of one build replace those of another, one slot after another, the new child first.
extension Supervisor {
    /// A restart fails if a successor cannot be started this often because the master is short of something.
    static let mostShortages = 5

    /// The replacement of all children.
    struct Restart: Equatable {
        enum Stage: Equatable {
            /// The program is being opened.
            case preparing
            /// The first slot has a child of the new build, or gets it. The other slots follow after this moment, `nil`
            /// until that child is up.
            case baking(until: Instant?)
            case replacing
            /// The restart has failed. The slots return to the build before.
            case returning
        }

        /// The build that all slots are to have.
        let generation: Int
        let since: Instant
        var stage = Stage.preparing
        /// Whether the request was a rollback to the build before.
        var isRollback = false
        /// Whether the master's own program follows.
        var isUpgrade = false
        /// Whether the program stays the same, so that a rollback still leads to the one before.
        var isRenewal = false

        /// Whether the children get a build that has served before.
        var goesBack: Bool { isRollback || stage == .returning }

        var isBaking: Bool { if case .baking = stage { true } else { false } }

        var bakesUntil: Instant? { if case .baking(let until) = stage { until } else { nil } }

        mutating func bakeAgain(until: Instant) {
            if bakesUntil != nil { stage = .baking(until: until) }
        }
    }

    // MARK: Requests

    mutating func restartRequested(_ now: Instant, _ actions: inout [Action]) {
        if isStopping { return }
        // Any number of requests during a restart is one more restart. A fleet that goes back does not have to arrive
        // first, because the new build may be the cure for what keeps it from arriving.
        if case .running = phase, handingOverSince == nil, restart == nil || restart?.stage == .returning {
            prepareRestart(now, &actions)
        } else {
            isRestartQueued = true
        }
    }

    private mutating func prepareRestart(_ now: Instant, _ actions: inout [Action]) {
        isRestartQueued = false
        latestGeneration += 1
        restart = Restart(generation: latestGeneration, since: now, isUpgrade: isUpgradeQueued)
        isUpgradeQueued = false
        actions.append(.prepareRestart(generation: latestGeneration))
    }

    mutating func restartPrepared(_ generation: Int, _ actions: inout [Action]) {
        guard let restart, restart.generation == generation, restart.stage == .preparing else { return }
        begin(restart, &actions)
    }

    private mutating func begin(_ prepared: Restart, _ actions: inout [Action]) {
        var prepared = prepared
        // The build that a rollback returns to has proven itself.
        let bakes = rules.restartBake != nil && !prepared.isRollback
        prepared.stage = bakes ? .baking(until: nil) : .replacing
        restart = prepared
        actions.append(.report(.restarting(generation: prepared.generation)))
    }

    mutating func restartRefused(_ generation: Int, _ reason: String, _ actions: inout [Action]) {
        guard let restart, restart.generation == generation, restart.stage == .preparing else { return }
        actions.append(.report(.restartFailed(generation: generation, serving: self.generation, .refused(reason))))
        finish(&actions)
    }

    /// Goes back to the build before: out of a restart, or, if there is none, out of the build that serves.
    mutating func rollbackRequested(_ now: Instant, _ actions: inout [Action]) {
        if isStopping { return }
        (isRestartQueued, isUpgradeQueued) = (false, false)
        abandonHandover("a rollback was requested", &actions)
        if let restart {
            guard restart.stage != .returning else { return }
            failRestart(.rollback, now, &actions)
        } else if let previousGeneration {
            begin(Restart(generation: previousGeneration, since: now, isRollback: true), &actions)
        } else {
            let fault = RestartFault.refused("there is no build before")
            actions.append(.report(.restartFailed(generation: generation, serving: generation, fault)))
        }
    }

    // MARK: Progress

    /// The builds that slots have or may still get.
    private var generationsInUse: [Int] {
        var kept = [generation]
        if let previousGeneration { kept.append(previousGeneration) }
        if let restart { kept.append(restart.generation) }
        for slot in slots.prefix(target) where !kept.contains(slot.generation) { kept.append(slot.generation) }
        return kept
    }

    /// Takes the next steps, if any are possible.
    mutating func proceedWithRestart(_ now: Instant, _ actions: inout [Action]) {
        if let restart {
            switch restart.stage {
            case .preparing: return
            case .baking(let until):
                guard slots[0].isSettled(restart.generation) else {
                    beginReplacing(0, restart.generation, now)
                    return
                }
                let end = until ?? now + (rules.restartBake ?? .zero)
                self.restart?.stage = end <= now ? .replacing : .baking(until: end)
                if end > now { return }
            case .replacing, .returning: break
            }
            let wanted = restart.stage == .returning ? generation : restart.generation
            replaceChildren(wanted, now)
            // Going back ends when no other build is left, even if a slot waits for its next try.
            let unfinished = slots.all(restart.stage == .returning ? .mixed : .unsettled)
            guard (unfinished.first() ?? target) >= target else { return }
            succeed(restart, wanted, now, &actions)
        }
        if isRestartQueued, handingOverSince == nil { prepareRestart(now, &actions) }
    }

    /// Gives their turns to as many slots as the rules allow.
    private mutating func replaceChildren(_ wanted: Int, _ now: Instant) {
        var busy = slots.all(.turning).prefix(below: target).count
        var next = 0
        while true {
            // A slot without a child has nothing to lose, and need not wait.
            let candidates = slots.all(busy < rules.restartConcurrency ? .replaceable : .vacant)
            guard let index = candidates.first(from: next), index < target else { return }
            beginReplacing(index, wanted, now)
            busy += 1
            next = index + 1
        }
    }

    /// Starts a child of that build in the slot, if it can get its turn.
    private mutating func beginReplacing(_ index: Int, _ wanted: Int, _ now: Instant) {
        guard slots.all(.replaceable).contains(index) else { return }
        slots[index].generation = wanted
        slots[index].shortages = 0
        slots[index].retryDelay = nil
        slots[index].attempt = .backingOff(until: now)
    }

    private mutating func succeed(
        _ finished: Restart, _ served: Int, _ now: Instant, _ actions: inout [Action]
    ) {
        if finished.stage == .returning {
            actions.append(.report(.rolledBack(generation: served, after: now - finished.since)))
        } else {
            if !finished.isRenewal { previousGeneration = generation }
            generation = served
            actions.append(.report(.restarted(generation: served, after: now - finished.since)))
        }
        finish(&actions)
        if finished.isUpgrade, finished.stage != .returning { beginHandover(since: finished.since, &actions) }
    }

    private mutating func finish(_ actions: inout [Action]) {
        restart = nil
        actions.append(.keepPrograms(generations: generationsInUse))
    }

    // MARK: One slot

    /// The slot's child has exited, or withdrawn. If its successor is there already, that one takes its place.
    mutating func replaceBySuccessor(_ index: Int) {
        guard slots[index].current == nil, let successor = slots[index].successor else { return }
        slots[index].current = successor
        slots[index].successor = nil
    }

    /// The exit of the slot's last child decides what follows, even if a successor was about to be started.
    mutating func waitForExit(_ index: Int) {
        if slots[index].current != nil { return }
        slots[index].retryDelay = nil
        if case .backingOff = slots[index].attempt { slots[index].attempt = .none }
    }

    /// The successor is up. It takes the place of the slot's child, which is asked to exit.
    mutating func promoteSuccessor(_ index: Int, _ now: Instant, _ actions: inout [Action]) {
        guard let successor = slots[index].successor else { return }
        if let old = slots[index].current {
            actions.append(.report(.retiring(slot: index, pid: old.pid, successor: successor.pid)))
            // The successor accepts on the same sockets, so nothing waits for the old child.
            let cause = causeOfReplacement(old, by: successor)
            if cause == .recycled { counters.noteRecycled() }
            requestExit(index, .current, cause, now, &actions)
        }
        slots[index].current = successor
        slots[index].successor = nil
    }

    /// A restart may begin while slots still return to the build before.
    private func causeOfReplacement(_ old: Child, by successor: Child) -> ExitCause {
        if old.generation == successor.generation { return .recycled }
        guard let restart, !restart.goesBack, restart.generation == successor.generation else { return .rollback }
        return .restart
    }

    // MARK: Failing

    /// Whether children of this build must prove it: it is that of a restart which has not succeeded yet.
    func isOnTrial(_ generation: Int) -> Bool {
        guard let restart else { return false }
        return restart.generation == generation && restart.stage != .returning
    }

    /// Whether the end of this child fails a restart: it is not up yet, or it is the first child of the new build and
    /// has to serve for a while.
    func isOnTrial(_ child: Child) -> Bool {
        isOnTrial(child.generation) && (!child.isUp || restart?.isBaking == true)
    }

    /// A child that was to take another's place has failed. The other one stays.
    mutating func childFailed(
        _ index: Int, _ generation: Int, _ fault: RestartFault, _ now: Instant, _ actions: inout [Action]
    ) {
        if isOnTrial(generation) { return failRestart(fault, now, &actions) }
        // The build has served before, so the cause may pass. A recycled slot keeps its turn.
        if case .spawning = slots[index].attempt { return }
        slots[index].retryDelay = delayAfterFailedStart(index)
        proceedWithRetry(index, now)
    }

    /// A slot has at most one successor that is about to exit, so the next one waits for its end.
    mutating func proceedWithRetry(_ index: Int, _ now: Instant) {
        guard let delay = slots[index].retryDelay, !slots[index].isExiting(because: .abandoned) else { return }
        slots[index].retryDelay = nil
        slots[index].attempt = .backingOff(until: now + delay)
    }

    /// Ends a restart. Slots that were not replaced keep their children. The others go back to the build before.
    mutating func failRestart(_ fault: RestartFault, _ now: Instant, _ actions: inout [Action]) {
        guard !isStopping, let failed = restart, failed.stage != .returning else { return }
        actions.append(.report(.restartFailed(generation: failed.generation, serving: generation, fault)))
        restart?.stage = .returning
        for index in slots.indices where slots[index].generation == failed.generation {
            requestExit(index, .successor, .abandoned, now, &actions)
            slots[index].retryDelay = nil
            if let current = slots[index].current {
                // The child of the new build stays until that of the old one is up.
                if current.generation == failed.generation { continue }
                slots[index].attempt = .none
            } else if case .backingOff = slots[index].attempt {
                slots[index].attempt = .backingOff(until: now)
            }
            slots[index].generation = generation
        }
    }
}

extension Supervisor.Slot {
    /// Whether its child is of this build, and up.
    func isSettled(_ build: Int) -> Bool {
        guard let current else { return false }
        return current.generation == build && current.isUp && isIdle
    }

    /// Whether a child of another build can be started, because no children that are about to exit must go first.
    func mayReplace(_ aim: Slots.Aim) -> Bool {
        if generation == aim.generation, !needsReplacement { return false }
        if successor != nil { return false }
        if case .spawning = attempt { return false }
        // Going back does not wait for children that have been replaced already, whose last requests may take long.
        return outgoing.allSatisfy { aim.goesBack && $0.cause.letsRollBack }
    }

    /// Whether its children, and the next one, are of this build.
    func hasOnly(_ build: Int) -> Bool {
        generation == build && successor == nil && (current.map { $0.generation == build } ?? true)
    }

    /// Whether its child is of another build than the slot's next one, and nothing is under way.
    fileprivate var needsReplacement: Bool {
        guard let current, isIdle else { return false }
        return current.generation != generation
    }
}

extension Supervisor.ExitCause {
    /// Whether a slot with such a child may go back to the build before.
    fileprivate var letsRollBack: Bool { self == .restart || self == .unrequested || self == .unreplaced }
}
