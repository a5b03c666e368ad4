extension Prefork.Configuration {
    /// How the master listens.
    public struct Sockets: Sendable {
        /// The mode of the TCP listeners. Unix-domain and adopted sockets are always shared.
        public enum Mode: Sendable, Hashable {
            /// Sharded if the system supports it, otherwise shared.
            ///
            /// At startup, the master probes a loopback socket. If sharding is unavailable it falls back to `shared`
            /// and reports why in a ``Prefork/Event/Code/sharing`` event.
            case automatic
            /// One socket for each address, which all children accept on. The first child that is free takes a
            /// connection.
            case shared
            /// One socket for each slot and address (SO_REUSEPORT).
            ///
            /// The kernel spreads connections evenly, no child wakes up for another child's connection, and a slot
            /// without a ready child gets none. If the system does not support it, `run` throws
            /// ``PreforkError/Code/invalidConfiguration``.
            case sharded
        }

        /// When the master tries again to listen on an address that is in use or not there yet.
        public struct BindRetry: Sendable, Hashable {
            /// The number of further attempts.
            ///
            /// Default: `nil`, which is enough for ``Shutdown/gracePeriod`` and one second more, and at least 5. For
            /// that time the abandoned children of a killed master can hold the address while they drain.
            public var attempts: Int?
            /// The time between two attempts. Default: 500 ms.
            public var interval: Duration

            /// Further attempts, which by default last as long as abandoned children can drain.
            public init(attempts: Int? = nil, interval: Duration = .milliseconds(500)) {
                self.attempts = attempts
                self.interval = interval
            }

            /// A single attempt.
            public static let never = BindRetry(attempts: 0)
        }

        /// When the master reports connections that wait.
        public struct QueueAlarm: Sendable, Hashable {
            /// The share of the backlog that must wait, 0 < share <= 1. Default: 0.5.
            public var share: Double
            /// The time between two checks, each of which wakes the master. Default: 1 s.
            public var interval: Duration

            /// An alarm, by default at half of the backlog.
            public init(share: Double = 0.5, interval: Duration = .seconds(1)) {
                self.share = share
                self.interval = interval
            }
        }

        /// The mode of the TCP listeners. Default: ``Mode/automatic``.
        public var mode: Mode
        /// The largest number of connections that wait for accept(2) in each socket. Default: 4096.
        ///
        /// The kernel can cap it, Linux at net.core.somaxconn.
        public var backlog: Int
        /// The longest time that a connection waits for its first data before a child gets it, in whole seconds,
        /// rounded up.
        ///
        /// That is TCP_DEFER_ACCEPT of tcp(7), on Linux only. A stop resets a connection whose data have not arrived,
        /// although its client considers it connected. Default: `nil`, which is off.
        public var deferAccept: Duration?
        /// The largest number of waiting connections that brought data with their SYN.
        ///
        /// That is TCP_FASTOPEN of tcp(7) and RFC 7413, on Linux only. net.ipv4.tcp_fastopen must enable it for
        /// servers. Such data can arrive twice. Default: `nil`, which is off.
        public var fastOpen: Int?
        /// When to report connections that wait, with ``Prefork/Event/Code/queueFilling``.
        ///
        /// Default: `nil`. Nothing is checked, and an idle master sleeps.
        public var queueAlarm: QueueAlarm?
        /// When to try again to listen on an address that is in use, or that is not there yet: an interface does not
        /// have it, or the resolver cannot answer for now.
        public var bindRetry: BindRetry

        /// Sockets with defaults for everything that is not given.
        public init(
            mode: Mode = .automatic,
            backlog: Int = 4096,
            deferAccept: Duration? = nil,
            fastOpen: Int? = nil,
            queueAlarm: QueueAlarm? = nil,
            bindRetry: BindRetry = BindRetry()
        ) {
            self.mode = mode
            self.backlog = backlog
            self.deferAccept = deferAccept
            self.fastOpen = fastOpen
            self.queueAlarm = queueAlarm
            self.bindRetry = bindRetry
        }
    }
}
