extension Prefork {
    /// Every knob of a fleet. The master and its children build the same value, because they run the same program.
    ///
    /// Checked by `run` before anything is bound: ``PreforkError/invalidConfiguration(_:reason:)`` names the property.
    public struct Configuration: Sendable {
        /// How many exits a fleet survives.
        public enum RecoverThreshold: Sendable, Hashable {
            /// That many for each child.
            case perChild(Int)
            /// That many in all (fasthttp's RecoverThreshold).
            case exits(Int)
            /// The first unexpected exit ends the fleet with its reason (Fiber's DisableChildRecovery).
            case never
            /// A fleet never gives up; the delays of ``Configuration/recoverInterval`` bound what it costs.
            case unlimited
        }

        /// The delays before a child is replaced, for each slot on its own.
        public struct RecoverInterval: Sendable, Hashable {
            /// Before the first try.
            public var first: Duration
            /// Before the second; doubled for each one after it.
            public var next: Duration
            /// No delay is longer.
            public var maximum: Duration

            /// Doubling delays, as in einhorn: by default none, 100 ms, 200 ms … 30 s.
            public init(
                first: Duration = .zero,
                next: Duration = .milliseconds(100),
                maximum: Duration = .seconds(30)
            ) {
                self.first = first
                self.next = next
                self.maximum = maximum
            }

            /// The same delay before each try (fasthttp's RecoverInterval).
            public static func constant(_ delay: Duration) -> RecoverInterval {
                RecoverInterval(first: delay, next: delay, maximum: delay)
            }
        }

        /// Trying again to listen on an address that is in use.
        public struct BindRetry: Sendable, Hashable {
            /// How often after the first time. nil: as long as orphans of a killed master may hold the address while they
            /// drain, which is ``Configuration/shutdownGracePeriod`` and a second; at least 5 times.
            public var attempts: Int?
            /// Between two tries.
            public var interval: Duration

            /// By default every 500 ms for as long as orphans may take.
            public init(attempts: Int? = nil, interval: Duration = .milliseconds(500)) {
                self.attempts = attempts
                self.interval = interval
            }

            /// One try.
            public static let never = BindRetry(attempts: 0)
        }

        /// Which processors a child may use.
        public enum Affinity: Sendable, Hashable {
            /// All that the master may use.
            case none
            /// One for each slot, in turn, out of those that the master may use (sched_setaffinity(2), Linux). libdispatch and
            /// Swift's concurrency then have one thread for work in each child: what GOMAXPROCS=1 is to Go. Under a CPU quota of
            /// less than all processors it keeps children off processors that are idle. Where it cannot be had an event says so.
            case onePerChild
        }

        /// How the children share an address.
        public enum Listening: Sendable, Hashable {
            /// Sharded where the kernel spreads connections over several sockets (Linux), else shared, and an event says why.
            case automatic
            /// One socket for each TCP address that all children accept on: a connection goes to whoever is free.
            case shared
            /// One socket for each slot and TCP address (SO_REUSEPORT), kept by the master: the kernel spreads connections
            /// evenly, no child wakes for another's, and a slot without a ready child gets none. Where that cannot be had
            /// `run` throws ``PreforkError/invalidConfiguration(_:reason:)``. Unix-domain and adopted sockets are shared.
            case sharded
        }

        /// When to report connections that wait.
        public struct QueueAlarm: Sendable, Hashable {
            /// Of the backlog, 0 < share <= 1.
            public var share: Double
            /// Between two looks. Each wakes the master.
            public var interval: Duration

            /// By default half of the backlog, every second.
            public init(share: Double = 0.5, interval: Duration = .seconds(1)) {
                self.share = share
                self.interval = interval
            }
        }

        /// When a child counts as ready.
        public enum Readiness: Sendable, Hashable {
            /// When its `serve` closure is about to be called.
            case implicit
            /// When it has called ``Child/ready()``.
            case explicit
        }

        /// Who handles signals.
        public enum SignalPolicy: Sendable, Hashable {
            /// Prefork: TERM, INT and USR1 in the master; TERM and INT in a child. What was installed before is put back
            /// when `run` returns.
            case handled
            /// The program. In the master it calls ``Prefork/Prefork/stop()``; in a child the master's death is delivered as SIGTERM.
            case unhandled
        }

        /// What a drain does to the task of an async `serve` closure.
        public enum DrainPolicy: Sendable, Hashable {
            /// Nothing, until shortly before the grace period ends; then it is cancelled. Cancelling reaches every handler
            /// in flight, and a drain is to let those finish.
            case waitForServe
            /// Cancels it at once.
            case cancel
        }

        /// What a child does when its master has died.
        public enum MasterDeathPolicy: Sendable {
            /// Closes the listeners that nobody has taken, drains as on SIGTERM, leaves after the grace period at the latest.
            case drain
            /// _exit(2) with this status, at once: nothing is flushed, no handler of atexit(3) runs.
            case exit(Int32)
            /// Calls this in a thread of Prefork's (fasthttp's OnMasterDeath), nothing else.
            case call(@Sendable () -> Void)
            /// Goes on serving. Until somebody stops this child, a new master cannot listen on the address.
            case ignore
        }

        /// How many children; nil: WEB_CONCURRENCY, else one for each processor that affinity and cgroup quota allow.
        /// 1...4096.
        public var children: Int?
        /// The most connections that wait for accept(2), for each listener. The kernel may cap it (net.core.somaxconn).
        /// Default 4096.
        public var backlog = 4096
        /// How the children share an address.
        public var listening = Listening.automatic
        /// TCP_DEFER_ACCEPT (tcp(7), Linux): a connection is handed to a child when its first data have come, or after this
        /// long; rounded up to seconds. A stop resets one whose data have not come: the kernel has not queued it, though its
        /// client takes it for connected. nil: off.
        public var deferAccept: Duration?
        /// TCP_FASTOPEN (tcp(7), RFC 7413, Linux): how many connections that brought data with their SYN may wait. Such data may
        /// come twice. net.ipv4.tcp_fastopen must allow it to servers. nil: off.
        public var fastOpen: Int?
        /// Report connections that wait to be accepted; nil: nobody looks, and an idle master sleeps.
        public var queueAlarm: QueueAlarm?
        /// Addresses that are in use are tried again.
        public var bindRetry = BindRetry()
        /// A certificate and key for the children, checked by the master before it binds.
        public var tlsIdentity: TLSIdentity?

        /// The program of the children; nil: this one. A path; PATH is not searched. To be given where this one was started by
        /// way of the dynamic loader (`ld.so PROGRAM`), which is what the kernel would execute again.
        public var executable: String?
        /// The arguments of the children after the program's name; nil: the master's own.
        public var arguments: [String]?
        /// Variables for the children beside the master's, which they replace where the names are the same.
        public var environment: [String: String] = [:]
        /// The processors of the children. Default: all that the master may use, because ``Affinity/onePerChild``, though it was
        /// measured to be up to 15 % faster, fits only a machine that serves one fleet: several would take the same first
        /// processors.
        public var affinity = Affinity.none
        /// Starts a child in place of the default; nil: ``SpawnRequest/start()``. What it runs must become the child by
        /// exec, not start it (fasthttp's CommandProducer). Called in the master's thread; it must not block. A ``SystemError`` that it throws is a failed start, which is
        /// tried again; any other error stops the fleet.
        public var spawn: (@Sendable (SpawnRequest) throws -> Int32)?

        /// How many exits within ``recoverWindow`` are survived. Default: 5 for each child.
        public var recoverThreshold = RecoverThreshold.perChild(5)
        /// Exits that are older do not count; nil: all count. Default 60 s.
        public var recoverWindow: Duration? = .seconds(60)
        /// Delays before a replacement is started.
        public var recoverInterval = RecoverInterval()
        /// How often one slot is recovered in the fleet's whole life; nil: as often as the threshold allows
        /// (Fiber's MaxChildRecoveries).
        public var recoverLimitPerSlot: Int?
        /// A child that was ready for that long sets its slot's delays back to the first. Default 10 s.
        public var healthyAfter: Duration = .seconds(10)
        /// A child that leaves with one of these statuses ends the fleet: another try would end the same way. It is an exit like
        /// others while another child has been ready for ``healthyAfter``: a replacement that meets half of a renewed
        /// certificate must not end those that serve. Default 78, EX_CONFIG of sysexits.h.
        public var fatalExitStatuses: [Int32] = [78]

        /// When a child is ready. Default: when `serve` is about to be called.
        public var readiness = Readiness.implicit
        /// A child that is not ready after that long is stopped and counts as an exit. Default 60 s.
        public var readinessTimeout: Duration = .seconds(60)
        /// From the request to leave to SIGKILL. Default 5 s.
        public var shutdownGracePeriod: Duration = .seconds(5)
        /// Before the children are asked to leave, nobody is let in any more, and they accept for at most that long what has
        /// come in; then the grace period begins. zero: they are asked at once, and a connection that nobody has accepted by then
        /// is reset. Default 1 s; it takes some 10 ms unless the children are behind, and at most half a second for handshakes
        /// that are under way.
        public var queueDrainPeriod: Duration = .seconds(1)

        /// What a drain does to an async `serve`.
        public var onDrain = DrainPolicy.waitForServe

        /// Signals to the master. Default: handled.
        public var signals = SignalPolicy.handled
        /// Signals to the children. Default: handled.
        public var childSignals = SignalPolicy.handled

        /// What a child does when its master has died. Default: drains and leaves.
        public var onMasterDeath = MasterDeathPolicy.drain
        /// How often a child asks for its parent where the system has no better way. Default 500 ms.
        public var parentPollInterval: Duration = .milliseconds(500)

        /// A master that is process 1 reaps orphans that have been zombies for that long. What other code in this process has
        /// started keeps its status however late it is waited for, unless the process's first thread has started it, or a
        /// thread that has ended: that looks the same, and is to be waited for sooner. (Foundation's Process may be late: it
        /// waits until a helper that the process has left behind has closed what it had inherited.) Default 2 s; nil: never.
        public var orphanReapDelay: Duration? = .seconds(2)

        /// After each start of a child, first or replacement, in the master's thread (fasthttp's OnChildSpawn). It must not
        /// block: nobody is supervised meanwhile. An error
        /// stops the fleet and is what `run` throws. A trap in a hook ends the master: Swift cannot recover from it.
        public var onChildSpawn: (@Sendable (_ pid: Int32) throws -> Void)?
        /// Once, after the first start of all children and before any is replaced (fasthttp's OnMasterReady), with the pids
        /// in the order of the slots; a slot whose start failed is not among them. Errors as for ``onChildSpawn``.
        public var onMasterReady: (@Sendable (_ pids: [Int32]) throws -> Void)?
        /// After ``onChildSpawn`` of a replacement (fasthttp's OnChildRecover). Errors as for ``onChildSpawn``.
        public var onChildRecover: (@Sendable (_ old: Int32, _ new: Int32) throws -> Void)?
        /// Gets every event, in the master's thread; it must not block. nil: ``Prefork/Prefork/logToStandardError(_:)``.
        public var observe: (@Sendable (Event) -> Void)?

        /// For tests: mechanisms to use in place of the best ones.
        package var mechanisms: Mechanisms?
        /// For tests: why listeners cannot be sharded here; "" where they can; nil: find out.
        package var shardingFault: String?
        /// For tests: a child that does not look at the child channel's hang-up has only the other sign.
        package var watchesChannel = true

        /// All defaults but these.
        public init(children: Int? = nil, observe: (@Sendable (Event) -> Void)? = nil) {
            self.children = children
            self.observe = observe
        }
    }
}
