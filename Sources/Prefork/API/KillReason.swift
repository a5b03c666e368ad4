extension Prefork {
    /// Why a master kills a child.
    ///
    /// A structure with static members, so that a later version can add one. ``Event`` says why that breaks no program.
    public struct KillReason: Sendable, Hashable, CustomStringConvertible {
        /// The name of the reason, for example `notDrained`.
        public let description: String

        private init(_ name: String) { description = name }

        /// The child did not exit in time.
        public static var notDrained: KillReason { KillReason("notDrained") }
        /// The master received a second SIGINT.
        public static var secondInterrupt: KillReason { KillReason("secondInterrupt") }
    }
}
