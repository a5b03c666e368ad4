extension Prefork.Event {
    /// Why a restart failed.
    package enum RestartFault: Sendable, Hashable, CustomStringConvertible {
        case exit(Prefork.ChildExit)
        case notReady(slot: Int, pid: Int32)
        case draining(slot: Int, pid: Int32)
        case unresponsive(slot: Int, pid: Int32)
        /// The restart could not begin.
        case refused(String)
        /// A rollback was requested during the restart.
        case rollback

        package var description: String {
            switch self {
            case .exit(let exit): "\(exit)"
            case .notReady(let slot, let pid): "child \(pid) (slot \(slot)) was not ready in time"
            case .draining(let slot, let pid): "child \(pid) (slot \(slot)) began to drain unasked"
            case .unresponsive(let slot, let pid): "child \(pid) (slot \(slot)) did not respond"
            case .refused(let reason): reason
            case .rollback: "a rollback was requested"
            }
        }
    }
}
