// What the master tells a service manager and its own program about the whole fleet.

extension Master {
    /// Reports that the fleet is ready, once.
    func noteReadiness(at now: Instant) {
        guard !readiness.isReached, !supervisor.isStopping else { return }
        guard readiness.note(up: supervisor.slots.all(.up), of: supervisor.target) else { return }
        observe(.fleetReady(children: supervisor.target, after: now - readySince))
        let pids = supervisor.slots.compactMap { $0.current?.pid }
        callHook { () throws in try configuration.hooks.onFleetReady?(pids) }
    }

    func updateServiceManager(at now: Instant) {
        if serviceManager == nil { return }
        if supervisor.restart == nil { serviceManager?.restarted(at: now) }
        serviceManager?.update(serviceState, at: now)
    }

    private var serviceState: ServiceNotifier.Fleet {
        ServiceNotifier.Fleet(
            slots: supervisor.target,
            ready: supervisor.acceptingSlots.prefix(below: supervisor.target).count,
            children: children.count,
            hasBeenReady: readiness.isReached,
            stop: supervisor.isStopping ? .init(endsProcess: endsProcess, killAt: lastKill) : nil)
    }

    /// When the last child is killed, if it does not exit before. `nil` once all of them were.
    private var lastKill: Instant? {
        if case .closingAdmission(let until) = supervisor.phase { return until + supervisor.rules.grace }
        return supervisor.slots.flatMap(\.outgoing).compactMap(\.escalation.next).max()
    }
}
