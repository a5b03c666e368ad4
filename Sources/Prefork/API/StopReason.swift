extension Prefork {
    /// Why a fleet stops.
    ///
    /// Read ``code`` first, then the details that it names. ``Event`` says why a new code breaks no program.
    public struct StopReason: Sendable, Hashable, CustomStringConvertible {
        package enum Payload: Sendable, Hashable {
            case signal(Int32)
            case request
            case failure(String)
        }

        package let payload: Payload

        /// What stops the fleet, without details.
        public struct Code: Sendable, Hashable, CustomStringConvertible {
            /// The name of the code, for example `signal`.
            public let description: String

            private init(_ name: String) { description = name }

            /// The master received SIGTERM or SIGINT. Detail: ``StopReason/signal``.
            public static var signal: Code { Code("signal") }
            /// The program called ``Prefork/Prefork/stop()``, or cancelled the task that awaits `run`.
            public static var request: Code { Code("request") }
            /// The fleet failed, and `run` throws the error at the end. Detail: ``StopReason/message``.
            public static var failure: Code { Code("failure") }
        }

        /// What stops the fleet.
        public var code: Code {
            switch payload {
            case .signal: .signal
            case .request: .request
            case .failure: .failure
            }
        }

        /// The number of the signal.
        public var signal: Int32? {
            if case .signal(let number) = payload { number } else { nil }
        }

        /// The text of the error.
        public var message: String? {
            if case .failure(let text) = payload { text } else { nil }
        }

        /// For example `signal 15 (TERM)`.
        public var description: String {
            switch payload {
            case .signal(let number): "signal \(Signal(number: number))"
            case .request: "requested by the program"
            case .failure(let text): text
            }
        }

        package static func signal(_ number: Int32) -> StopReason { StopReason(payload: .signal(number)) }
        package static var request: StopReason { StopReason(payload: .request) }
        package static func failure(_ text: String) -> StopReason { StopReason(payload: .failure(text)) }
    }
}
