extension Prefork {
    /// How the children accept connections on a listener.
    ///
    /// A structure with static members, so that a later version can add one. ``Event`` says why that breaks no program.
    public struct ListenerMode: Sendable, Hashable, CustomStringConvertible {
        /// The name of the mode, for example `shared`.
        public let description: String

        private init(_ name: String) { description = name }

        /// All children accept on one socket.
        public static var shared: ListenerMode { ListenerMode("shared") }
        /// Each slot has its own socket (SO_REUSEPORT), and the kernel spreads connections over them.
        public static var sharded: ListenerMode { ListenerMode("sharded") }
    }

    /// The owner of a listener.
    ///
    /// A structure with static members, so that a later version can add one. ``Event`` says why that breaks no program.
    public struct ListenerOwnership: Sendable, Hashable, CustomStringConvertible {
        /// The name of the ownership, for example `bound`.
        public let description: String

        private init(_ name: String) { description = name }

        /// The master bound it, and closes it.
        public static var bound: ListenerOwnership { ListenerOwnership("bound") }
        /// It came from a ``SocketSource``. Its owner keeps it after `run` returns.
        public static var adopted: ListenerOwnership { ListenerOwnership("adopted") }
    }
}
