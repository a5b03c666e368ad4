// What the signals and the program's own requests ask of the master.

extension Master {
    /// - Returns: whether a child may have ended.
    func handleSignals(_ signals: borrowing SignalHandling) -> Bool {
        let taken = signals.take()
        let received = taken.signals
        if received.contains(.user1) {
            publish()
            observe(.status(handle.status))
        }
        // Signals that arrived together are one request, made when they arrived. A hook or an observer that took time
        // since then must not turn it into two.
        let isHangUp = received.contains(.hangUp) && Self.isTerminalClosing(taken.hangUpSender)
        let stop = received.first { $0 == .terminate || $0 == .interrupt } ?? (isHangUp ? .hangUp : nil)
        let isRequested = handle.takeStopRequest()
        // A child that has said before the stop that it is ready accepts connections.
        if stop != nil || isRequested { for pid in Array(children.keys) { receiveMessages(from: pid) } }
        if let stop {
            note(stop)
            let sender = stop == .hangUp ? taken.hangUpSender : taken.sender
            feed(.stop(.signal(stop.number, from: sender), at: stop == .hangUp ? System.now() : taken.arrival))
        }
        if isRequested { feed(.stop(.request, at: System.now())) }
        if received.contains(.hangUp), !isHangUp { feed(.restart) }
        if received.contains(.user2) { requestUpgrade() }
        if taken.slots != 0 { resize(to: max(1, (supervisor.queuedTarget ?? supervisor.target) + taken.slots)) }
        for request in handle.takeRequests() {
            switch request {
            case .restart: feed(.restart)
            case .rollback: feed(.rollback)
            case .upgrade: requestUpgrade()
            case .resize(let count): resize(to: count)
            }
        }
        // The default action of TTIN and TTOU, which the handlers have replaced.
        if taken.isJobControl { System.stopProcess() }
        let childHasEnded = received.contains(.child)
        if childHasEnded { orphans?.childHasEnded(at: System.now()) }
        return childHasEnded && mechanisms.exitNotice == .signalAndPolling
    }

    /// Whether a HUP means that the terminal is gone. Then the kernel sent it, or the shell that leads the session
    /// passed its own HUP on. From anybody else it is a request to restart, also from an init that leads the session
    /// and has no terminal.
    private static func isTerminalClosing(_ sender: SignalSender?) -> Bool {
        guard let sender else { return true }
        return sender.leadsOwnSession && ProcessStart.own.hadTerminal && !System.hasTerminal
    }

    /// Whether the process ends after the stop. A program may run another fleet, unless a signal has asked it to end.
    var endsProcess: Bool { isLast || isStoppedBySignal || lateStop != nil }

    private func note(_ stop: Signal) {
        if !supervisor.isStopping { isStoppedBySignal = true }
        if !isStoppedBySignal { lateStop = stop }
    }

    /// A signal to stop that arrived in a run which ended for another reason. The run failed, or the program stopped
    /// it. The program does not know of the signal, and may go on.
    /// - Parameter rest: signals that came too late for the run.
    func unansweredStop(rest: [Signal]) -> Signal? {
        if isStoppedBySignal { return nil }
        return lateStop ?? rest.first { $0 == .terminate || $0 == .interrupt }
    }
}
