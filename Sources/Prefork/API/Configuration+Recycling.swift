extension Prefork.Configuration {
    /// When a child that serves is replaced by a new one.
    ///
    /// The new child is up before the old one drains, and one slot is replaced at a time. Off by default.
    public struct Recycling: Sendable, Hashable {
        /// The age at which a child is replaced. Default: `nil`, never.
        ///
        /// The children of a fleet get up to a tenth more, each another part of it.
        public var after: Duration?
        /// The resident memory in bytes above which a child is replaced. Default: `nil`, never.
        ///
        /// The master looks at it every ``interval``. Shared pages of the program count, too. Linux only: on other
        /// systems it has no effect.
        public var above: Int?
        /// How often the master looks at the memory of its children. Default: 5 s.
        public var interval: Duration

        /// Recycling with defaults for everything that is not given.
        public init(after: Duration? = nil, above: Int? = nil, interval: Duration = .seconds(5)) {
            self.after = after
            self.above = above
            self.interval = interval
        }
    }
}
