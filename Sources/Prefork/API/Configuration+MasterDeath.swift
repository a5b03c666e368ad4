extension Prefork.Configuration {
    /// The behavior of a child when its master dies.
    public struct MasterDeath: Sendable {
        /// An action that a child takes when its master dies.
        public enum Policy: Sendable {
            /// Closes the listeners that were not taken, drains as on SIGTERM, and exits within the grace period.
            case drain
            /// Exits at once with this status (_exit(2)). Nothing is flushed, and no handler of atexit(3) runs.
            case exit(Int32)
            /// Calls the closure on one of Prefork's threads, and does nothing else (fasthttp's OnMasterDeath).
            case call(@Sendable () -> Void)
            /// Continues to serve. A new master cannot listen on the address before this child stops.
            case ignore
        }

        /// The action that a child takes when its master dies. Default: ``Policy/drain``.
        public var policy: Policy
        /// The time between two checks of the parent process. Default: 500 ms.
        ///
        /// Used only if the system has neither pidfds nor kqueue.
        public var pollInterval: Duration

        /// Settings with defaults for everything that is not given.
        public init(policy: Policy = .drain, pollInterval: Duration = .milliseconds(500)) {
            self.policy = policy
            self.pollInterval = pollInterval
        }
    }
}
