extension Prefork {
    /// Why a fleet stops.
    ///
    /// Read ``code`` first, then the details that it names. ``Event`` says why a new code breaks no program.
    public struct StopReason: Sendable, Hashable, CustomStringConvertible {
        package enum Payload: Sendable, Hashable {
            case signal(Int32, SignalSender?)
            case request
            case command(SignalSender?)
            case failure(String)
        }

        package let payload: Payload

        /// The kind of a reason, without its details.
        public struct Code: Sendable, Hashable, CustomStringConvertible {
            /// The name of the code, for example `signal`.
            public let description: String

            private init(_ name: String) { description = name }

            /// The master received SIGTERM or SIGINT. Details: ``StopReason/signal``, ``StopReason/sender``,
            /// ``StopReason/user``.
            public static var signal: Code { Code("signal") }
            /// The program called ``Prefork/Prefork/stop()``, or cancelled the task that awaits `run`.
            public static var request: Code { Code("request") }
            /// A client of the control socket asked for it. Details: ``StopReason/sender``, ``StopReason/user``.
            public static var command: Code { Code("command") }
            /// The fleet failed, and `run` throws the error at the end. Detail: ``StopReason/message``.
            public static var failure: Code { Code("failure") }
        }

        /// The kind of the reason.
        public var code: Code {
            switch payload {
            case .signal: .signal
            case .request: .request
            case .command: .command
            case .failure: .failure
            }
        }

        /// The number of the signal.
        public var signal: Int32? {
            if case .signal(let number, _) = payload { number } else { nil }
        }

        /// The process that sent the signal (`si_pid` of sigaction(2)) or the command. `nil` if the kernel did, for
        /// example because a person pressed Ctrl-C. 0 if the process is in another pid namespace, for example a
        /// container's runtime.
        public var sender: Int32? {
            origin?.pid
        }

        /// The user of that process (`si_uid` of sigaction(2)).
        public var user: UInt32? {
            origin?.user
        }

        private var origin: SignalSender? {
            switch payload {
            case .signal(_, let sender), .command(let sender): sender
            case .request, .failure: nil
            }
        }

        /// The text of the error.
        public var message: String? {
            if case .failure(let text) = payload { text } else { nil }
        }

        /// For example `signal 15 (TERM) from process 4711 (user 0)`.
        public var description: String {
            switch payload {
            case .signal(let number, let sender): "signal \(Signal(number: number))" + (sender.map(\.origin) ?? "")
            case .request: "requested by the program"
            case .command(let sender): "requested on the control socket" + (sender.map(\.origin) ?? "")
            case .failure(let text): text
            }
        }

        static func signal(_ number: Int32, from sender: SignalSender? = nil) -> StopReason {
            StopReason(payload: .signal(number, sender))
        }
        package static var request: StopReason { StopReason(payload: .request) }
        static func command(from sender: SignalSender?) -> StopReason { StopReason(payload: .command(sender)) }
        package static func failure(_ text: String) -> StopReason { StopReason(payload: .failure(text)) }
    }
}
