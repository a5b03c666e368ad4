// The words in which the Supervisor hears, thinks and answers.

extension Supervisor {
    /// The rules' numbers, from a checked `Configuration`.
    struct Rules: Sendable {
        var children: Int
        var recovery: Recovery
        var window: Duration?
        var interval = Prefork.Configuration.Recovery.Delays()
        var limitPerSlot: Int?
        var healthyAfter: Duration = .seconds(10)
        var fatalExitStatuses: [Int32] = [78]
        var readinessTimeout: Duration = .seconds(60)
        var grace: Duration = .seconds(5)
        /// How long, at a stop, the children may go on accepting what is queued already.
        var queueDrain: Duration = .seconds(1)

        enum Recovery: Sendable, Hashable {
            case upTo(exits: Int)
            case never
            case unlimited
        }
    }

    enum Input {
        /// The spawn that the last `.spawn` asked for.
        case spawned(slot: Int, pid: Int32)
        case spawnFailed(slot: Int, SystemError)
        /// The same, for a reason that another try would not mend.
        case spawnRefused(slot: Int, PreforkError)
        case ready(pid: Int32)
        /// Reaped: the pid is not to be signalled any more.
        case exited(pid: Int32, WaitStatus, isOutOfMemory: Bool = false)
        case stop(Prefork.StopReason)
        /// A hook threw.
        case fail(description: String)
        /// What `.closeAdmission` asked for is done, or cannot be had: nothing is queued that a ready child could accept.
        case admissionClosed
        /// `nextDeadline` has come.
        case timer
    }

    enum Action: Equatable {
        /// Start a child in that slot; answered by `.spawned`, `.spawnFailed` or `.spawnRefused` before any other input.
        case spawn(slot: Int, launch: Int)
        /// Call the hooks for a started child.
        case announce(pid: Int32, replaces: Int32?)
        /// Call the hook for the whole fleet.
        case announceMaster(pids: [Int32])
        case signal(pid: Int32, Signal)
        /// New connections to these slots only, of those whose listeners are their own. Never empty: when no child is ready
        /// all slots are in rotation, and connections wait there.
        case rotate(slots: [Int])
        /// Let nobody in any more, and say `.admissionClosed` when the ready children have accepted what had come in.
        case closeAdmission
        /// Close our copies: all children have been told to leave.
        case closeListeners
        case report(Report)
        /// No child is left; the error is what `run` throws, unless a hook threw.
        case finish
    }

    /// What `Master` turns into public events.
    enum Report: Equatable {
        case spawned(slot: Int, pid: Int32, replaces: Int32?)
        case spawnFailed(Prefork.ChildExit, Prefork.Event.Consequence)
        case ready(slot: Int, pid: Int32, after: Duration)
        case notReady(slot: Int, pid: Int32, after: Duration)
        case exited(Prefork.ChildExit, Prefork.Event.Consequence)
        case suspended(Duration)
        case stopping(Prefork.StopReason)
        case killing(slot: Int, pid: Int32)
        case stopped
    }

    enum Phase: Equatable {
        /// Slots are filled one after another; supervision has not begun.
        case filling(next: Int)
        case running
        /// A stop has begun; the ready children accept what is queued, until then at the latest.
        case closingAdmission(until: Instant)
        /// All children have been told to leave.
        case stopping
        case finished
    }

    struct Life: Equatable {
        let pid: Int32
        let spawnedAt: Instant
        var readyAt: Instant?
        /// Since when it is judged: its start, or the end of a suspension of the master.
        var judgedFrom: Instant
    }

    enum State: Equatable {
        case empty
        /// Between `.spawn` and its answer.
        case spawning(since: Instant)
        case starting(Life)
        case ready(Life)
        case stopping(Life, since: Instant, killAt: Instant?)
        case waiting(until: Instant)
    }

    struct Slot {
        var state = State.empty
        /// Exits since the slot was last healthy.
        var failures = 0
        var recoveries = 0
        var spawns = 0
        var lastPID: Int32?
        var lastExit: Prefork.ChildExit?
    }
}

extension Supervisor.State {
    var life: Supervisor.Life? {
        switch self {
        case .starting(let life), .ready(let life), .stopping(let life, _, _): life
        case .empty, .spawning, .waiting: nil
        }
    }

    var waitsUntil: Instant? {
        if case .waiting(let until) = self { until } else { nil }
    }
}

extension Supervisor.Slot {
    enum Deadline {
        case at(Instant)
        case judge(Instant)

        var instant: Instant {
            switch self {
            case .at(let instant), .judge(let instant): instant
            }
        }
    }

    var deadline: Deadline? {
        switch state {
        case .starting(let life): .judge(life.judgedFrom)
        case .stopping(_, _, let killAt): killAt.map { .at($0) }
        case .waiting(let until): .at(until)
        case .empty, .spawning, .ready: nil
        }
    }
}

extension Prefork.Configuration.Recovery.Delays {
    /// Doubled for each failure after the second, never above the maximum.
    func delay(afterFailures failures: Int) -> Duration {
        if failures == 0 { return min(first, maximum) }
        var delay = min(next, maximum)
        for _ in 1..<max(failures, 1) {
            // Some hundred turns at most, for a slot may fail for years; no product is above the maximum, so none overflows.
            guard delay > .zero, delay < maximum else { break }
            delay = delay > maximum / 2 ? maximum : delay * 2
        }
        return delay
    }
}
