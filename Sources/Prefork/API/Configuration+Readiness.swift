extension Prefork.Configuration {
    /// When a child counts as ready.
    public struct Readiness: Sendable {
        /// The events that can make a child ready.
        public enum Mode: Sendable, Hashable {
            /// The start of its `serve` closure.
            case implicit
            /// A call of ``Prefork/Child/ready()``.
            case explicit
        }

        /// The event that makes a child ready. Default: ``Mode/implicit``.
        public var mode: Mode
        /// The time in which a child must be ready. Otherwise the master stops it, and that counts as an exit. Default:
        /// 60 s.
        public var timeout: Duration

        /// How long a ready child must stay alive until it counts as up. `nil`: 1 s if ``mode`` is implicit, zero if it
        /// is explicit.
        ///
        /// A fleet that has had a child up no longer gives up (``Recovery/Threshold/automatic``).
        public var settleTime: Duration?

        /// Readiness with defaults for everything that is not given.
        public init(mode: Mode = .implicit, timeout: Duration = .seconds(60), settleTime: Duration? = nil) {
            self.mode = mode
            self.timeout = timeout
            self.settleTime = settleTime
        }
    }
}
