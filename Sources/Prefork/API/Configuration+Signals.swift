extension Prefork.Configuration {
    /// Who handles signals.
    public struct Signals: Sendable {
        /// Who handles the signals of a process.
        public enum Policy: Sendable, Hashable {
            /// Prefork: TERM, INT and USR1 in the master, TERM and INT in a child.
            ///
            /// The handlers that were installed before are restored when `run` returns.
            case handled
            /// The program.
            ///
            /// In the master, it calls ``Prefork/Prefork/stop()``. In a child, the death of the master arrives as
            /// SIGTERM.
            case unhandled
        }

        /// Who handles the master's signals. Default: ``Policy/handled``.
        public var master: Policy
        /// Who handles the children's signals. Default: ``Policy/handled``.
        public var children: Policy

        /// Signals with defaults for everything that is not given.
        public init(master: Policy = .handled, children: Policy = .handled) {
            self.master = master
            self.children = children
        }
    }
}
