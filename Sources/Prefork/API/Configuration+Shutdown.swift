extension Prefork.Configuration {
    /// How the fleet stops.
    ///
    /// First new connections are held off, and the children accept what is queued. Then they drain. A child that is
    /// still running after the grace period gets SIGKILL.
    public struct Shutdown: Sendable {
        /// The effect of a drain on the task of an async `serve` closure.
        public enum DrainPolicy: Sendable, Hashable {
            /// Cancels it shortly before the grace period ends.
            ///
            /// A cancellation reaches every request handler in flight, and a drain must let them finish.
            case waitForServe
            /// Cancels it at once.
            case cancel
        }

        /// The time from SIGTERM to SIGKILL, for each child. Default: 5 s.
        public var gracePeriod: Duration
        /// The time in which the children accept what is queued, before they drain. Default: 1 s.
        ///
        /// New connections are held off meanwhile: their SYNs are dropped, so clients retry. It takes about 10 ms
        /// unless the children are behind, and at most half a second for handshakes in progress. Zero skips it. The
        /// children drain at once, and connections that no child has accepted by then are reset.
        public var queueDrainPeriod: Duration
        /// The effect of a drain on the task of an async `serve` closure. Default: ``DrainPolicy/waitForServe``.
        public var drainPolicy: DrainPolicy

        /// A shutdown with defaults for everything that is not given.
        public init(
            gracePeriod: Duration = .seconds(5),
            queueDrainPeriod: Duration = .seconds(1),
            drainPolicy: DrainPolicy = .waitForServe
        ) {
            self.gracePeriod = gracePeriod
            self.queueDrainPeriod = queueDrainPeriod
            self.drainPolicy = drainPolicy
        }
    }
}
