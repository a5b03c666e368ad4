// Between the public values and the Supervisor's.

extension Supervisor.Rules {
    init(_ configuration: Prefork.Configuration, children: Int) {
        let recovery: Recovery =
            switch configuration.recoverThreshold {
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
            window: configuration.recoverWindow,
            interval: configuration.recoverInterval,
            limitPerSlot: configuration.recoverLimitPerSlot,
            healthyAfter: configuration.healthyAfter,
            finalStatuses: configuration.finalStatuses,
            readyWithin: configuration.readyWithin,
            grace: configuration.shutdownGracePeriod
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
        case .killing(let slot, let pid): self = .killing(slot: slot, pid: pid)
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

extension Prefork.Configuration.RecoverInterval {
    /// Doubled for each failure after the second, never above the maximum.
    func delay(afterFailures failures: Int) -> Duration {
        if failures == 0 { return min(first, maximum) }
        var delay = min(next, maximum)
        for _ in 1..<max(failures, 1) {
            // Some hundred turns at most, for a slot may fail for years; no product is above the maximum, so none overflows.
            guard delay > .zero, delay < maximum else { break }
            delay = delay > maximum / 2 ? maximum : delay * 2
        }
        return delay
    }
}
