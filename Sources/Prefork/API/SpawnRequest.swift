extension Prefork {
    /// What a ``Configuration/spawn`` closure is asked to start.
    public struct SpawnRequest: Sendable {
        private var plan: SpawnPlan
        private let closing: Mechanisms.DescriptorClosing
        /// The child's slot.
        public let slot: Int

        init(plan: SpawnPlan, closing: Mechanisms.DescriptorClosing, slot: Int) {
            self.plan = plan
            self.closing = closing
            self.slot = slot
        }

        /// A path; PATH is not searched. By default `/proc/self/exe` on Linux, the very build that the master runs: in a wrapper
        /// that would be the wrapper, so pass it ``programPath``.
        public var executable: String {
            get { plan.executable.text }
            set { plan.executable = CString(newValue) }
        }

        /// Where this program's file was when it was started (readlink(2) of /proc/self/exe); ``executable`` where the system
        /// does not say.
        public var programPath: String { ProgramFile.resolvedPath() ?? executable }

        /// The whole argv, from the program's name on.
        public var arguments: [String] {
            get { plan.arguments.map(\.text) }
            set { plan.arguments = newValue.map { CString($0) } }
        }

        /// Entries `NAME=value`. The child must find the variables that begin with `PREFORK_` unchanged.
        public var environment: [String] {
            get { plan.environment.map(\.text) }
            set { plan.environment = newValue.map { CString($0) } }
        }

        /// Open, close-on-exec descriptors of this process: the i-th must be 3 + i in the child. They are the master's: open
        /// during the call, and not to be closed.
        public var descriptors: [Int32] { plan.descriptors }

        /// Starts what this request describes, as Prefork does by itself: posix_spawn(3) with an empty signal mask, default
        /// dispositions and no other descriptors. From any thread.
        /// - Returns: the child's process id.
        /// - Throws: a ``SystemError``.
        public func start() throws(SystemError) -> Int32 {
            try ChildSpawner.spawn(plan, closing: closing)
        }
    }
}
