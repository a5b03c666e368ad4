extension Prefork.Configuration {
    /// When the master replaces a child, and when it gives up.
    ///
    /// Only unexpected exits and failed starts count. Exits while the fleet stops do not.
    public struct Recovery: Sendable {
        /// How many exits a fleet survives.
        public enum Threshold: Sendable, Hashable {
            /// This many times the number of children.
            case perChild(Int)
            /// This many in total (fasthttp's RecoverThreshold).
            case exits(Int)
            /// None: the first unexpected exit ends the fleet, and `run` throws it (Fiber's DisableChildRecovery).
            case never
            /// All. Only ``Recovery/delays`` limit what a crash loop costs.
            case unlimited
        }

        /// The delays before a child is replaced, for each slot on its own.
        public struct Delays: Sendable, Hashable {
            /// The delay before the first attempt.
            public var first: Duration
            /// The delay before the second attempt. It doubles for each attempt after that.
            public var next: Duration
            /// The longest delay.
            public var maximum: Duration

            /// Doubling delays, by default none, 100 ms, 200 ms … 30 s, as in einhorn.
            public init(
                first: Duration = .zero,
                next: Duration = .milliseconds(100),
                maximum: Duration = .seconds(30)
            ) {
                self.first = first
                self.next = next
                self.maximum = maximum
            }

            /// The same delay before each attempt (fasthttp's RecoverInterval).
            public static func constant(_ delay: Duration) -> Delays {
                Delays(first: delay, next: delay, maximum: delay)
            }
        }

        /// How many exits within ``window`` a fleet survives. Default: 5 for each child.
        public var threshold: Threshold
        /// The time for which an exit counts. `nil`: all exits count. Default: 60 s.
        public var window: Duration?
        /// The delays before a child is replaced.
        public var delays: Delays
        /// How often one slot may be recovered in the life of the fleet (Fiber's MaxChildRecoveries).
        ///
        /// Default: `nil`, which is as often as ``threshold`` allows.
        public var limitPerSlot: Int?
        /// How long a child must be ready before the delays of its slot start over. Default: 10 s.
        public var healthyAfter: Duration
        /// The statuses that end the fleet, because another attempt would end the same way. Default: 78, EX_CONFIG of
        /// sysexits.h.
        ///
        /// While another child has been ready for ``healthyAfter``, they count like any other exit. A replacement that
        /// finds half of a renewed certificate must not end the children that serve.
        public var fatalExitStatuses: [Int32]

        /// Recovery with defaults for everything that is not given.
        public init(
            threshold: Threshold = .perChild(5),
            window: Duration? = .seconds(60),
            delays: Delays = Delays(),
            limitPerSlot: Int? = nil,
            healthyAfter: Duration = .seconds(10),
            fatalExitStatuses: [Int32] = [78]
        ) {
            self.threshold = threshold
            self.window = window
            self.delays = delays
            self.limitPerSlot = limitPerSlot
            self.healthyAfter = healthyAfter
            self.fatalExitStatuses = fatalExitStatuses
        }
    }
}
