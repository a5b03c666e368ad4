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
        /// Killed, and not by the master, and the kernel's out-of-memory killer has struck in the fleet's control group since
        /// it was started. That counts its victims and does not name them: it may have been a helper. Linux only, where cgroups
        /// have the memory controller.
        public internal(set) var isProbablyOutOfMemory = false

        /// For example `child 1240 (slot 1) exited: signal 9 (KILL) after 12.4 s`.
        public var description: String {
            if case .notSpawned(let error) = reason { return "slot \(slot) could not be started: \(error)" }
            return "child \(pid) (slot \(slot)) exited: \(cause) after \(lifetime.inSeconds)"
                + (wasReady ? "" : ", never ready")
        }

        fileprivate var cause: String {
            isProbablyOutOfMemory ? "\(reason), probably by the kernel's out-of-memory killer," : "\(reason)"
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

    /// Why a child began to drain by itself.
    public enum DrainOrigin: Sendable, Hashable, CustomStringConvertible {
        /// It got SIGTERM from this process of this user (sigaction(2), `si_pid` and `si_uid`).
        case signal(sender: Int32, user: UInt32)
        /// Its program called `Child.drain()`, or `serve` returned.
        case program
        /// Its channel to the master is closed, and yet it has not exited.
        case closedChannel

        /// For example `SIGTERM from process 4711 (user 0)`.
        public var description: String {
            switch self {
            case .signal(let sender, let user): "SIGTERM from process \(sender) (user \(user))"
            case .program: "its program has ended serving"
            case .closedChannel: "it closed its channel to the master"
            }
        }
    }

    /// Why a child is killed.
    public enum KillReason: Sendable, Hashable {
        /// It has not exited in time.
        case notDrained
        /// A second SIGINT came.
        case secondInterrupt
    }

    /// Everything that a master reports, in the order in which it happens. ``description`` is the line of the default log.
    public enum Event: Sendable, Hashable, CustomStringConvertible {
        /// What happens after an exit.
        public enum Consequence: Sendable, Hashable {
            /// A new child is started in the same slot after this delay.
            case recovering(after: Duration)
            /// The fleet is stopping, or this child was: nothing.
            case expected
            /// A replacement was started when the child began to drain.
            case replaced
            /// The fleet gives up.
            case givingUp
        }

        /// How this run notices exits and closes descriptors; once, at the start.
        case mechanisms(Mechanisms)
        /// There is no /proc, or not for this process; once, at the start. Children execute what is found at that path when they are
        /// started, be it another build by then, or another program where the path is relative and the program has changed its
        /// directory. A CPU quota of the cgroup is not seen: without ``Configuration/children`` there
        /// may be too many.
        case procIsMissing(program: String)
        /// More children than processors are allowed, or a number from WEB_CONCURRENCY. Only an explicit number above the
        /// limit is reported.
        case moreChildrenThanProcessors(children: Int, allowed: Int)
        /// An address is in use; it is tried again.
        case bindRetry(Address, attempt: Int, of: Int, after: Duration)
        /// The master listens; ports are resolved.
        case listening([Address])
        /// ``Configuration/Listening/automatic``, and listeners cannot be sharded here: all children share them.
        case sharing(reason: String)
        /// The kernel refuses to steer connections: it spreads them over all slots, also those without a ready child, where they
        /// wait. Once for each address.
        case steeringRefused(Address, SystemError)
        /// A listener's queue has passed the share of ``Configuration/queueAlarm``; `slot` where it is the slot's own.
        case queueFilling(Address, slot: Int?, Status.Queue)
        /// A child was started. `replaces` is the pid before it in the slot.
        case spawned(slot: Int, pid: Int32, replaces: Int32?)
        /// A child could not be started.
        case spawnFailed(ChildExit, Consequence)
        /// A child serves.
        case ready(slot: Int, pid: Int32, after: Duration)
        /// A child began to drain although the master has not asked it to. It gets no new connections.
        case draining(slot: Int, pid: Int32, DrainOrigin)
        /// A child did not become ready in time and is stopped.
        case notReady(slot: Int, pid: Int32, after: Duration)
        /// A child has ended.
        case exited(ChildExit, Consequence)
        /// The master was itself stopped, starved, or held up by a hook for that long; its timers start anew before it judges a
        /// child.
        case suspended(Duration)
        /// The fleet stops: the children drain for at most that long.
        case stopping(StopReason, grace: Duration)
        /// In a stop: this listener lets new connections in until its last copy is closed; those that no child accepts
        /// are reset, or with an adopted one wait for whoever accepts next.
        case admissionStaysOpen(Address, reason: String)
        /// Another request to stop came while the fleet was stopping. The children still have this much time.
        case alreadyStopping(StopReason, remaining: Duration)
        /// A child is killed. `after` is how long it has had.
        case killing(slot: Int, pid: Int32, KillReason, after: Duration)
        /// Children crash too often to print a backtrace each time. New children start with `SWIFT_BACKTRACE=enable=no` until a
        /// minute has passed without a crash.
        case backtracesSuppressed
        /// A minute has passed without a crash. New children print backtraces again.
        case backtracesResumed
        /// The last child is gone.
        case stopped
        /// A master that is process 1 has reaped orphans: processes that others had started, and that had been dead for
        /// ``Configuration/orphanReapDelay``.
        case reapedOrphans([Int32])
        /// Somebody has handed over that many sockets (LISTEN_FDS), and ``SocketSource/systemd`` was not asked for: whoever
        /// connects there waits.
        case notAdopted(Int)
        /// Asked for by SIGUSR1.
        case status(Status)
        /// Something did not work that the fleet can do without.
        case systemError(SystemError)

        /// One line, but for ``status(_:)``.
        public var description: String {
            switch self {
            case .mechanisms(let mechanisms): "\(mechanisms)"
            case .procIsMissing(let program):
                "there is no /proc: children are started as \(program), and no CPU quota is seen"
            case .moreChildrenThanProcessors(let children, let allowed):
                "\(children) children, but only \(allowed) processor\(allowed == 1 ? " is" : "s are") allowed"
            case .bindRetry(let address, let attempt, let count, let delay):
                "\(address) is in use; trying again in \(delay.inSeconds) (\(attempt) of \(count))"
            case .listening(let addresses):
                "listening on \(addresses.map(\.description).concatenated(separator: ", "))"
            case .sharing(let reason): "all children share one listener for each address: \(reason)"
            case .steeringRefused(let address, let error):
                "connections to \(address) cannot be steered to ready children: \(error)"
            case .queueFilling(let address, let slot, let queue):
                "\(queue) connections wait on \(address)" + (slot.map { " for slot \($0)" } ?? "")
            case .admissionStaysOpen(let address, let reason):
                "\(address) takes connections while the children drain: \(reason)"
            case .spawned(let slot, let pid, let old):
                "child \(pid) (slot \(slot)) started" + (old.map { " in place of \($0)" } ?? "")
            case .spawnFailed(let exit, let consequence): "\(exit)\(consequence.suffix)"
            case .ready(let slot, let pid, let delay): "child \(pid) (slot \(slot)) ready after \(delay.inSeconds)"
            case .notReady(let slot, let pid, let delay):
                "child \(pid) (slot \(slot)) not ready after \(delay.inSeconds); stopping it (readinessTimeout)"
            // A newcomer's `serve` that returns at once is the likely reason.
            case .exited(let exit, let consequence) where exit.reason == .status(0) && consequence != .expected:
                "\(exit), as when serve returns\(consequence.suffix)"
            case .exited(let exit, let consequence): "\(exit)\(consequence.suffix)"
            case .suspended(let duration): "the master was held up for \(duration.inSeconds); timers start anew"
            case .stopping(let reason, let grace): "stopping: \(reason); children have \(grace.inSeconds)"
            case .alreadyStopping(let reason, let time):
                "already stopping (\(reason)); children have up to \(time.inSeconds) left"
            case .killing(let slot, let pid, .notDrained, let time):
                "child \(pid) (slot \(slot)) has not exited after \(time.inSeconds); killing it"
            case .killing(let slot, let pid, .secondInterrupt, let time):
                "child \(pid) (slot \(slot)) has drained for \(time.inSeconds); a second SIGINT kills it"
            case .backtracesSuppressed: "too many crashes: new children print no backtraces until a minute passes without one"
            case .backtracesResumed: "a minute without a crash: new children print backtraces again"
            case .draining(let slot, let pid, let origin):
                "child \(pid) (slot \(slot)) drains unasked and gets no new connections: \(origin)"
            case .stopped: "stopped"
            case .reapedOrphans(let pids):
                pids.count == 1 ? "reaped the orphan \(pids[0])" : "reaped \(pids.count) orphans"
            case .notAdopted(let count):
                count == 1
                    ? "a socket was handed over (LISTEN_FDS) that nobody serves; see SocketSource.systemd"
                    : "\(count) sockets were handed over (LISTEN_FDS) that nobody serves; see SocketSource.systemd"
            case .status(let status): "\(status)"
            case .systemError(let error): "\(error)"
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
            case backingOff(Duration)
        }

        /// How the children have a listener.
        public enum Sharing: String, Sendable, Hashable {
            /// All accept on the same socket.
            case shared
            /// Each slot has its own.
            case sharded
            /// All accept on a socket that is somebody else's.
            case adopted
        }

        /// Connections that the kernel has taken in and no child has accepted.
        public struct Queue: Sendable, Hashable, CustomStringConvertible {
            /// How many.
            public let waiting: Int
            /// How many there may be: the backlog, as far as the kernel allows it.
            public let limit: Int

            /// For example `3 of 4096`.
            public var description: String { "\(waiting) of \(limit)" }
        }

        /// One address.
        public struct Listener: Sendable, Hashable {
            /// With its port.
            public let address: Address
            /// How the children have it.
            public let sharing: Sharing
            /// One for each slot where it is sharded, else one. nil: the system does not say (Unix-domain, Darwin).
            public let queues: [Queue?]
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
            /// Whether its own listeners get new connections.
            public let isInRotation: Bool
            /// How many connections wait in its own listeners; nil where it has none (shared, adopted).
            public let waiting: Int?
        }

        /// The master's process id.
        public let masterPID: Int32
        /// Where the master listens, ports resolved.
        public let addresses: [Address]
        /// Whether a stop has begun.
        public let isStopping: Bool
        /// All slots in order; empty before the first child and after the end.
        public let slots: [Slot]
        /// In the order of ``addresses``; empty before they are bound, and when a stop has come so far that they are closed.
        public let listeners: [Listener]

        /// A table of several lines, one a slot.
        public var description: String {
            let listening = addresses.map(\.description).concatenated(separator: ", ")
            let head = "status: master \(masterPID) on \(listening)\(isStopping ? ", stopping" : "")"
            let table = ["  slot  state        pid       since     spawns  queue  last exit"] + slots.map(\.row)
            // What is sharded stands in the slots' rows.
            let common = listeners.compactMap { listener -> String? in
                guard listener.sharing != .sharded, let queue = listener.queues.first else { return nil }
                return
                    "  \(listener.sharing.rawValue) \(listener.address): \(queue.map { "\($0) waiting" } ?? "queue unknown")"
            }
            return ([head] + table + common).joined(separator: "\n")
        }
    }
}

extension Prefork.Event.Consequence {
    fileprivate var suffix: String {
        switch self {
        case .recovering(let delay): "; recovering \(delay == .zero ? "at once" : "in \(delay.inSeconds)")"
        case .expected: ""
        case .replaced: "; replaced already"
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
            case .backingOff(let delay): ("backing off", "in \(delay.inSeconds)")
            }
        let exit = lastExit.map { "\($0.cause) after \($0.lifetime.inSeconds)" } ?? "-"
        return "  " + padded("\(slot)", 6) + padded(name, 13) + padded(number, 10) + padded(since.inSeconds, 10)
            + padded("\(spawns)", 8) + padded(waiting.map { isInRotation ? "\($0)" : "\($0) out" } ?? "-", 7) + exit
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
