extension Prefork.Event {
    /// What shows that a child does not respond.
    package enum Evidence: Sendable, Hashable, CustomStringConvertible {
        /// It has sent no beat for this long.
        case silence(Duration)
        /// This many connections wait in its queue, and it has done nothing for this long.
        case stall(waiting: Int, Duration)

        package var description: String {
            switch self {
            case .silence(let time): "no beat for \(time.inSeconds) (health.heartbeatTimeout)"
            case .stall(let waiting, let time):
                "\(waiting) connection\(waiting == 1 ? "" : "s") in its queue, and no processor time for "
                    + "\(time.inSeconds) (health.queueStallTimeout)"
            }
        }
    }
}
