extension Prefork.Event {
    // MARK: Children

    /// The slot of the child.
    public var slot: Int? {
        switch payload {
        case .spawned(let slot, _, _), .ready(let slot, _, _), .draining(let slot, _, _), .notReady(let slot, _, _),
            .nothingBound(let slot, _),
            .killing(let slot, _, _, _), .cancelling(let slot, _, _), .channelFault(let slot, _, _),
            .retiring(let slot, _, _), .recycling(let slot, _, _),
            .unresponsive(let slot, _, _):
            slot
        case .queueFilling(_, let slot, _): slot
        case .dropped(let slot, _): slot
        case .listenerStopped(_, let child, _): child?.slot
        case .exited(let exit, _), .spawnFailed(let exit, _): exit.slot
        default: nil
        }
    }

    /// The process id of the child.
    public var pid: Int32? {
        switch payload {
        case .spawned(_, let pid, _), .ready(_, let pid, _), .draining(_, let pid, _), .notReady(_, let pid, _),
            .nothingBound(_, let pid),
            .killing(_, let pid, _, _), .cancelling(_, let pid, _), .channelFault(_, let pid, _),
            .retiring(_, let pid, _), .recycling(_, let pid, _),
            .unresponsive(_, let pid, _):
            pid
        case .listenerStopped(_, let child, _): child?.pid
        case .exited(let exit, _): exit.pid
        default: nil
        }
    }

    /// The process id of the child that the slot had before. `nil` for the slot's first child.
    public var replacedPID: Int32? {
        if case .spawned(_, _, let old) = payload { old } else { nil }
    }

    /// How the child ended, or why it could not be started.
    public var exit: Prefork.ChildExit? {
        switch payload {
        case .exited(let exit, _), .spawnFailed(let exit, _), .restartFailed(_, _, .exit(let exit)): exit
        default: nil
        }
    }

    /// The process id of the child that has taken another's place.
    public var replacementPID: Int32? {
        if case .retiring(_, _, let successor) = payload { successor } else { nil }
    }

    /// A build of the program. The code says which.
    public var generation: Int? {
        switch payload {
        case .restarting(let generation), .restarted(let generation, _), .restartFailed(let generation, _, _),
            .rolledBack(let generation, _), .upgraded(let generation, _), .upgradeFailed(let generation, _):
            generation
        default: nil
        }
    }

    /// The build of the program that serves on.
    public var servingGeneration: Int? {
        if case .restartFailed(_, let serving, _) = payload { serving } else { nil }
    }

    /// The master's reaction to the exit.
    public var consequence: Consequence? {
        switch payload {
        case .exited(_, let consequence), .spawnFailed(_, let consequence): consequence
        default: nil
        }
    }

    /// Why the child drains.
    public var drainOrigin: Prefork.DrainOrigin? {
        if case .draining(_, _, let origin) = payload { origin } else { nil }
    }

    /// Why the master kills the child.
    public var killReason: Prefork.KillReason? {
        if case .killing(_, _, let reason, _) = payload { reason } else { nil }
    }

    // MARK: Listeners

    /// The address that the event is about.
    public var address: Prefork.Address? {
        switch payload {
        case .bindRetry(let address, _, _, _, _), .steeringRefused(let address, _), .queueFilling(let address, _, _),
            .listenerStopped(let address, _, _), .socketFileRemoved(let address, _),
            .admissionStaysOpen(let address, _):
            address
        default: nil
        }
    }

    /// The addresses that the master listens on. Empty for codes other than ``Code/listening``.
    public var addresses: [Prefork.Address] {
        if case .listening(let addresses) = payload { addresses } else { [] }
    }

    /// The queue of the listener.
    public var queue: Prefork.Status.Queue? {
        if case .queueFilling(_, _, let queue) = payload { queue } else { nil }
    }

    // MARK: Others

    /// Why the fleet stops.
    public var stopReason: Prefork.StopReason? {
        switch payload {
        case .stopping(let reason, _), .alreadyStopping(let reason, _): reason
        default: nil
        }
    }

    /// The system call that failed.
    public var systemError: Prefork.SystemError? {
        switch payload {
        case .bindRetry(_, let error, _, _, _), .steeringRefused(_, let error),
            .listenerStopped(_, _, .failed(let error)), .socketFileRemoved(_, .failed(let error)),
            .systemError(let error):
            error
        default: nil
        }
    }

    /// A duration. The code says which.
    public var duration: Duration? {
        switch payload {
        case .bindRetry(_, _, _, _, let delay): delay
        case .ready(_, _, let time), .notReady(_, _, let time), .fleetReady(_, let time): time
        case .suspended(let time), .restarted(_, let time), .rolledBack(_, let time), .upgraded(_, let time): time
        case .stopping(_, let grace): grace
        case .alreadyStopping(_, let time), .killing(_, _, _, let time), .cancelling(_, _, let time): time
        default: nil
        }
    }

    /// A number of things. The code says which.
    public var count: Int? {
        switch payload {
        case .moreChildrenThanProcessors(let children, _): children
        case .bindRetry(_, _, let attempt, _, _): attempt
        case .notAdopted(let sockets): sockets
        case .dropped(_, let count): count
        case .resized(_, let new), .resizeFailed(_, let new, _): new
        case .fleetReady(let children, _): children
        default: nil
        }
    }

    /// The number that ``count`` is compared with. The code says which.
    public var limit: Int? {
        switch payload {
        case .moreChildrenThanProcessors(_, let allowed): allowed
        case .bindRetry(_, _, _, let attempts, _): attempts
        case .resized(let old, _), .resizeFailed(let old, _, _): old
        default: nil
        }
    }

    /// Why it happened, as a text.
    public var reason: String? {
        switch payload {
        case .sharing(let reason), .admissionStaysOpen(_, let reason), .channelFault(_, _, let reason),
            .resizeFailed(_, _, let reason), .ignoredVariable(let reason), .upgradeFailed(_, let reason):
            reason
        case .restartFailed(_, _, let fault): fault.description
        case .recycling(_, _, let reason): reason.description
        case .unresponsive(_, _, let evidence): evidence.description
        case .listenerStopped(_, _, let repair), .socketFileRemoved(_, let repair): repair.description
        default: nil
        }
    }

    /// The path of the program.
    public var path: String? {
        if case .procIsMissing(let program) = payload { program } else { nil }
    }

    /// The process ids of the orphans. Empty for codes other than ``Code/reapedOrphans``.
    public var pids: [Int32] {
        if case .reapedOrphans(let pids) = payload { pids } else { [] }
    }

    /// How this run learns of exits and closes descriptors.
    public var mechanisms: Prefork.Mechanisms? {
        if case .mechanisms(let mechanisms) = payload { mechanisms } else { nil }
    }

    /// The status of the fleet at that moment.
    public var status: Prefork.Status? {
        if case .status(let status) = payload { status } else { nil }
    }
}
