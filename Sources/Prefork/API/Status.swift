extension Prefork {
    /// The state of a fleet at one moment.
    public struct Status: Sendable, Hashable, CustomStringConvertible {
        /// The master's process id.
        public let masterPID: Int32
        /// The addresses that the master listens on, with resolved ports.
        public let addresses: [Address]
        /// Whether a stop has begun.
        public let isStopping: Bool
        /// All slots in order. Empty before the first child starts and after the fleet has ended.
        public let slots: [Slot]
        /// The listeners, in the order of ``addresses``. Empty before they are bound, and after a stop has closed them.
        public let listeners: [Listener]
        /// The build of the program that serves, 1 until the first restart has succeeded.
        public internal(set) var generation = 1
        /// Whether a restart or a rollback is under way.
        public internal(set) var isRestarting = false
        /// Unexpected exits since the fleet started, by reason.
        public internal(set) var counters = Counters()

        /// One slot.
        public struct Slot: Sendable, Hashable {
            /// The slot's number, 0..<children.
            public let slot: Int
            /// The state of the slot.
            public let state: State
            /// How long the child has been starting, ready or stopping. Zero in other states.
            public let since: Duration
            /// How many children were started in the slot so far.
            public let spawns: Int
            /// The build of the program that the slot's child runs. `nil` if it has none.
            public internal(set) var generation: Int?
            /// The process id of the child that is started beside the slot's child, to take its place. `nil` for none.
            public internal(set) var replacement: Int32?
            /// The last exit in the slot.
            public let lastExit: ChildExit?
            /// Whether the slot's own listeners get new connections.
            public let isInRotation: Bool
            /// How many connections wait in the slot's own listeners. `nil` if the slot has none, as in
            /// ``ListenerMode/shared``.
            public let waiting: Int?
        }

        /// The listener of one address.
        public struct Listener: Sendable, Hashable {
            /// The address that it listens on, with its resolved port.
            public let address: Address
            /// How the children accept on it.
            public let mode: ListenerMode
            /// The owner of its socket. An adopted listener is always shared.
            public let ownership: ListenerOwnership
            /// The queue of each slot if the listener is sharded, otherwise one. `nil` if the system does not tell,
            /// which is the case for Unix-domain sockets and on Darwin.
            public let queues: [Queue?]
        }

        /// The connections of one socket that the kernel has completed and no child has accepted.
        public struct Queue: Sendable, Hashable, CustomStringConvertible {
            /// How many connections wait.
            public let waiting: Int
            /// How many can wait: the backlog, capped by the kernel.
            public let limit: Int

            /// For example `3 of 4096`.
            public var description: String { "\(waiting) of \(limit)" }
        }
    }
}

extension Prefork.Status {
    /// The state of a slot.
    ///
    /// Read ``code`` first, then the details that it names. ``Event`` says why a new code breaks no program.
    public struct State: Sendable, Hashable, CustomStringConvertible {
        package enum Payload: Sendable, Hashable {
            case empty
            case starting(pid: Int32)
            case ready(pid: Int32)
            case stopping(pid: Int32)
            case backingOff(Duration)
        }

        package let payload: Payload

        /// The kind of state, without its details.
        public struct Code: Sendable, Hashable, CustomStringConvertible {
            /// The name of the code, for example `backingOff`.
            public let description: String

            private init(_ name: String) { description = name }

            /// The slot has no child, and no start is planned.
            public static var empty: Code { Code("empty") }
            /// The child was started and is not ready yet. Detail: ``State/pid``.
            public static var starting: Code { Code("starting") }
            /// The child serves. Detail: ``State/pid``.
            public static var ready: Code { Code("ready") }
            /// The child was asked to exit. Detail: ``State/pid``.
            public static var stopping: Code { Code("stopping") }
            /// The slot has no child, and waits before the next start. Detail: ``State/delay``.
            public static var backingOff: Code { Code("backingOff") }
        }

        /// The kind of state.
        public var code: Code {
            switch payload {
            case .empty: .empty
            case .starting: .starting
            case .ready: .ready
            case .stopping: .stopping
            case .backingOff: .backingOff
            }
        }

        /// The process id of the child.
        public var pid: Int32? {
            switch payload {
            case .starting(let pid), .ready(let pid), .stopping(let pid): pid
            case .empty, .backingOff: nil
            }
        }

        /// The time until the next start.
        public var delay: Duration? {
            if case .backingOff(let delay) = payload { delay } else { nil }
        }

        /// For example `ready 1240` or `backing off 0.4 s`.
        public var description: String {
            switch payload {
            case .empty: "empty"
            case .starting(let pid): "starting \(pid)"
            case .ready(let pid): "ready \(pid)"
            case .stopping(let pid): "stopping \(pid)"
            case .backingOff(let delay): "backing off \(delay.inSeconds)"
            }
        }

        package static var empty: State { State(payload: .empty) }
        package static func starting(pid: Int32) -> State { State(payload: .starting(pid: pid)) }
        package static func ready(pid: Int32) -> State { State(payload: .ready(pid: pid)) }
        package static func stopping(pid: Int32) -> State { State(payload: .stopping(pid: pid)) }
        package static func backingOff(_ delay: Duration) -> State { State(payload: .backingOff(delay)) }
    }
}
