extension Prefork {
    /// Something that happened in a fleet.
    ///
    /// ``Configuration/observe`` receives all events in the order in which they happen. ``code`` says what happened.
    /// The other properties are its details: each code in ``Code`` lists which of them it has, and the others are `nil`
    /// or empty. ``description`` is the line of the default log.
    ///
    /// ```swift
    /// configuration.observe = { event in
    ///     switch event.code {
    ///     case .exited where event.consequence?.code == .recovering: restarts.increment()
    ///     case .queueFilling: alert("\(event)")
    ///     default: break
    ///     }
    /// }
    /// ```
    ///
    /// ## New codes and details
    ///
    /// A later version can report more without breaking a program that compiles today:
    ///
    /// - A `switch` over a ``Code`` needs a `default`, because `Code` is a structure and not an enumeration. The
    ///   `default` handles codes that the program does not know, so a new static member breaks no `switch`.
    /// - A detail is a property and not an associated value, so no pattern names all details of a code. A new property
    ///   breaks no pattern, and a code can gain a detail that other codes already have.
    ///
    /// All values that Prefork hands out and that can grow have this shape: `Event`, its ``Consequence``,
    /// ``StopReason``, ``DrainOrigin``, ``ChildExit/Reason``, ``Status/State`` and ``PreforkError``. Values without
    /// details, such as ``ListenerMode`` and ``KillReason``, are the code itself.
    public struct Event: Sendable, Hashable, CustomStringConvertible {
        package enum Payload: Sendable, Hashable {
            case mechanisms(Mechanisms)
            case procIsMissing(program: String)
            case moreChildrenThanProcessors(children: Int, allowed: Int)
            case bindRetry(Address, SystemError, attempt: Int, of: Int, after: Duration)
            case listening([Address])
            case sharing(reason: String)
            case steeringRefused(Address, SystemError)
            case queueFilling(Address, slot: Int?, Status.Queue)
            case listenerStopped(Address, by: StoppingChild?, ListenerRepair)
            case socketFileRemoved(Address, ListenerRepair)
            case spawned(slot: Int, pid: Int32, replaces: Int32?)
            case spawnFailed(ChildExit, Consequence)
            case ready(slot: Int, pid: Int32, after: Duration)
            case fleetReady(children: Int, after: Duration)
            case draining(slot: Int, pid: Int32, DrainOrigin)
            case notReady(slot: Int, pid: Int32, after: Duration)
            case nothingBound(slot: Int, pid: Int32)
            case exited(ChildExit, Consequence)
            case restarting(generation: Int)
            case retiring(slot: Int, pid: Int32, successor: Int32)
            case restarted(generation: Int, after: Duration)
            case restartFailed(generation: Int, serving: Int, RestartFault)
            case rolledBack(generation: Int, after: Duration)
            case upgraded(generation: Int, after: Duration)
            case upgradeFailed(generation: Int, reason: String)
            case resized(from: Int, to: Int)
            case resizeFailed(from: Int, to: Int, reason: String)
            case dropped(slot: Int, count: Int)
            case recycling(slot: Int, pid: Int32, RecycleReason)
            case unresponsive(slot: Int, pid: Int32, Evidence)
            case suspended(Duration)
            case stopping(StopReason, grace: Duration)
            case admissionStaysOpen(Address, reason: String)
            case alreadyStopping(StopReason, remaining: Duration)
            case cancelling(slot: Int, pid: Int32, after: Duration)
            case channelFault(slot: Int, pid: Int32, reason: String)
            case killing(slot: Int, pid: Int32, KillReason, after: Duration)
            case backtracesSuppressed
            case backtracesResumed
            case stopped
            case reapedOrphans([Int32])
            case notAdopted(Int)
            case ignoredVariable(reason: String)
            case status(Status)
            case systemError(SystemError)
        }

        package let payload: Payload

        private init(_ payload: Payload) { self.payload = payload }
    }
}

// Events are made as if `Event` were the enumeration of its payloads.
extension Prefork.Event {
    package static func mechanisms(_ mechanisms: Prefork.Mechanisms) -> Self { Self(.mechanisms(mechanisms)) }
    package static func procIsMissing(program: String) -> Self { Self(.procIsMissing(program: program)) }
    package static func moreChildrenThanProcessors(children: Int, allowed: Int) -> Self {
        Self(.moreChildrenThanProcessors(children: children, allowed: allowed))
    }
    package static func bindRetry(
        _ address: Prefork.Address, _ error: Prefork.SystemError, attempt: Int, of attempts: Int, after delay: Duration
    ) -> Self {
        Self(.bindRetry(address, error, attempt: attempt, of: attempts, after: delay))
    }
    package static func listening(_ addresses: [Prefork.Address]) -> Self { Self(.listening(addresses)) }
    package static func sharing(reason: String) -> Self { Self(.sharing(reason: reason)) }
    package static func steeringRefused(_ address: Prefork.Address, _ error: Prefork.SystemError) -> Self {
        Self(.steeringRefused(address, error))
    }
    package static func queueFilling(
        _ address: Prefork.Address, slot: Int?, _ queue: Prefork.Status.Queue
    ) -> Self {
        Self(.queueFilling(address, slot: slot, queue))
    }
    package static func listenerStopped(
        _ address: Prefork.Address, by child: StoppingChild?, _ repair: ListenerRepair
    ) -> Self {
        Self(.listenerStopped(address, by: child, repair))
    }
    package static func socketFileRemoved(_ address: Prefork.Address, _ repair: ListenerRepair) -> Self {
        Self(.socketFileRemoved(address, repair))
    }
    package static func spawned(slot: Int, pid: Int32, replaces old: Int32?) -> Self {
        Self(.spawned(slot: slot, pid: pid, replaces: old))
    }
    package static func spawnFailed(_ exit: Prefork.ChildExit, _ consequence: Consequence) -> Self {
        Self(.spawnFailed(exit, consequence))
    }
    package static func ready(slot: Int, pid: Int32, after time: Duration) -> Self {
        Self(.ready(slot: slot, pid: pid, after: time))
    }
    package static func fleetReady(children: Int, after time: Duration) -> Self {
        Self(.fleetReady(children: children, after: time))
    }
    package static func draining(slot: Int, pid: Int32, _ origin: Prefork.DrainOrigin) -> Self {
        Self(.draining(slot: slot, pid: pid, origin))
    }
    package static func nothingBound(slot: Int, pid: Int32) -> Self { Self(.nothingBound(slot: slot, pid: pid)) }
    package static func notReady(slot: Int, pid: Int32, after time: Duration) -> Self {
        Self(.notReady(slot: slot, pid: pid, after: time))
    }
    package static func exited(_ exit: Prefork.ChildExit, _ consequence: Consequence) -> Self {
        Self(.exited(exit, consequence))
    }
    package static func restarting(generation: Int) -> Self { Self(.restarting(generation: generation)) }
    package static func retiring(slot: Int, pid: Int32, successor: Int32) -> Self {
        Self(.retiring(slot: slot, pid: pid, successor: successor))
    }
    package static func restarted(generation: Int, after time: Duration) -> Self {
        Self(.restarted(generation: generation, after: time))
    }
    package static func restartFailed(generation: Int, serving: Int, _ fault: RestartFault) -> Self {
        Self(.restartFailed(generation: generation, serving: serving, fault))
    }
    package static func rolledBack(generation: Int, after time: Duration) -> Self {
        Self(.rolledBack(generation: generation, after: time))
    }
    package static func upgraded(generation: Int, after time: Duration) -> Self {
        Self(.upgraded(generation: generation, after: time))
    }
    package static func upgradeFailed(generation: Int, reason: String) -> Self {
        Self(.upgradeFailed(generation: generation, reason: reason))
    }
    package static func resized(from old: Int, to new: Int) -> Self { Self(.resized(from: old, to: new)) }
    package static func resizeFailed(from old: Int, to new: Int, reason: String) -> Self {
        Self(.resizeFailed(from: old, to: new, reason: reason))
    }
    package static func dropped(slot: Int, count: Int) -> Self { Self(.dropped(slot: slot, count: count)) }
    package static func recycling(slot: Int, pid: Int32, _ reason: RecycleReason) -> Self {
        Self(.recycling(slot: slot, pid: pid, reason))
    }
    package static func unresponsive(slot: Int, pid: Int32, _ evidence: Evidence) -> Self {
        Self(.unresponsive(slot: slot, pid: pid, evidence))
    }
    package static func suspended(_ duration: Duration) -> Self { Self(.suspended(duration)) }
    package static func stopping(_ reason: Prefork.StopReason, grace: Duration) -> Self {
        Self(.stopping(reason, grace: grace))
    }
    package static func admissionStaysOpen(_ address: Prefork.Address, reason: String) -> Self {
        Self(.admissionStaysOpen(address, reason: reason))
    }
    package static func alreadyStopping(_ reason: Prefork.StopReason, remaining: Duration) -> Self {
        Self(.alreadyStopping(reason, remaining: remaining))
    }
    package static func cancelling(slot: Int, pid: Int32, after time: Duration) -> Self {
        Self(.cancelling(slot: slot, pid: pid, after: time))
    }
    package static func channelFault(slot: Int, pid: Int32, reason: String) -> Self {
        Self(.channelFault(slot: slot, pid: pid, reason: reason))
    }
    package static func killing(
        slot: Int, pid: Int32, _ reason: Prefork.KillReason, after time: Duration
    ) -> Self {
        Self(.killing(slot: slot, pid: pid, reason, after: time))
    }
    package static var backtracesSuppressed: Self { Self(.backtracesSuppressed) }
    package static var backtracesResumed: Self { Self(.backtracesResumed) }
    package static var stopped: Self { Self(.stopped) }
    package static func reapedOrphans(_ pids: [Int32]) -> Self { Self(.reapedOrphans(pids)) }
    package static func notAdopted(_ count: Int) -> Self { Self(.notAdopted(count)) }
    package static func ignoredVariable(reason: String) -> Self { Self(.ignoredVariable(reason: reason)) }
    package static func status(_ status: Prefork.Status) -> Self { Self(.status(status)) }
    package static func systemError(_ error: Prefork.SystemError) -> Self { Self(.systemError(error)) }
}
