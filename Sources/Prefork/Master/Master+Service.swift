// What the master tells a service manager and its own program about the whole fleet.

extension Master {
    /// Notes which slots have had a child up. When all of them have, the fleet is ready, once.
    func noteChildrenThatAreUp(at now: Instant) {
        guard !hasBeenFull, !supervisor.isStopping else { return }
        for (slot, record) in supervisor.slots.enumerated() where record.current?.isUp == true {
            slotsThatWereUp.insert(slot)
        }
        guard slotsThatWereUp.count >= supervisor.target else { return }
        hasBeenFull = true
        publish()
        observe(.fleetReady(children: supervisor.target, after: now - startedAt))
        let pids = supervisor.slots.compactMap { $0.current?.pid }
        callHook { () throws in try configuration.hooks.onFleetReady?(pids) }
    }

    func updateServiceManager(at now: Instant) {
        if serviceManager == nil { return }
        serviceManager?.update(serviceState, at: now)
    }

    private var serviceState: ServiceNotifier.Fleet {
        ServiceNotifier.Fleet(
            slots: supervisor.target,
            ready: supervisor.acceptingSlots.count,
            children: children.count,
            hasBeenFull: hasBeenFull,
            stop: supervisor.isStopping ? .init(endsProcess: endsProcess, killAt: lastKill) : nil)
    }

    /// When the last child is killed, if it does not exit before. `nil` once all of them were.
    private var lastKill: Instant? {
        if case .closingAdmission(let until) = supervisor.phase { return until + supervisor.rules.grace }
        return supervisor.slots.flatMap(\.outgoing).compactMap(\.escalation.next).max()
    }
}
