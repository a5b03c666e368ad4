extension Prefork.Configuration {
    /// When the master replaces a child, and when it gives up.
    ///
    /// Only unexpected exits and failed starts count. Exits while the fleet stops do not.
    public struct Recovery: Sendable {
        /// When a fleet gives up.
        public enum Threshold: Sendable, Hashable {
            /// Only while none of its children has ever been up.
            ///
            /// The fleet gives up after more than 5 failed starts for each child, but not before 15 seconds have
            /// passed. Once a child has been up, the fleet keeps trying.
            case automatic
            /// After more unexpected exits than this, even if other children serve (fasthttp's RecoverThreshold).
            case exits(Int)
            /// At the first unexpected exit, which `run` throws (Fiber's DisableChildRecovery).
            case never
            /// Never.
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

            /// Doubling delays, as in einhorn.
            ///
            /// By default, the delays are zero, 100 ms, 200 ms and so on, up to 25 s. A fleet whose database returns is
            /// then back within 30 s.
            public init(
                first: Duration = .zero,
                next: Duration = .milliseconds(100),
                maximum: Duration = .seconds(25)
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

        /// When the fleet gives up. Default: ``Threshold/automatic``.
        public var threshold: Threshold
        /// The time for which ``Threshold/exits(_:)`` counts an exit. `nil`: for the whole life of the fleet. Default:
        /// 60 s.
        public var window: Duration?
        /// The delays before a failed start is tried again. The first one also precedes every other replacement.
        ///
        /// If the fleet never gives up, a zero ``Delays/next`` stands for 100 ms.
        public var delays: Delays
        /// How often one slot may be recovered in the life of the fleet (Fiber's MaxChildRecoveries).
        ///
        /// Default: `nil`, which is as often as ``threshold`` allows.
        public var limitPerSlot: Int?
        /// The statuses that end the fleet, because another attempt would end the same way. Default: 78, EX_CONFIG of
        /// sysexits.h.
        ///
        /// While another child is up, they count as failed starts. A replacement that finds half of a renewed
        /// certificate must not end the children that serve.
        public var fatalExitStatuses: [Int32]

        /// Recovery with defaults for everything that is not given.
        public init(
            threshold: Threshold = .automatic,
            window: Duration? = .seconds(60),
            delays: Delays = Delays(),
            limitPerSlot: Int? = nil,
            fatalExitStatuses: [Int32] = [78]
        ) {
            self.threshold = threshold
            self.window = window
            self.delays = delays
            self.limitPerSlot = limitPerSlot
            self.fatalExitStatuses = fatalExitStatuses
        }
    }
}
