extension Prefork {
    /// The child that a ``Configuration/Program/spawn`` closure must start.
    public struct SpawnRequest: Sendable {
        private var plan: SpawnPlan
        private let closing: Mechanisms.DescriptorClosing
        /// The child's slot.
        public let slot: Int

        private let restartedPath: String?

        /// - Parameter programPath: the program of a generation that a restart has begun. `nil` for the first one.
        init(plan: SpawnPlan, closing: Mechanisms.DescriptorClosing, slot: Int, programPath: String? = nil) {
            restartedPath = programPath
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

        /// A path of this program that a wrapper can execute.
        ///
        /// Until the first restart it is the path of its file when the master was started (readlink(2) of
        /// /proc/self/exe). After a deploy it leads to the new file. For children of a restart it is the build that the
        /// restart has opened. It is ``executable`` if the system does not report the path.
        public var programPath: String { restartedPath ?? ProgramFile.startedPath ?? executable }

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
