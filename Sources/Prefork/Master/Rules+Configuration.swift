// Translates public values into those of the Supervisor.

extension Supervisor.Rules {
    /// - Parameter processors: the number of processors that the fleet may use.
    init(_ configuration: Prefork.Configuration, processors: Int) {
        let recovery: Recovery =
            switch configuration.recovery.threshold {
            case .automatic: .automatic
            case .exits(let count): .upTo(exits: count)
            case .never: .never
            case .unlimited: .unlimited
            }
        var delays = configuration.recovery.delays
        // A fleet that never gives up must not spend its processors on starts that fail.
        if recovery == .automatic || recovery == .unlimited, delays.next == .zero {
            let usual = Prefork.Configuration.Recovery.Delays()
            (delays.next, delays.maximum) = (usual.next, max(delays.maximum, usual.maximum))
        }
        self.init(
            recovery: recovery,
            window: configuration.recovery.window,
            delays: delays,
            limitPerSlot: configuration.recovery.limitPerSlot,
            settleTime: configuration.readiness.settleTime
                ?? (configuration.readiness.mode == .implicit ? .seconds(1) : .zero),
            fatalExitStatuses: configuration.recovery.fatalExitStatuses,
            readinessTimeout: configuration.readiness.timeout,
            grace: configuration.shutdown.gracePeriod,
            queueDrain: configuration.shutdown.queueDrainPeriod,
            processors: processors,
            restartConcurrency: configuration.restart.concurrency,
            restartBake: configuration.restart.bake,
            recycleAfter: configuration.recycling.after,
            heartbeatTimeout: configuration.health.heartbeatTimeout,
            abortGrace: configuration.health.abortGrace
        )
    }
}

extension Prefork.ChildExit.Reason {
    init(_ status: WaitStatus) {
        switch status {
        case .exited(let code): self = .status(code)
        case .signaled(let number, let core): self = .signal(number, coreDumped: core)
        case .lost: self = .unknown
        }
    }
}
