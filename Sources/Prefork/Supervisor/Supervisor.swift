/// The rules of a fleet as a pure value: inputs go in, actions come out.
///
/// It has no clock and makes no system call. `Master` feeds it and carries out its actions. Tests drive it through
/// random schedules with a virtual clock.
struct Supervisor {
    /// A timer that comes later than this means that the master itself was not running.
    static let suspension: Duration = .seconds(1)
    /// How many exits the error of a fleet that gives up contains.
    static let keptExits = 32

    let rules: Rules
    /// How many slots the fleet has: 0..<target.
    var target: Int
    var phase = Phase.filling(next: 0)
    /// The slots of the fleet, then those that it had when it was larger.
    var slots: Slots
    /// The slots of all children that have not been reaped, by their pids.
    var places: [Int32: Int] = [:]
    /// Why the fleet stops. `nil` after an orderly stop.
    var failure: PreforkError?
    /// Which slots get new connections: those whose child is ready and not draining, or all of them if there is none.
    /// It no longer changes once a stop has begun.
    var rotation: SlotSet

    /// The build that serves. A restart that succeeds changes it.
    var generation = 1
    /// The build that served before, for a rollback.
    var previousGeneration: Int?
    /// The number of the last build, whether or not it ever served.
    var latestGeneration = 1
    var restart: Restart? {
        didSet {
            slots.aim = restart.map {
                Slots.Aim(generation: $0.stage == .returning ? generation : $0.generation, goesBack: $0.goesBack)
            }
        }
    }
    /// Whether another restart follows.
    var isRestartQueued = false
    /// Whether the next restart is the first part of an upgrade.
    var isUpgradeQueued = false
    /// The begin of an upgrade whose restart has succeeded. The master's own program is about to be replaced.
    var handingOverSince: Instant?
    /// The number of slots that was asked for while the slots were filled for the first time.
    var queuedTarget: Int?

    /// Whether any child has ever been up. From then on only a strict mode or a fatal status ends the fleet.
    var hasBeenUp = false
    var startFailures = StartFailures()
    var strictExits = StrictExits()
    var lastExits: [Prefork.ChildExit] = []
    var poisonBudget: RestartBudget
    var brokenBudget = RestartBudget(perMille: Crashes.brokenShare)
    var backtraces = BacktracePolicy()
    /// Exits that the master did not ask for, and failed starts.
    var counters = Prefork.Status.Counters()

    /// When the first SIGINT of a stop arrived.
    var firstInterrupt: Instant?
    /// The time by which the master should have called. If it calls later, it was suspended.
    var expectedBy: Instant?

    init(_ rules: Rules, children: Int) {
        self.rules = rules
        target = children
        slots = Slots(count: children)
        rotation = SlotSet(0..<children)
        poisonBudget = RestartBudget(perMille: max(1, rules.processors) * 1000 / 4)
    }

    /// Takes one input and returns what must be done, in this order. A batch contains at most one `.spawn`, as its
    /// last action, because a stop may come before the next one.
    mutating func handle(_ input: Input, at now: Instant) -> [Action] {
        var actions: [Action] = []
        restartTimersAfterSuspension(now, &actions)
        confirmChildren(now, &actions)
        switch input {
        case .spawned(let slot, let pid): spawned(slot, pid, now, &actions)
        case .spawnFailed(let slot, let error): spawnFailed(slot, error, now, &actions)
        case .spawnRefused(let slot, let error): spawnRefused(slot, error, now, &actions)
        case .ready(let pid, let startCost): ready(pid, startCost, now, &actions)
        case .draining(let pid, let origin): draining(pid, origin, now, &actions)
        case .hungUp(let pid): hungUp(pid, now)
        case .exited(let pid, let end): exited(pid, end, now, &actions)
        case .stop(let reason, let arrival): stopRequested(reason, arrival, now, &actions)
        case .fail(let text): stop(.failure(text), nil, now, &actions)
        case .admissionClosed: requestExits(now, &actions)
        case .restart: restartRequested(now, &actions)
        case .upgrade: upgradeRequested(now, &actions)
        case .renew: renewalRequested(now, &actions)
        case .handedOver: handedOver(now, &actions)
        case .handoverFailed(let reason): handoverFailed(reason, &actions)
        case .restartPrepared(let generation): restartPrepared(generation, &actions)
        case .restartRefused(let generation, let reason): restartRefused(generation, reason, &actions)
        case .rollback: rollbackRequested(now, &actions)
        case .resize(let count): resizeRequested(count, now, &actions)
        case .beat(let pid): beat(pid, now)
        case .stalled(let pid, let evidence): stalled(pid, evidence, now, &actions)
        case .recycle(let pid, let reason): recycleRequested(pid, reason, now)
        case .queueEmpty(let slot): queueEmpty(slot)
        case .timer: timer(now, &actions)
        }
        finishAdmission(now, &actions)
        proceed(now, &actions)
        finishIfEmpty(&actions)
        if case .timer = input { startNext(now, &actions) }
        expectedBy = nextDeadline.map { max($0, now) }
        // The rotation changes before anything else. A child that is gone gets no more connections, and a child that is
        // ready does not wait for them.
        return rotationChange() + actions
    }

    /// Takes the next steps of a restart and of slots that leave the fleet.
    private mutating func proceed(_ now: Instant, _ actions: inout [Action]) {
        guard case .running = phase else { return }
        if let count = queuedTarget { resizeRequested(count, now, &actions) }
        for index in slots.all(.retrying) { proceedWithRetry(index, now) }
        proceedWithRetirements(now, &actions)
        proceedWithRestart(now, &actions)
        proceedWithRecycling(now, &actions)
    }

    // MARK: State

    var isStopping: Bool {
        switch phase {
        case .filling, .running: false
        case .closingAdmission, .stopping, .finished: true
        }
    }

    /// The slots that have a child which accepts connections.
    var acceptingSlots: SlotSet { slots.all(.accepting) }

    /// Whether any child is up and accepts connections.
    var isAnyUp: Bool { !slots.all(.serving).isEmpty }

    /// When `.timer` is due. `nil` means never.
    var nextDeadline: Instant? {
        if case .filling = phase { return .distantPast }
        let earliest = SlotTimes.earlier(slots.nextDeadline, restart?.bakesUntil)
        guard case .closingAdmission(let until) = phase else { return earliest }
        return SlotTimes.earlier(earliest, until)
    }

    // MARK: Time

    private mutating func timer(_ now: Instant, _ actions: inout [Action]) {
        if case .filling = phase { return }
        // Signals that are due come first, so that a child that is asked to exit below has a moment until its next
        // signal.
        for index in slots.judgements.due(at: now) { escalate(index, now, &actions) }
        if case .closingAdmission(let until) = phase, until <= now { requestExits(now, &actions) }
        for index in slots.judgements.due(at: now) {
            judgeReadiness(index, now, &actions)
            replaceWithoutExit(index, .current, now, &actions)
            replaceWithoutExit(index, .successor, now, &actions)
            judgeHeartbeat(index, now, &actions)
            noteAge(index, now)
        }
    }

    private mutating func startNext(_ now: Instant, _ actions: inout [Action]) {
        if case .filling(let next) = phase {
            phase = .filling(next: next + 1)
            spawn(next, now, &actions)
            return
        }
        // The slot that has waited longest comes first. Others that are due follow right after the answer to this one.
        if let due = slots.tries.earliest, due <= now, let index = slots.tries.first { spawn(index, now, &actions) }
    }

    /// A master that was stopped, or starved, while its timers ran out must not judge the children, because it could
    /// not receive their messages. Everything that it still waits for gets its whole time again (as in Unicorn).
    private mutating func restartTimersAfterSuspension(_ now: Instant, _ actions: inout [Action]) {
        guard let expected = expectedBy, now - expected > Self.suspension else { return }
        var restarted = false
        for index in slots.indices {
            if slots[index].current?.restartTimers(rules, now) == true { restarted = true }
            if slots[index].successor?.restartTimers(rules, now) == true { restarted = true }
            if case .accepting = slots[index].retirement {
                slots[index].retirement = .accepting(until: now + rules.queueDrain)
                restarted = true
            }
            for position in slots[index].outgoing.indices where slots[index].outgoing[position].restart(at: now) {
                restarted = true
            }
        }
        if restart?.bakesUntil != nil {
            let until = now + (rules.restartBake ?? .zero)
            restart?.bakeAgain(until: until)
            restarted = true
        }
        if case .closingAdmission = phase {
            phase = .closingAdmission(until: now + rules.queueDrain)
            restarted = true
        }
        if restarted { actions.append(.report(.suspended(now - expected))) }
    }
}
