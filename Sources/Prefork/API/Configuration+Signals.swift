extension Prefork.Configuration {
    /// The handling of signals.
    ///
    /// A child starts with an empty signal mask. It ignores the signals that its master ignored at its own start, for
    /// example HUP under nohup(1) or PIPE under systemd. All other signals have their default dispositions, also those
    /// that the master's program handles. Four signals are never ignored in a child: CHLD, TERM, and the INT and QUIT
    /// that a shell ignores for a background job.
    public struct Signals: Sendable {
        /// Whether Prefork or the program handles the signals of a process.
        public enum Policy: Sendable, Hashable {
            /// Prefork: TERM, INT, HUP, TTIN, TTOU, USR1 and USR2 in the master, TERM, INT and HUP in a child.
            ///
            /// A signal other than TERM and INT that was ignored when the master started stays ignored. The handlers
            /// that were installed before are restored when `run` returns.
            case handled
            /// The program.
            ///
            /// In the master, it calls ``Prefork/Prefork/stop()``. In a child, the death of the master arrives as
            /// SIGTERM.
            case unhandled
        }

        /// The handling of the master's signals. Default: ``Policy/handled``.
        public var master: Policy
        /// The handling of the children's signals. Default: ``Policy/handled``.
        public var children: Policy

        /// Signals with defaults for everything that is not given.
        public init(master: Policy = .handled, children: Policy = .handled) {
            self.master = master
            self.children = children
        }
    }
}
