// The lines of the default log. Scripts look for parts of them, among others for "listening on ", " ready after " and
// "child N (slot S) ".

extension Prefork.Event {
    /// One line, but a table for ``Code/status``.
    public var description: String {
        switch payload {
        case .mechanisms(let mechanisms): "using \(mechanisms)"
        case .procIsMissing(let program):
            "there is no /proc: children are started as \(program), and CPU quotas are ignored"
        case .moreChildrenThanProcessors(let children, let allowed):
            "\(children) children, but only \(allowed) processor\(allowed == 1 ? " is" : "s are") allowed"
        case .notAdopted(let count):
            (count == 1 ? "a socket was" : "\(count) sockets were")
                + " passed to this process (LISTEN_FDS), but it does not adopt SocketSource.systemd"
        case .ignoredVariable(let reason): "\(reason); it is ignored"
        case .bindRetry(let address, let error, let attempt, let count, let delay):
            "\(address) \(error.isAddressInUse ? "is in use" : "is not there yet (\(error))"); "
                + "trying again in \(delay.inSeconds) (\(attempt) of \(count))"
        case .listening(let addresses):
            "listening on \(addresses.map(\.description).concatenated(separator: ", "))"
        case .sharing(let reason): "all children share one listener for each address: \(reason)"
        case .steeringRefused(let address, let error):
            "connections to \(address) cannot be steered to ready children: \(error)"
        case .queueFilling(let address, let slot, let queue):
            "\(queue) connections wait on \(address)" + (slot.map { " for slot \($0)" } ?? "")
        case .listenerStopped(let address, let child, let repair): Self.stopped(address, child) + "; \(repair)"
        case .socketFileRemoved(let address, let repair): "the file of \(address) was removed; \(repair)"
        case .spawned(let slot, let pid, let old):
            "child \(pid) (slot \(slot)) started" + (old.map { " in place of \($0)" } ?? "")
        case .spawnFailed(let exit, let consequence): "\(exit)\(consequence.suffix)"
        case .ready(let slot, let pid, let time): "child \(pid) (slot \(slot)) ready after \(time.inSeconds)"
        case .fleetReady(let count, let time):
            "the fleet of \(count) is ready, \(time.inSeconds) after its start"
        case .notReady(let slot, let pid, let time):
            "child \(pid) (slot \(slot)) not ready after \(time.inSeconds); stopping it (readiness.timeout)"
        case .nothingBound(let slot, let pid):
            "child \(pid) (slot \(slot)) has bound none of the fleet's addresses: its program binds another one, calls "
                + "no bind(2), or calls it in a shared library that does not see this program's (export the symbol "
                + "bind)"
        case .draining(let slot, let pid, let origin):
            "child \(pid) (slot \(slot)) drains unasked and gets no new connections: \(origin)"
        case .backtracesSuppressed:
            "too many crashes: new children print no backtraces until a minute passes without one"
        case .backtracesResumed: "a minute without a crash: new children print backtraces again"
        // The likely reason is a `serve` that returns at once.
        case .exited(let exit, let consequence)
        where exit.reason == .status(0) && exit.drainOrigin == nil && consequence.isUnexpected:
            "\(exit), as when serve returns\(consequence.suffix)"
        case .exited(let exit, let consequence): "\(exit)\(consequence.suffix)"
        case .restarting(let generation): "restarting: all slots get generation \(generation)"
        case .retiring(let slot, let pid, let successor):
            "child \(pid) (slot \(slot)) drains, because \(successor) has taken its place"
        case .restarted(let generation, let time):
            "restarted: all slots run generation \(generation) after \(time.inSeconds)"
        case .restartFailed(let generation, let serving, let fault):
            generation == serving
                ? "cannot roll back: \(fault)"
                : "generation \(generation) failed, and generation \(serving) serves on: \(fault)"
        case .rolledBack(let generation, let time):
            "all slots are back at generation \(generation) after \(time.inSeconds)"
        case .upgraded(let generation, let time):
            "upgraded: the master runs generation \(generation), too, after \(time.inSeconds)"
        case .upgradeFailed(let generation, let reason):
            "the children run generation \(generation), but the master keeps its program: \(reason)"
        case .resized(let old, let new): "resized from \(old) to \(new) children"
        case .resizeFailed(let old, let new, let reason):
            "cannot resize from \(old) to \(new) children: \(reason)"
        case .dropped(let slot, let count):
            "closed \(count) connection\(count == 1 ? "" : "s") that no child of slot \(slot) had accepted, "
                + "because the slot has left the fleet"
        case .recycling(let slot, let pid, let reason): "child \(pid) (slot \(slot)) is replaced: \(reason)"
        case .unresponsive(let slot, let pid, let evidence):
            "child \(pid) (slot \(slot)) does not respond: \(evidence); replacing it"
        case .suspended(let time): "the master did not run for \(time.inSeconds); restarting its timers"
        case .stopping(let reason, let grace): "stopping: \(reason); children have \(grace.inSeconds)"
        case .admissionStaysOpen(let address, let reason):
            "\(address) accepts connections while the children drain: \(reason)"
        case .alreadyStopping(let reason, let time):
            "already stopping (\(reason)); children have up to \(time.inSeconds) left"
        case .killing(let slot, let pid, let reason, let time):
            reason == .secondInterrupt
                ? "child \(pid) (slot \(slot)) has drained for \(time.inSeconds); a second SIGINT kills it"
                : "child \(pid) (slot \(slot)) has not exited after \(time.inSeconds); killing it"
        case .cancelling(let slot, let pid, let time):
            "child \(pid) (slot \(slot)) has drained for \(time.inSeconds); it cancels what is left"
        case .channelFault(let slot, let pid, let reason):
            "child \(pid) (slot \(slot)) broke the channel's protocol, and is no longer heard: \(reason)"
        case .stopped: "stopped"
        case .reapedOrphans(let pids):
            pids.count == 1 ? "reaped the orphan \(pids[0])" : "reaped \(pids.count) orphans"
        case .status(let status): "\(status)"
        case .systemError(let error): "\(error)"
        }
    }
}

extension Prefork.Event {
    private static func stopped(_ address: Prefork.Address, _ child: StoppingChild?) -> String {
        guard let child else { return "a process has stopped the listener on \(address) with shutdown(2)" }
        let name = "child \(child.pid) (slot \(child.slot))"
        return child.isCertain
            ? "\(name) has stopped its listener on \(address) with shutdown(2)"
            : "\(name) has probably stopped the listener on \(address) with shutdown(2)"
    }
}

extension Prefork.Event.Consequence {
    fileprivate var suffix: String { self == .expected ? "" : "; \(self)" }
    fileprivate var isUnexpected: Bool { self != .expected && self != .replaced }
}
