extension Prefork.Configuration {
    /// When a child counts as ready.
    public struct Readiness: Sendable {
        /// What makes a child ready.
        public enum Mode: Sendable, Hashable {
            /// The start of its `serve` closure.
            case implicit
            /// A call of ``Prefork/Child/ready()``.
            case explicit
        }

        /// What makes a child ready. Default: ``Mode/implicit``.
        public var mode: Mode
        /// The time in which a child must be ready. Otherwise the master stops it, and that counts as an exit. Default:
        /// 60 s.
        public var timeout: Duration

        /// Readiness with defaults for everything that is not given.
        public init(mode: Mode = .implicit, timeout: Duration = .seconds(60)) {
            self.mode = mode
            self.timeout = timeout
        }
    }
}
