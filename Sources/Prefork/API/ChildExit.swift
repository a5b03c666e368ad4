extension Prefork {
    /// How a child ended, or why it could not be started.
    public struct ChildExit: Sendable, Hashable, CustomStringConvertible {
        /// The child's slot.
        public let slot: Int
        /// The child's process id. 0 if it could not be started.
        public let pid: Int32
        /// How it ended.
        public let reason: Reason
        /// The time from the child's start until the master learned of its exit.
        public let lifetime: Duration
        /// Whether the child was ever ready.
        public let wasReady: Bool
        /// Whether the kernel's out-of-memory killer probably killed the child.
        ///
        /// True if the child died of a SIGKILL that the master did not send, and the killer's count in the fleet's
        /// control group grew during the child's life. The kernel counts victims without naming them, so the victim can
        /// also be a helper process. Linux only, with the memory controller of cgroups.
        public internal(set) var isProbablyOutOfMemory = false
        /// The time from the child's readiness until the master learned of its exit. `nil` if it was never ready.
        public internal(set) var readyTime: Duration?
        /// Why the child drained before it exited. `nil` if it did not, as after a crash.
        public internal(set) var drainOrigin: DrainOrigin?

        /// For example `child 1240 (slot 1) exited: signal 9 (KILL) after 12.4 s`.
        public var description: String {
            if case .notSpawned(let error) = reason.payload { return "slot \(slot) could not be started: \(error)" }
            return "child \(pid) (slot \(slot)) exited: \(cause) after \(lifetime.inSeconds)\(circumstances)"
        }

        /// The stage that the child had reached, and why it drained. Empty if it had been ready for a second or more.
        private var circumstances: String {
            let stage =
                switch readyTime {
                case _ where !wasReady: ", never ready"
                case let time? where time < .seconds(1): ", ready for \(time.inSeconds)"
                default: ""
                }
            switch drainOrigin?.payload {
            case nil, .program, .closedChannel: return stage
            case .signal: return "\(stage), drained after \(drainOrigin?.description ?? "")"
            case .master: return wasReady ? ", asked to exit" : ", asked to exit before it was ready"
            }
        }

        var cause: String {
            isProbablyOutOfMemory ? "\(reason), probably by the kernel's out-of-memory killer," : "\(reason)"
        }
    }
}

extension Prefork.ChildExit {
    /// How a child ended, or why it could not be started.
    ///
    /// Read ``code`` first, then the details that it names. ``Event`` says why a new code breaks no program.
    public struct Reason: Sendable, Hashable, CustomStringConvertible {
        package enum Payload: Sendable, Hashable {
            case status(Int32)
            case signal(Int32, coreDumped: Bool)
            case unknown
            case notSpawned(Prefork.SystemError)
        }

        package let payload: Payload

        /// How a child ended, without details.
        public struct Code: Sendable, Hashable, CustomStringConvertible {
            /// The name of the code, for example `status`.
            public let description: String

            private init(_ name: String) { description = name }

            /// The child exited by itself. Detail: ``Reason/status``.
            public static var status: Code { Code("status") }
            /// A signal killed the child. Details: ``Reason/signal``, ``Reason/isCoreDumped``.
            public static var signal: Code { Code("signal") }
            /// Other code in the master's process waited for the child first, so its status is lost.
            public static var unknown: Code { Code("unknown") }
            /// The child could not be started. Detail: ``Reason/systemError``.
            public static var notSpawned: Code { Code("notSpawned") }
        }

        /// How the child ended.
        public var code: Code {
            switch payload {
            case .status: .status
            case .signal: .signal
            case .unknown: .unknown
            case .notSpawned: .notSpawned
            }
        }

        /// The exit status.
        public var status: Int32? {
            if case .status(let status) = payload { status } else { nil }
        }

        /// The number of the signal that killed the child.
        public var signal: Int32? {
            if case .signal(let number, _) = payload { number } else { nil }
        }

        /// Whether the signal left a core dump.
        public var isCoreDumped: Bool {
            if case .signal(_, let isCoreDumped) = payload { isCoreDumped } else { false }
        }

        /// Why the child could not be started.
        public var systemError: Prefork.SystemError? {
            if case .notSpawned(let error) = payload { error } else { nil }
        }

        /// For example `signal 9 (KILL)`.
        public var description: String {
            switch payload {
            case .status(let status): "status \(status)"
            case .signal(let number, let core): "signal \(Signal(number: number))\(core ? ", core dumped" : "")"
            case .unknown: "status unknown (other code waited for it)"
            case .notSpawned(let error): "\(error)"
            }
        }

        package static func status(_ status: Int32) -> Reason { Reason(payload: .status(status)) }
        package static func signal(_ number: Int32, coreDumped: Bool) -> Reason {
            Reason(payload: .signal(number, coreDumped: coreDumped))
        }
        package static var unknown: Reason { Reason(payload: .unknown) }
        package static func notSpawned(_ error: Prefork.SystemError) -> Reason { Reason(payload: .notSpawned(error)) }
    }
}
