// Between the public values and the Supervisor's.

extension Supervisor.Rules {
    init(_ configuration: Prefork.Configuration, children: Int) {
        let recovery: Recovery =
            switch configuration.recovery.threshold {
            case .perChild(let count):
                {
                    let (exits, overflow) = count.multipliedReportingOverflow(by: children)
                    return .upTo(exits: overflow ? .max : exits)
                }()
            case .exits(let count): .upTo(exits: count)
            case .never: .never
            case .unlimited: .unlimited
            }
        self.init(
            children: children,
            recovery: recovery,
            window: configuration.recovery.window,
            interval: configuration.recovery.delays,
            limitPerSlot: configuration.recovery.limitPerSlot,
            healthyAfter: configuration.recovery.healthyAfter,
            fatalExitStatuses: configuration.recovery.fatalExitStatuses,
            readinessTimeout: configuration.readiness.timeout,
            grace: configuration.shutdown.gracePeriod,
            queueDrain: configuration.shutdown.queueDrainPeriod
        )
    }
}

extension Prefork.Event {
    init(_ report: Supervisor.Report, grace: Duration) {
        switch report {
        case .spawned(let slot, let pid, let old): self = .spawned(slot: slot, pid: pid, replaces: old)
        case .spawnFailed(let exit, let consequence): self = .spawnFailed(exit, consequence)
        case .ready(let slot, let pid, let delay): self = .ready(slot: slot, pid: pid, after: delay)
        case .notReady(let slot, let pid, let delay): self = .notReady(slot: slot, pid: pid, after: delay)
        case .exited(let exit, let consequence): self = .exited(exit, consequence)
        case .suspended(let duration): self = .suspended(duration)
        case .stopping(let reason): self = .stopping(reason, grace: grace)
        case .killing(let slot, let pid): self = .killing(slot: slot, pid: pid, .notDrained, after: grace)
        case .stopped: self = .stopped
        }
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
