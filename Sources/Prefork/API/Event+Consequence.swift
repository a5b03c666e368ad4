extension Prefork.Event {
    /// The master's reaction to an exit or a failed start.
    ///
    /// Read ``code`` first, then the details that it names. ``Event`` says why a new code breaks no program.
    public struct Consequence: Sendable, Hashable, CustomStringConvertible {
        package enum Payload: Sendable, Hashable {
            case recovering(after: Duration)
            case expected
            case replaced
            case predecessorStays
            case givingUp
        }

        package let payload: Payload

        /// The kind of a reaction, without its details.
        public struct Code: Sendable, Hashable, CustomStringConvertible {
            /// The name of the code, for example `recovering`.
            public let description: String

            private init(_ name: String) { description = name }

            /// It starts a new child in the same slot. Detail: ``Consequence/delay``.
            public static var recovering: Code { Code("recovering") }
            /// Nothing, because the fleet or this child was stopping.
            public static var expected: Code { Code("expected") }
            /// Nothing, because it started a replacement when the child began to drain.
            public static var replaced: Code { Code("replaced") }
            /// Nothing, because the child that it was to replace serves on.
            public static var predecessorStays: Code { Code("predecessorStays") }
            /// It stops the fleet, and `run` throws the reason.
            public static var givingUp: Code { Code("givingUp") }
        }

        /// The kind of the reaction.
        public var code: Code {
            switch payload {
            case .recovering: .recovering
            case .expected: .expected
            case .replaced: .replaced
            case .predecessorStays: .predecessorStays
            case .givingUp: .givingUp
            }
        }

        /// The time until the new child is started.
        public var delay: Duration? {
            if case .recovering(let delay) = payload { delay } else { nil }
        }

        /// For example `recovering in 0.1 s`.
        public var description: String {
            switch payload {
            case .recovering(let delay): "recovering \(delay == .zero ? "at once" : "in \(delay.inSeconds)")"
            case .expected: "expected"
            case .replaced: "already replaced"
            case .predecessorStays: "the child that it was to replace serves on"
            case .givingUp: "giving up"
            }
        }

        package static func recovering(after delay: Duration) -> Consequence {
            Consequence(payload: .recovering(after: delay))
        }
        package static var expected: Consequence { Consequence(payload: .expected) }
        package static var replaced: Consequence { Consequence(payload: .replaced) }
        package static var predecessorStays: Consequence { Consequence(payload: .predecessorStays) }
        package static var givingUp: Consequence { Consequence(payload: .givingUp) }
    }
}
