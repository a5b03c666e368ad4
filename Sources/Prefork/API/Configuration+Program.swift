extension Prefork.Configuration {
    /// The program that a child executes, and its surroundings.
    public struct Program: Sendable {
        /// Which processors a child may use.
        public enum Affinity: Sendable, Hashable {
            /// All that the master may use.
            case none
            /// One processor for each slot, in turn, out of those that the master may use (sched_setaffinity(2),
            /// Linux).
            ///
            /// Dispatch and Swift concurrency then run one worker thread in each child, like Go with GOMAXPROCS=1. If a
            /// CPU quota allows less than all processors, a child can wait for its processor while others are idle. If
            /// the system refuses, the master reports a ``Prefork/Event/Code/systemError``.
            case onePerChild
        }

        /// The path of the children's program. PATH is not searched. Default: `nil`, which is this program.
        ///
        /// Set it if the dynamic loader started this program (`ld.so PROGRAM`). The kernel would execute the loader
        /// again.
        public var executable: String?
        /// The arguments of the children after the program's name. Default: `nil`, which are the master's own.
        public var arguments: [String]?
        /// Environment variables for the children. Default: none.
        ///
        /// They are added to the master's, and replace those with the same names.
        public var environment: [String: String]
        /// Which processors a child may use. Default: ``Affinity/none``.
        ///
        /// ``Affinity/onePerChild`` was up to 15 % faster in measurements. It fits only a machine that serves one
        /// fleet, because several fleets would use the same first processors.
        public var affinity: Affinity
        /// Starts a child and returns its process id. Default: `nil`, which is ``Prefork/SpawnRequest/start()``.
        ///
        /// The process that it starts must become the child by exec. It must not start the child as a process of its
        /// own (fasthttp's CommandProducer). The master calls the closure on its own thread, so it must not block. A
        /// ``Prefork/SystemError`` that it throws is a failed start, which is tried again. Any other error stops a
        /// fleet that has never had a child up. Later, it is a failed start, too.
        public var spawn: (@Sendable (Prefork.SpawnRequest) throws -> Int32)?

        /// A program with defaults for everything that is not given.
        public init(
            executable: String? = nil,
            arguments: [String]? = nil,
            environment: [String: String] = [:],
            affinity: Affinity = .none,
            spawn: (@Sendable (Prefork.SpawnRequest) throws -> Int32)? = nil
        ) {
            self.executable = executable
            self.arguments = arguments
            self.environment = environment
            self.affinity = affinity
            self.spawn = spawn
        }
    }
}
