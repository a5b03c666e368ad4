extension Prefork.Event {
    /// The child that has stopped a listener.
    package struct StoppingChild: Sendable, Hashable {
        let slot: Int
        let pid: Int32
        /// `false` if other children have the listener, too.
        let isCertain: Bool

        package init(slot: Int, pid: Int32, isCertain: Bool) {
            self.slot = slot
            self.pid = pid
            self.isCertain = isCertain
        }
    }

    /// The outcome for a listener that a child had stopped.
    package enum ListenerRepair: Sendable, Hashable, CustomStringConvertible {
        case listens
        /// The numbers of the group's sockets are no longer known.
        case listensUnsteered
        /// A Unix-domain socket cannot listen again. Another one has its path.
        case replaced
        /// The file of a Unix-domain socket has its path again.
        case restored
        case failed(Prefork.SystemError)

        /// A clause that completes the text of an event.
        package var description: String {
            switch self {
            case .listens: "it listens again"
            case .listensUnsteered:
                "it listens again, but several stopped at once, so connections go to all slots from now on"
            case .replaced: "children that start from now on listen on another socket with its path"
            case .restored: "it has its path again"
            case .failed(let error): "it cannot listen again: \(error)"
            }
        }
    }
}
