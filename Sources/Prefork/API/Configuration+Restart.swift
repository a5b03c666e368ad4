extension Prefork.Configuration {
    /// How a restart replaces the children, see ``Prefork/Prefork/restart()``.
    public struct Restart: Sendable, Hashable {
        /// How many slots get their new children at the same time, 1...4096. Default: 1.
        ///
        /// So many processes more than usual run during a restart.
        public var concurrency: Int
        /// How long the first new child must serve before the other slots follow. Default: `nil`, not at all.
        ///
        /// If it ends within this time, for whatever reason, the fleet goes back to the build before, as it does after
        /// ``Prefork/Prefork/rollback()``.
        public var bake: Duration?

        /// A restart with defaults for everything that is not given.
        public init(concurrency: Int = 1, bake: Duration? = nil) {
            self.concurrency = concurrency
            self.bake = bake
        }
    }
}
