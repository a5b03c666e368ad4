extension Prefork {
    /// How a child ended, or that it could not be started.
    public struct ChildExit: Sendable, Hashable, CustomStringConvertible {
        /// What is known of the end.
        public enum Reason: Sendable, Hashable, CustomStringConvertible {
            /// It called exit(3) with this status.
            case status(Int32)
            /// A signal killed it; with a core dump or without.
            case signal(Int32, coreDumped: Bool)
            /// Other code in the master has waited for it: it is gone, its status is lost.
            case unknown
            /// It could not be started.
            case notSpawned(SystemError)

            /// For example `signal 9 (KILL)`.
            public var description: String {
                switch self {
                case .status(let status): "status \(status)"
                case .signal(let number, let core): "signal \(Signal(number: number))\(core ? ", core dumped" : "")"
                case .unknown: "with a status that somebody else has taken"
                case .notSpawned(let error): "\(error)"
                }
            }
        }

        /// The child's slot.
        public let slot: Int
        /// The child's process id; 0 where it could not be started.
        public let pid: Int32
        /// How it ended.
        public let reason: Reason
        /// From its start to the moment when the master learned of its end.
        public let lifetime: Duration
        /// Whether it had ever been ready.
        public let wasReady: Bool

        /// For example `child 1240 (slot 1) exited: signal 9 (KILL) after 12.4 s`.
        public var description: String {
            if case .notSpawned(let error) = reason { return "slot \(slot) could not be started: \(error)" }
            return "child \(pid) (slot \(slot)) exited: \(reason) after \(lifetime.inSeconds)"
                + (wasReady ? "" : ", never ready")
        }
    }

    /// Why a fleet stops.
    public enum StopReason: Sendable, Hashable, CustomStringConvertible {
        /// A signal to the master, by number.
        case signal(Int32)
        /// ``Prefork/Prefork/stop()``, or the task that awaited `run` was cancelled.
        case request
        /// An error, which `run` throws in the end.
        case failure(String)

        /// For example `signal 15 (TERM)`.
        public var description: String {
            switch self {
            case .signal(let number): "signal \(Signal(number: number))"
            case .request: "asked to"
            case .failure(let text): text
            }
        }
    }

    /// Everything that a master reports, in the order in which it happens. ``description`` is the line of the default log.
    public enum Event: Sendable, CustomStringConvertible {
        /// What happens after an exit.
        public enum Consequence: Sendable, Hashable {
            /// A new child is started in the same slot after this delay.
            case recovering(after: Duration)
            /// The fleet is stopping, or this child was: nothing.
            case expected
            /// The fleet gives up.
            case givingUp
        }

        /// How this run notices exits and closes descriptors; once, at the start.
        case mechanisms(Mechanisms)
        /// More children than processors are allowed, or a number from WEB_CONCURRENCY. Only an explicit number above the
        /// limit is reported.
        case moreChildrenThanProcessors(children: Int, allowed: Int)
        /// An address is in use; it is tried again.
        case bindRetry(Address, attempt: Int, of: Int, after: Duration)
        /// The master listens; ports are resolved.
        case listening([Address])
        /// A child was started. `replaces` is the pid before it in the slot.
        case spawned(slot: Int, pid: Int32, replaces: Int32?)
        /// A child could not be started.
        case spawnFailed(ChildExit, Consequence)
        /// A child serves.
        case ready(slot: Int, pid: Int32, after: Duration)
        /// A child did not become ready in time and is stopped.
        case notReady(slot: Int, pid: Int32, after: Duration)
        /// A child has ended.
        case exited(ChildExit, Consequence)
        /// The master was itself stopped, starved, or held up by a hook for that long; its timers start anew before it judges a
        /// child.
        case suspended(Duration)
        /// The fleet stops: the children drain for at most that long.
        case stopping(StopReason, grace: Duration)
        /// A child that has not left in time, or when a second signal came, is killed.
        case killing(slot: Int, pid: Int32)
        /// The last child is gone.
        case stopped
        /// Asked for by SIGUSR1.
        case status(Status)
        /// Something did not work that the fleet can do without.
        case trouble(SystemError)

        /// One line, but for ``status(_:)``.
        public var description: String {
            switch self {
            case .mechanisms(let mechanisms): "\(mechanisms)"
            case .moreChildrenThanProcessors(let children, let allowed):
                "\(children) children, but only \(allowed) processor\(allowed == 1 ? " is" : "s are") allowed"
            case .bindRetry(let address, let attempt, let count, let delay):
                "\(address) is in use; trying again in \(delay.inSeconds) (\(attempt) of \(count))"
            case .listening(let addresses):
                "listening on \(addresses.map(\.description).concatenated(separator: ", "))"
            case .spawned(let slot, let pid, let old):
                "child \(pid) (slot \(slot)) started" + (old.map { " in place of \($0)" } ?? "")
            case .spawnFailed(let exit, let consequence): "\(exit)\(consequence.suffix)"
            case .ready(let slot, let pid, let delay): "child \(pid) (slot \(slot)) ready after \(delay.inSeconds)"
            case .notReady(let slot, let pid, let delay):
                "child \(pid) (slot \(slot)) not ready after \(delay.inSeconds); stopping it"
            case .exited(let exit, let consequence): "\(exit)\(consequence.suffix)"
            case .suspended(let duration): "the master was held up for \(duration.inSeconds); timers start anew"
            case .stopping(let reason, let grace): "stopping: \(reason); children have \(grace.inSeconds)"
            case .killing(let slot, let pid): "child \(pid) (slot \(slot)) has not left; killing it"
            case .stopped: "stopped"
            case .status(let status): "\(status)"
            case .trouble(let error): "\(error)"
            }
        }
    }

    /// What a fleet looks like at one moment.
    public struct Status: Sendable, Hashable, CustomStringConvertible {
        /// The life of a slot.
        public enum State: Sendable, Hashable {
            /// Nothing runs there and nothing is planned.
            case empty
            /// A child was started and is not ready yet.
            case starting(pid: Int32)
            /// A child serves.
            case ready(pid: Int32)
            /// A child was told to leave.
            case stopping(pid: Int32)
            /// No child; the next try comes after that long.
            case waiting(Duration)
        }

        /// One slot.
        public struct Slot: Sendable, Hashable {
            /// 0..<children.
            public let slot: Int
            /// What happens there now.
            public let state: State
            /// Since when it has been starting, ready or stopping; zero otherwise.
            public let since: Duration
            /// How many children were started there so far.
            public let spawns: Int
            /// The last exit there.
            public let lastExit: ChildExit?
        }

        /// The master's process id.
        public let masterPID: Int32
        /// Where the master listens, ports resolved.
        public let addresses: [Address]
        /// Whether a stop has begun.
        public let isStopping: Bool
        /// All slots in order; empty before the first child and after the end.
        public let slots: [Slot]

        /// A table of several lines, one a slot.
        public var description: String {
            let listening = addresses.map(\.description).concatenated(separator: ", ")
            let head = "status: master \(masterPID) on \(listening)\(isStopping ? ", stopping" : "")"
            return ([head, "  slot  state     pid       since     spawns  last exit"] + slots.map(\.row))
                .joined(separator: "\n")
        }
    }
}

extension Prefork.Event.Consequence {
    fileprivate var suffix: String {
        switch self {
        case .recovering(let delay): "; recovering \(delay == .zero ? "at once" : "in \(delay.inSeconds)")"
        case .expected: ""
        case .givingUp: "; giving up"
        }
    }
}

extension Prefork.Status.Slot {
    fileprivate var row: String {
        let (name, number): (String, String) =
            switch state {
            case .empty: ("empty", "-")
            case .starting(let pid): ("starting", "\(pid)")
            case .ready(let pid): ("ready", "\(pid)")
            case .stopping(let pid): ("stopping", "\(pid)")
            case .waiting(let delay): ("waiting", "in \(delay.inSeconds)")
            }
        let exit = lastExit.map { "\($0.reason) after \($0.lifetime.inSeconds)" } ?? "-"
        return "  " + padded("\(slot)", 6) + padded(name, 10) + padded(number, 10) + padded(since.inSeconds, 10)
            + padded("\(spawns)", 8) + exit
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
