extension Prefork.Configuration {
    /// How the master finds children that live but do not respond. Off by default.
    ///
    /// Such a child gets no new connections. SIGABRT makes Swift print the stacks of its threads, SIGKILL follows after
    /// ``abortGrace``, and a new child takes its slot at once.
    public struct Health: Sendable, Hashable {
        /// How long a ready child may stay silent. Default: `nil`, for ever.
        ///
        /// The child sends beats four times in this duration. With an async `serve`, or a takeover, each beat has
        /// passed through Swift's cooperative pool, so a pool whose threads are all blocked is found. A program asks
        /// its own event loops and queues by ``Prefork/Child/watch(_:)``. Without either, a beat says only that the
        /// process runs.
        public var heartbeatTimeout: Duration?
        /// How long connections may wait in the queue of a child that does nothing. Default: `nil`, for ever.
        ///
        /// It needs sharded listeners and Linux. The queue must not be empty and not have shrunk, and the child must
        /// not have used the processor, at any look in this time. A child that is busy is never meant.
        public var queueStallTimeout: Duration?
        /// The time between SIGABRT and SIGKILL. A backtrace of a large program can take a minute. Default: 10 s.
        public var abortGrace: Duration

        /// Settings with defaults for everything that is not given.
        public init(
            heartbeatTimeout: Duration? = nil, queueStallTimeout: Duration? = nil, abortGrace: Duration = .seconds(10)
        ) {
            self.heartbeatTimeout = heartbeatTimeout
            self.queueStallTimeout = queueStallTimeout
            self.abortGrace = abortGrace
        }
    }
}
