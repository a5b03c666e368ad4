// A slot, its children, and what each of them is about to do.

extension Supervisor {
    /// The child that a slot works with.
    struct Child: Equatable {
        enum Stage: Equatable {
            /// It must be ready by this moment.
            case starting(readyBy: Instant)
            /// `upAt` and `provenAt` are `nil` once they have passed.
            case ready(since: Instant, upAt: Instant?, provenAt: Instant?)
        }

        let pid: Int32
        let launch: Int
        /// The build of the program that it runs.
        let generation: Int
        let spawnedAt: Instant
        var stage: Stage
        var startCost: Duration?
        /// Whether it accepts no more, because it drains unasked or its channel is closed.
        var isDraining = false
        /// Why it drains, if that is known.
        var drainOrigin: Prefork.DrainOrigin?
        /// Its channel is closed. If its exit is not known by then, a replacement is started beside it.
        var exitExpectedBy: Instant?
        /// When it is old enough to be replaced. `nil` if that time has come, or never comes.
        var recycleAt: Instant?
        /// The moment by which it must have sent its next beat. `nil` if it sends none.
        var beatBy: Instant?
    }

    /// Why a child must exit.
    enum ExitCause: Equatable {
        /// The fleet stops.
        case shutdown
        /// It was not ready in time.
        case notReady
        /// It began to drain by itself, and was replaced.
        case unrequested
        /// It began to drain by itself, and its exit decides whether it is replaced.
        case unreplaced
        /// A child of a new build has taken its place.
        case restart
        /// A child of the build before has taken its place, because a restart has failed.
        case rollback
        /// Its slot was retired.
        case resize
        /// It did not respond.
        case unresponsive
        /// It was to take the place of another child, which stays.
        case abandoned
        /// Another child of the same build has taken its place.
        case recycled

        /// Whether the master asked the child to exit.
        var isRequested: Bool { self != .unrequested && self != .unreplaced && self != .unresponsive }
        /// Whether nothing follows from the child's exit.
        var isPlanned: Bool { isRequested && self != .notReady }
    }

    /// A child that is about to exit.
    struct Exiting: Equatable {
        var child: Child
        var cause: ExitCause
        let since: Instant
        var escalation: Escalation
    }

    /// The signals for a child that must exit, each at its time. The last of them is KILL.
    struct Escalation: Equatable {
        struct Step: Equatable {
            let signal: Signal
            /// The time since the beginning of the escalation.
            let after: Duration
        }

        private(set) var begin: Instant
        private(set) var steps: ArraySlice<Step>

        init(_ steps: [Step], at begin: Instant) {
            self.begin = begin
            self.steps = steps[...]
        }

        /// SIGABRT at once, with which Swift prints the stacks of all threads, and SIGKILL after this time.
        static func abort(grace: Duration, at begin: Instant) -> Escalation {
            Escalation([Step(signal: .abort, after: .zero), Step(signal: .kill, after: grace)], at: begin)
        }

        /// SIGTERM at once, SIGKILL after the grace period.
        static func terminate(grace: Duration, at begin: Instant) -> Escalation {
            Escalation([Step(signal: .terminate, after: .zero), Step(signal: .kill, after: grace)], at: begin)
        }

        /// When the next step is due. `nil` once SIGKILL was sent.
        var next: Instant? { steps.first.map { begin + $0.after } }

        /// Takes the step that is due.
        mutating func take(at now: Instant) -> Signal? {
            guard let next, next <= now else { return nil }
            return steps.popFirst()?.signal
        }

        mutating func restart(at now: Instant) { begin = now }

        /// What is left takes this long at most.
        mutating func hasten(to grace: Duration, at now: Instant) {
            guard let next else { return }
            self = Escalation([Step(signal: .kill, after: min(grace, max(.zero, next - now)))], at: now)
        }
        mutating func end() { steps = [] }
    }

    /// The way in which a slot gets its next child.
    enum Attempt: Equatable {
        case none
        /// Between `.spawn` and its answer.
        case spawning(since: Instant, launch: Int, generation: Int)
        case backingOff(until: Instant)
    }

    /// Why a restart fails.
    typealias RestartFault = Prefork.Event.RestartFault
    /// Why a child that serves is replaced.
    typealias RecycleReason = Prefork.Event.RecycleReason

    /// The replacement of a child that was asked for and is not done.
    struct Recycling: Equatable {
        /// The child. If the slot has another one by now, there is nothing to do.
        let pid: Int32
        let reason: RecycleReason
        let since: Instant
    }

    /// How a slot leaves the fleet.
    enum Retirement: Equatable {
        /// Its child gets no new connections, and accepts those that are queued until this moment at the latest.
        case accepting(until: Instant)
        /// Its queue is empty, or its time is over. Its child is asked to exit as soon as no other child of the slot is
        /// still exiting because of a resize.
        case accepted
    }

    struct Slot {
        var current: Child?
        /// A child that is started beside `current` and takes its place once it is up.
        var successor: Child?
        /// At most one for each cause, but two for `.shutdown`: the current child and its successor.
        var outgoing: [Exiting] = []
        var attempt = Attempt.none
        /// The build of the slot's next child.
        var generation = 1
        /// `nil` if the slot is part of the fleet, or has no child.
        var retirement: Retirement?
        var recycling: Recycling?
        /// How long to wait before the next successor, once the last one has exited.
        var retryDelay: Duration?
        /// Failed starts since a child of this slot was up.
        var failures = 0
        /// Starts of a successor that failed because the master was short of something.
        var shortages = 0
        var crashes = Crashes()
        var recoveries = 0
        var launches = 0
        var lastPID: Int32?
        var lastExit: Prefork.ChildExit?

        /// What a child is to its slot, before it is asked to exit.
        enum Role {
            case current
            case successor
        }

        subscript(role: Role) -> Child? {
            get { role == .current ? current : successor }
            set { if role == .current { current = newValue } else { successor = newValue } }
        }
    }
}

extension Supervisor.Child {
    var readyAt: Instant? {
        if case .ready(let since, _, _) = stage { since } else { nil }
    }

    var isAccepting: Bool { readyAt != nil && !isDraining }

    /// Ready for at least `settleTime`.
    var isUp: Bool {
        if case .ready(_, nil, _) = stage { true } else { false }
    }

    /// Whether it has served long enough that its end says nothing about its start.
    var isProven: Bool {
        if case .ready(_, _, nil) = stage { true } else { false }
    }

    /// Forgets the times of a ready child that have passed.
    mutating func passTimes(_ now: Instant) {
        guard !isDraining, case .ready(let since, let upAt, let provenAt) = stage else { return }
        stage = .ready(
            since: since, upAt: upAt.flatMap { $0 <= now ? nil : $0 },
            provenAt: provenAt.flatMap { $0 <= now ? nil : $0 })
    }

    /// When it counts as up, or as proven.
    var nextPassage: Instant? {
        guard !isDraining, case .ready(_, let upAt, let provenAt) = stage else { return nil }
        return SlotTimes.earlier(upAt, provenAt)
    }

    /// When the timer must act on it.
    var nextJudgement: Instant? {
        switch stage {
        case .starting(let readyBy): SlotTimes.earlier(readyBy, exitExpectedBy)
        case .ready: isDraining ? exitExpectedBy : SlotTimes.earlier(recycleAt, beatBy)
        }
    }

    /// - Returns: whether there was a timer that can judge it.
    mutating func restartTimers(_ rules: Supervisor.Rules, _ now: Instant) -> Bool {
        if exitExpectedBy != nil { exitExpectedBy = now + Supervisor.exitNotice }
        if beatBy != nil { beatBy = rules.heartbeatTimeout.map { now + $0 } }
        switch stage {
        case .starting:
            stage = .starting(readyBy: now + rules.readinessTimeout)
            return true
        case .ready(let since, let upAt, let provenAt):
            // Nothing is known about the time of the suspension, so it does not count.
            stage = .ready(
                since: since,
                upAt: upAt.map { _ in now + rules.settleTime },
                provenAt: provenAt.map { _ in now + rules.provingTime })
            return exitExpectedBy != nil
        }
    }
}

extension Supervisor.Exiting {
    /// - Returns: whether anything is still to come.
    mutating func restart(at now: Instant) -> Bool {
        guard escalation.next != nil else { return false }
        escalation.restart(at: now)
        return true
    }
}

extension Supervisor.Slot {
    /// All children that the slot has.
    var children: [Supervisor.Child] {
        [current, successor].compactMap { $0 } + outgoing.map(\.child)
    }

    var isEmpty: Bool { current == nil && successor == nil && outgoing.isEmpty && attempt == .none }

    /// Whether no successor is there, or on its way.
    var isIdle: Bool { successor == nil && attempt == .none && retryDelay == nil }

    /// Whether a child of it accepts connections.
    var isAccepting: Bool { current?.isAccepting == true || successor?.isAccepting == true }

    /// When the next try is due.
    var nextTry: Instant? {
        if case .backingOff(let until) = attempt { until } else { nil }
    }

    /// See `Slots.passages`.
    var nextPassage: Instant? {
        let passage = SlotTimes.earlier(current?.nextPassage, successor?.nextPassage)
        guard case .accepting(let until) = retirement else { return passage }
        return SlotTimes.earlier(passage, until)
    }

    /// See `Slots.judgements`.
    var nextJudgement: Instant? {
        outgoing.reduce(SlotTimes.earlier(current?.nextJudgement, successor?.nextJudgement)) {
            SlotTimes.earlier($0, $1.escalation.next)
        }
    }

    func isExiting(because cause: Supervisor.ExitCause) -> Bool { outgoing.contains { $0.cause == cause } }
}
