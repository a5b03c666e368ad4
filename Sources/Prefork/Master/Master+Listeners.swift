// What the master does to the listeners while the fleet runs: repairs, and steering.

extension Master {
    private static let fullCheckInterval: Duration = .milliseconds(500)

    /// Makes listeners that a child has stopped for all processes listen again.
    ///
    /// Those of the slot are checked now. A check of the others takes longer in a larger fleet, so it comes at
    /// intervals.
    /// - Parameter suspect: the slot's child, which did something that programs combine with shutdown(2).
    func repairListeners(of slot: Int, isStarting: Bool = false, suspect pid: Int32?) {
        let now = System.now()
        let checksAll = nextFullCheck <= now
        if checksAll { nextFullCheck = now + Self.fullCheckInterval }
        isFullCheckDue = !checksAll && listeners.ownSockets(of: slot) != nil
        repairListeners(
            slot: checksAll ? nil : slot, isStarting: isStarting,
            suspect: pid.map { .init(slot: slot, pid: $0, isCertain: supervisor.target == 1) })
    }

    func makeUpForCheck(at now: Instant) {
        guard isFullCheckDue, nextFullCheck <= now else { return }
        isFullCheckDue = false
        repairListeners(slot: nil, isStarting: false, suspect: nil)
    }

    /// Tells the kernel which slots get new connections, if that has changed. It takes the kernel longer in a larger
    /// fleet, so it happens once in a turn, and before a child is asked to exit.
    func steer() {
        guard needsSteering else { return }
        needsSteering = false
        for event in listeners.steer(to: supervisor.rotation) { observe(event) }
    }

    private func repairListeners(slot: Int?, isStarting: Bool, suspect: Prefork.Event.StoppingChild?) {
        if supervisor.isStopping { return }
        let events = listeners.repair(
            slot: slot, isStarting: isStarting, suspect: suspect,
            owner: { supervisor.slots[$0].current?.pid ?? supervisor.slots[$0].lastPID })
        if events.isEmpty { return }
        for event in events { observe(event) }
        needsSteering = true
        steer()
        // A Unix-domain socket may have been replaced.
        handle.publish(listeners: listeners.views)
    }
}
