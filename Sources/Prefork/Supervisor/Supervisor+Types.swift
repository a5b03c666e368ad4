// The inputs, actions and state of the Supervisor.

extension Supervisor {
    /// The numbers of the rules, from a validated `Configuration`.
    struct Rules: Sendable {
        var recovery = Recovery.automatic
        /// How long an exit counts for `.upTo`. `nil` means for the whole life of the fleet.
        var window: Duration?
        var delays = Prefork.Configuration.Recovery.Delays()
        var limitPerSlot: Int?
        /// How long a ready child must stay alive until it counts as up.
        var settleTime: Duration = .seconds(1)
        var fatalExitStatuses: [Int32] = [78]
        var readinessTimeout: Duration = .seconds(60)
        var grace: Duration = .seconds(5)
        /// How long the children may go on accepting queued connections at a stop.
        var queueDrain: Duration = .seconds(1)
        /// How many processors the fleet may use. Recoveries may cost a share of them.
        var processors = 1
        /// The largest number of slots whose child a restart replaces at a time.
        var restartConcurrency = 1
        /// How long the first new child of a restart must serve before the other slots follow.
        var restartBake: Duration?
        /// The age at which a child is replaced. A tenth of it is spread over the children.
        var recycleAfter: Duration?
        /// How long a ready child may stay silent. `nil` if children send no beats.
        var heartbeatTimeout: Duration?
        /// The time between SIGABRT and SIGKILL for a child that does not respond.
        var abortGrace: Duration = .seconds(10)

        enum Recovery: Sendable, Hashable {
            /// The fleet gives up only while none of its children has ever been up.
            case automatic
            /// Ends the fleet after more unexpected exits than this.
            case upTo(exits: Int)
            /// Ends the fleet at the first unexpected exit.
            case never
            /// The fleet never gives up.
            case unlimited
        }
    }

    enum Input {
        /// Answers to the last `.spawn`.
        case spawned(slot: Int, pid: Int32)
        case spawnFailed(slot: Int, SystemError)
        /// The program's `spawn` closure failed. Another try seldom helps.
        case spawnRefused(slot: Int, PreforkError)
        /// The child serves. `startCost` is the processor time that its start took, if it says so.
        case ready(pid: Int32, startCost: Duration? = nil)
        /// The child drains although the master has not asked it to.
        case draining(pid: Int32, Prefork.DrainOrigin)
        /// The child's end of the channel is closed.
        case hungUp(pid: Int32)
        /// The child was reaped. Its pid must not be signalled any more.
        case exited(pid: Int32, End)
        /// A request to stop, and when it arrived. The children's time begins when they are asked, not then.
        case stop(Prefork.StopReason, at: Instant)
        /// A hook threw.
        case fail(description: String)
        /// The answer to `.closeAdmission`. Either no connection is queued that a ready child could accept, or that
        /// cannot be determined.
        case admissionClosed
        /// A request to replace all children by those of the program as it is on disk now.
        case restart
        /// Answers to `.prepareRestart`.
        case restartPrepared(generation: Int)
        case restartRefused(generation: Int, reason: String)
        /// A request to go back to the build before.
        case rollback
        /// A request for this number of slots, at least 1. The listeners of new slots are bound.
        case resize(to: Int)
        /// The child's program responds.
        case beat(pid: Int32)
        /// The child lets connections wait, and does nothing.
        case stalled(pid: Int32, Prefork.Event.Evidence)
        /// A request to replace a child, which serves until the new one is up.
        case recycle(pid: Int32, RecycleReason)
        /// No connection is queued on the listeners of a retired slot. Answers `.awaitEmptyQueue`.
        case queueEmpty(slot: Int)
        /// `nextDeadline` has come.
        case timer

        static func exited(pid: Int32, _ status: WaitStatus) -> Input { .exited(pid: pid, End(status: status)) }
    }

    /// The known facts of a child's end.
    struct End {
        var status: WaitStatus
        /// The processor time of its whole life, including its own reaped children.
        var processorTime: Duration?
        var isOutOfMemory = false
    }

    enum Action: Equatable {
        /// Start a child in this slot. Answered by `.spawned`, `.spawnFailed` or `.spawnRefused`.
        case spawn(slot: Int, launch: Int, generation: Int = 1, printsBacktrace: Bool)
        /// Open the program of this generation. Answered by `.restartPrepared` or `.restartRefused`.
        case prepareRestart(generation: Int)
        /// Close the programs of all other generations. No child is started from them any more.
        case keepPrograms(generations: [Int])
        /// Answer `.queueEmpty` when no connection is queued on the listeners of this slot alone.
        case awaitEmptyQueue(slot: Int)
        /// Call the hooks for a started child. `replaces` is the child that was recovered, if any.
        case announce(pid: Int32, replaces: Int32?)
        /// Call the hook for the whole fleet.
        case announceMaster(pids: [Int32])
        case signal(pid: Int32, Signal)
        /// Send new connections to these slots only, as far as their listeners are sharded. The list is never empty. If
        /// no child is ready, all slots are in rotation, and connections wait there.
        case rotate(slots: [Int])
        /// Keep new connections out, and answer `.admissionClosed` when the ready children have accepted what is
        /// queued.
        case closeAdmission
        /// Close the master's copies of the listeners, because all children have been asked to exit.
        case closeListeners
        case report(Prefork.Event)
        /// No child is left. `run` throws `failure`, unless a hook threw.
        case finish
    }

    enum Phase: Equatable {
        /// Slots are filled one after another. Exits are not handled yet.
        case filling(next: Int)
        case running
        /// A stop has begun. The ready children accept what is queued, until this moment at the latest.
        case closingAdmission(until: Instant)
        /// All children have been asked to exit.
        case stopping
        case finished
    }

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

    var nextDeadline: Instant? {
        switch stage {
        case .starting(let readyBy): return min(readyBy, exitExpectedBy ?? readyBy)
        case .ready where isDraining: return exitExpectedBy
        case .ready(_, let upAt, let provenAt): return [upAt, provenAt, recycleAt, beatBy].compactMap { $0 }.min()
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

    var nextDeadline: Instant? {
        var earliest = [nextTry, current?.nextDeadline, successor?.nextDeadline].compactMap { $0 }.min()
        if case .accepting(let until) = retirement { earliest = min(earliest ?? until, until) }
        for exiting in outgoing {
            if let next = exiting.escalation.next { earliest = min(earliest ?? next, next) }
        }
        return earliest
    }

    func isExiting(because cause: Supervisor.ExitCause) -> Bool { outgoing.contains { $0.cause == cause } }
}

extension Supervisor.Rules {
    /// A child that has served for this long is proven: its end says nothing about its start.
    var provingTime: Duration { max(.seconds(1), settleTime) }
}
