extension Prefork {
    /// How a fleet runs.
    ///
    /// Every setting has a default. The settings are grouped by subject:
    ///
    /// ```swift
    /// var configuration = Prefork.Configuration(children: 4)
    /// configuration.shutdown.gracePeriod = .seconds(30)
    /// configuration.recovery = .init(threshold: .exits(20), window: nil)
    /// ```
    ///
    /// The master and its children build the same value, because they run the same program. `run` checks it before it
    /// binds anything, and throws ``PreforkError/Code/invalidConfiguration`` with the path of the property that is
    /// wrong.
    public struct Configuration: Sendable {
        // Values that callers only pass in, such as `Sockets.Mode` or `Recovery.Threshold`, are enumerations: a caller
        // names the cases that it wants and switches over none, so a new case breaks no caller. `Role` is one too,
        // because a process is a master, a child or neither, and a program must handle all of them.

        /// The number of children, 1...4096.
        ///
        /// Default: `nil`, which stands for the value of `WEB_CONCURRENCY`, as in Puma. If that is unset, empty or
        /// `auto`, it stands for one child for each processor that the affinity and the cgroup's CPU quota allow, as in
        /// Go.
        public var children: Int?
        /// How the master listens.
        public var sockets: Sockets
        /// The program that a child executes, and its surroundings.
        public var program: Program
        /// When a child counts as ready.
        public var readiness: Readiness
        /// When the master replaces a child, and when it gives up.
        public var recovery: Recovery
        /// How a restart replaces the children.
        public var restart: Restart
        /// When a child that serves is replaced.
        public var recycling: Recycling
        /// How the master finds children that do not respond.
        public var health: Health
        /// How the fleet stops.
        public var shutdown: Shutdown
        /// The behavior of a child when its master dies.
        public var masterDeath: MasterDeath
        /// The handling of signals.
        public var signals: Signals
        /// Closures of the program that the master calls.
        public var hooks: Hooks
        /// The certificate and key of the children, which the master checks before it binds. Default: `nil`.
        public var tlsIdentity: TLSIdentity?
        /// The path of a Unix-domain socket on which the master takes commands, see <doc:ControlSocket>. Default:
        /// `nil`, none.
        ///
        /// Only this user and root may use it. The file has the mode 0600, and the kernel tells the master who
        /// connects. A file at the path is left alone, and the start fails, unless it is a socket that no process
        /// listens on.
        public var controlSocket: String?
        /// The time after which a master that is process 1 reaps a zombie. Default: 2 s. `nil`: never.
        ///
        /// The kernel gives orphans to process 1. A process that other code has started on the main thread, or on a
        /// thread that has ended, looks like an orphan. Wait for it within this time, or its status is lost. A process
        /// that a live thread has started keeps its status. Foundation's `Process` can be late, because it first waits
        /// until no helper holds the descriptors that its process has inherited.
        public var orphanReapDelay: Duration?
        /// Receives every event on the master's thread. Must not block.
        ///
        /// Default: `nil`, which is ``Prefork/Prefork/logToStandardError(_:)``.
        public var observe: (@Sendable (Event) -> Void)?

        /// Whether children get listeners when their program calls bind(2). `nil` if they inherit them.
        package var takeover: Takeover?
        /// Settings for tests.
        package var testing = Testing()

        /// A configuration with defaults for everything that is not given.
        public init(
            children: Int? = nil,
            sockets: Sockets = Sockets(),
            program: Program = Program(),
            readiness: Readiness = Readiness(),
            recovery: Recovery = Recovery(),
            restart: Restart = Restart(),
            recycling: Recycling = Recycling(),
            health: Health = Health(),
            shutdown: Shutdown = Shutdown(),
            masterDeath: MasterDeath = MasterDeath(),
            signals: Signals = Signals(),
            hooks: Hooks = Hooks(),
            tlsIdentity: TLSIdentity? = nil,
            controlSocket: String? = nil,
            orphanReapDelay: Duration? = .seconds(2),
            observe: (@Sendable (Event) -> Void)? = nil
        ) {
            self.children = children
            self.sockets = sockets
            self.program = program
            self.readiness = readiness
            self.recovery = recovery
            self.restart = restart
            self.recycling = recycling
            self.health = health
            self.shutdown = shutdown
            self.masterDeath = masterDeath
            self.signals = signals
            self.hooks = hooks
            self.tlsIdentity = tlsIdentity
            self.controlSocket = controlSocket
            self.orphanReapDelay = orphanReapDelay
            self.observe = observe
        }

        /// The addresses that a takeover of bind(2) answers.
        package enum Takeover: Sendable {
            /// Those that the master binds before it starts a child.
            case given
            /// All stream sockets. The master binds an address when the first child asks for it.
            case requested
        }

        package struct Testing: Sendable {
            /// Mechanisms to use instead of the best ones of the system.
            package var mechanisms: Mechanisms?
            /// Why listeners cannot be sharded. An empty text means that they can. `nil` means that the master finds
            /// out.
            package var shardingFault: String?
            /// Whether a child notices that the child channel hangs up. If not, it has only the other sign of the
            /// master's death.
            package var watchesChannel = true
        }
    }
}
