extension Prefork {
    /// The child that a ``Configuration/Program/spawn`` closure must start.
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

        /// The path of the program. PATH is not searched.
        ///
        /// By default it is `/proc/self/exe` on Linux, which is exactly the build that the master runs. In a wrapper,
        /// that path is the wrapper itself, so give it ``programPath``.
        public var executable: String {
            get { plan.executable.text }
            set { plan.executable = CString(newValue) }
        }

        /// The path of this program's file when the master was started (readlink(2) of /proc/self/exe). After a deploy
        /// it leads to the new file. It is ``executable`` if the system does not report the path.
        public var programPath: String { ProgramFile.startedPath ?? executable }

        /// All arguments, with the program's name first.
        public var arguments: [String] {
            get { plan.arguments.map(\.text) }
            set { plan.arguments = newValue.map { CString($0) } }
        }

        /// The environment, in entries `NAME=value`. The child needs the variables that begin with `PREFORK_`
        /// unchanged.
        public var environment: [String] {
            get { plan.environment.map(\.text) }
            set { plan.environment = newValue.map { CString($0) } }
        }

        /// Open, close-on-exec descriptors of the master. The i-th must be number 3 + i in the child.
        ///
        /// They are open during the call. Do not close them.
        public var descriptors: [Int32] { plan.descriptors }

        /// Starts the child, as Prefork does without a closure.
        ///
        /// It calls posix_spawn(3) with an empty signal mask, the dispositions that ``Configuration/Signals``
        /// describes, and no other descriptors. Call it from any thread.
        /// - Returns: The child's process id.
        /// - Throws: A ``SystemError``.
        public func start() throws(SystemError) -> Int32 {
            try ChildSpawner.spawn(plan, enumerating: closing == .enumeration)
        }
    }
}
