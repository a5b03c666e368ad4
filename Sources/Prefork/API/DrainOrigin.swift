extension Prefork {
    /// Why a child began to drain.
    ///
    /// Read ``code`` first, then the details that it names. ``Event`` says why a new code breaks no program.
    public struct DrainOrigin: Sendable, Hashable, CustomStringConvertible {
        package enum Payload: Sendable, Hashable {
            case signal(sender: Int32, user: UInt32)
            case program
            case closedChannel
            case master
        }

        package let payload: Payload

        /// Why a child drains, without details.
        public struct Code: Sendable, Hashable, CustomStringConvertible {
            /// The name of the code, for example `signal`.
            public let description: String

            private init(_ name: String) { description = name }

            /// Another process sent SIGTERM to the child. Details: ``DrainOrigin/sender``, ``DrainOrigin/user``.
            public static var signal: Code { Code("signal") }
            /// The program called ``Prefork/Child/drain()``.
            public static var program: Code { Code("program") }
            /// The child's channel to the master is closed, but the child has not exited.
            public static var closedChannel: Code { Code("closedChannel") }
            /// The master asked the child to exit.
            public static var master: Code { Code("master") }
        }

        /// Why the child drains.
        public var code: Code {
            switch payload {
            case .signal: .signal
            case .program: .program
            case .closedChannel: .closedChannel
            case .master: .master
            }
        }

        /// The process that sent the signal (`si_pid` of sigaction(2)).
        public var sender: Int32? {
            if case .signal(let sender, _) = payload { sender } else { nil }
        }

        /// The user of that process (`si_uid` of sigaction(2)).
        public var user: UInt32? {
            if case .signal(_, let user) = payload { user } else { nil }
        }

        /// For example `SIGTERM from process 4711 (user 0)`.
        public var description: String {
            switch payload {
            case .signal(let sender, let user): "SIGTERM" + SignalSender(pid: sender, user: user).origin
            case .program: "its program began to drain"
            case .closedChannel: "it closed its channel to the master"
            case .master: "its master asked it to exit"
            }
        }

        package static func signal(sender: Int32, user: UInt32) -> DrainOrigin {
            DrainOrigin(payload: .signal(sender: sender, user: user))
        }
        package static var program: DrainOrigin { DrainOrigin(payload: .program) }
        package static var closedChannel: DrainOrigin { DrainOrigin(payload: .closedChannel) }
        package static var master: DrainOrigin { DrainOrigin(payload: .master) }
    }
}
