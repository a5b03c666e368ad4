extension Prefork.Configuration {
    /// Closures of the program that the master calls, with fasthttp's names.
    ///
    /// The master calls them on its own thread and supervises no child meanwhile, so they must not block. An error
    /// stops the fleet, and `run` throws it. A trap in a hook ends the master, because Swift cannot recover from it.
    public struct Hooks: Sendable {
        /// Called after each start of a child, first or replacement. Default: `nil`.
        public var onChildSpawn: (@Sendable (_ pid: Int32) throws -> Void)?
        /// Called once, after the first start of all children and before any is replaced. Default: `nil`.
        ///
        /// The process ids are in the order of the slots, without the slots whose start failed.
        public var onMasterReady: (@Sendable (_ pids: [Int32]) throws -> Void)?
        /// Called after ``onChildSpawn`` of a replacement. Default: `nil`.
        public var onChildRecover: (@Sendable (_ old: Int32, _ new: Int32) throws -> Void)?

        /// Called once, when every slot has had a child up, unless a stop begins first. Default: `nil`. fasthttp has no
        /// such hook.
        ///
        /// A child is *up* when it has been ready for ``Readiness/settleTime``. The process ids are in the order of the
        /// slots, without the slots that have no child at that moment.
        public var onFleetReady: (@Sendable (_ pids: [Int32]) throws -> Void)?

        /// Hooks, by default none.
        public init(
            onChildSpawn: (@Sendable (_ pid: Int32) throws -> Void)? = nil,
            onMasterReady: (@Sendable (_ pids: [Int32]) throws -> Void)? = nil,
            onChildRecover: (@Sendable (_ old: Int32, _ new: Int32) throws -> Void)? = nil,
            onFleetReady: (@Sendable (_ pids: [Int32]) throws -> Void)? = nil
        ) {
            self.onChildSpawn = onChildSpawn
            self.onMasterReady = onMasterReady
            self.onChildRecover = onChildRecover
            self.onFleetReady = onFleetReady
        }
    }
}
