/// Listeners that a program which has taken over does not want, while children of the old program have them.
///
/// New connections are kept out, the children accept what is queued, and children without these listeners replace them.
struct DepartingListeners {
    private enum Stage {
        case waiting
        case closing(until: Instant)
        case replacing
    }

    enum Step {
        case wait
        /// The children can be replaced.
        case renew
        /// No child has them any more.
        case close
    }

    private(set) var listeners: ListenerSet
    private var stage = Stage.waiting

    /// - Parameter listeners: none if the children only lack some.
    init(_ listeners: ListenerSet) { self.listeners = listeners }

    mutating func begin(_ rotation: SlotSet, at now: Instant, patience: Duration) {
        for listener in listeners.all { listener.removeFile() }
        listeners.beginClosing(rotation, at: now)
        stage = .closing(until: listeners.all.isEmpty ? now : now + patience)
    }

    /// When to call `step`. `nil` if only a child can bring it forward.
    var next: Instant? {
        guard case .closing(let until) = stage else { return nil }
        return min(until, listeners.nextClosingStep ?? until)
    }

    mutating func step(_ supervisor: Supervisor, at now: Instant) -> Step {
        switch stage {
        case .waiting: return .wait
        case .closing(let until):
            let isQuiet = listeners.isClosed(ready: supervisor.acceptingSlots, at: now)
            guard isQuiet || until <= now else { return .wait }
            stage = .replacing
            return .renew
        case .replacing:
            // Also if the restart has failed.
            return supervisor.restart == nil && !supervisor.isRestartQueued ? .close : .wait
        }
    }
}
