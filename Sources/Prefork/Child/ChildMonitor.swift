import Synchronization

/// The thread of a child that waits for SIGTERM and for the master's death, and begins the drain.
///
/// No code of the program ever runs on this thread, because it has deadlines to keep.
final class ChildMonitor: Sendable {
    /// The task of `serve` is cancelled this long before the grace period ends. The time is a tenth of the period if
    /// that is less.
    private static let cancelMargin: Duration = .milliseconds(500)
    /// A child that begins to drain unasked exits by force this long after the grace period.
    private static let selfMargin: Duration = .seconds(1)
    /// The time between two attempts to start a thread.
    private static let retryInterval: Duration = .milliseconds(50)
    private static let lateStatus: CInt = 75  // EX_TEMPFAIL of sysexits.h

    private let child: Prefork.Child
    private let configuration: Prefork.Configuration
    private let signals: SignalHandling
    private let parent: ParentWatcher
    private let isOver = Atomic<Bool>(false)
    private let isDrainRequested = Atomic<Bool>(false)

    private init(_ child: Prefork.Child, _ configuration: Prefork.Configuration) throws(SystemError) {
        let handled = configuration.signals.children == .handled
        self.child = child
        self.configuration = configuration
        // Handlers belong to the process, but the mask belongs to the thread. The monitor's thread unblocks the signals
        // for itself.
        // The terminal's keys, and its hang-up, reach all processes, and the master decides. A HUP that is ignored
        // stays so for the processes that the child starts.
        let terminal = [Signal.interrupt, .hangUp].filter { !ProcessStart.own.ignoredSignals.contains($0) }
        signals = try SignalHandling(
            handled: handled ? [.terminate] : [], silenced: handled ? terminal : [], unblocking: false)
        parent = ParentWatcher(
            masterPID: child.masterPID,
            isPolling: (configuration.testing.mechanisms?.exitNotice ?? Prefork.Mechanisms.probeExitNotice())
                == .signalAndPolling,
            interval: configuration.masterDeath.pollInterval)
    }

    /// Arms the monitor and starts its thread without waiting for it. From here on, no signal and no death of the
    /// master goes unnoticed. A signal that all other threads block stays pending until this thread runs.
    /// - Throws: ``PreforkError/Code/masterIsGone`` if it is too late already.
    static func begin(_ child: Prefork.Child, _ configuration: Prefork.Configuration) throws(PreforkError) -> Running {
        let watch = try wrappingSystemErrors { () throws(SystemError) in try ChildMonitor(child, configuration) }
        // Checked after the monitor is armed. A master that died earlier is noticed here, and one that dies later is
        // noticed by the monitor.
        if watch.parent.masterIsGone { throw .masterIsGone(pid: child.masterPID) }
        let wake = watch.signals.wakeDescriptor
        child.setDrainRequest { [watch] in
            watch.isDrainRequested.store(true, ordering: .sequentiallyConsistent)
            Channel.send(0, to: wake)
        }
        let thread: Thread
        do throws(SystemError) {
            // The monitor takes only the signals that it handles. The program may block any other in all of its threads
            // and wait for it (sigwait(3)), and the kernel would deliver it to a thread that does not block it.
            thread = try SignalMask.withAllBlocked { mask throws(SystemError) in
                try Thread { watch.run(mask) }
            }
        } catch {
            child.setDrainRequest(nil)
            throw .system(error)
        }
        return Running(watch: watch, thread: thread)
    }

    /// The running thread. Its owner must end it.
    struct Running: ~Copyable {
        fileprivate let watch: ChildMonitor
        fileprivate let thread: Thread

        /// Ends the thread. The signal handlers are restored when the monitor is deallocated.
        consuming func end() {
            watch.child.setDrainRequest(nil)
            // The flag is set before the byte is sent, because the thread checks the flag after each wake-up. The
            // descriptor belongs to the monitor, which lives until after the join, so it cannot be closed yet.
            watch.isOver.store(true, ordering: .sequentiallyConsistent)
            Channel.send(0, to: watch.signals.wakeDescriptor)
            thread.join()
        }
    }

    // MARK: The thread

    /// The deadlines and conditions that the thread waits for.
    private struct Plan {
        var masterLives = true
        var drainBegan: Instant?
        var cancelAt: Instant?
        var exitAt: Instant?
        /// Code of the program for which no thread could be started yet.
        var pending: [@Sendable () -> Void] = []

        var deadline: Instant? { [cancelAt, exitAt].compactMap { $0 }.min() }
    }

    /// - Parameter mask: of the thread that has started the child. The program's own code gets it.
    private func run(_ mask: SignalMask) {
        signals.unblock()
        var plan = Plan()
        while !isOver.load(ordering: .sequentiallyConsistent) {
            let watched = wait(plan)
            let now = System.now()
            let received = signals.take()
            if received.signals.contains(.terminate) {
                let sender = received.sender ?? SignalSender(pid: 0, user: 0)
                beginDrain(.signal(sender: sender.pid, user: sender.user), now, &plan)
            }
            if isDrainRequested.load(ordering: .sequentiallyConsistent) { beginDrain(.program, now, &plan) }
            if plan.masterLives, isGone(watched) { masterDied(now, &plan) }
            if let due = plan.cancelAt, due <= now { cancelServe(now, &plan) }
            if let due = plan.exitAt, due <= now {
                EventLog.write("not drained within \(configuration.shutdown.gracePeriod.inSeconds); exiting")
                System.exitNow(Self.lateStatus)
            }
            startPending(&plan, mask)
        }
    }

    private func wait(_ plan: Plan) -> PollSet {
        var watched = PollSet(wake: signals.descriptor.raw)
        var deadline = plan.deadline
        if !plan.pending.isEmpty {
            let next = System.now() + Self.retryInterval
            deadline = min(deadline ?? next, next)
        }
        if plan.masterLives {
            let channel = configuration.testing.watchesChannel ? child.channelDescriptor : -1
            watched.add(parent.descriptor, .exit(pid: child.masterPID))
            watched.add(channel, .channel(pid: child.masterPID))
            if let interval = parent.pollInterval {
                let next = System.now() + interval
                deadline = min(deadline ?? next, next)
            }
        }
        watched.wait(until: deadline)
        return watched
    }

    /// Begins the drain. Further calls do nothing.
    private func beginDrain(_ origin: Prefork.DrainOrigin, _ now: Instant, _ plan: inout Plan) {
        guard plan.drainBegan == nil else { return }
        plan.drainBegan = now
        plan.cancelAt = cancelTime(now)
        plan.exitAt = now + configuration.shutdown.gracePeriod + Self.selfMargin
        // Announced first, so that the master steers new connections elsewhere while this child still accepts.
        child.announceDrain(origin)
        drain(&plan)
    }

    private func cancelServe(_ now: Instant, _ plan: inout Plan) {
        plan.cancelAt = nil
        let drained = now - (plan.drainBegan ?? now)
        if configuration.shutdown.drainPolicy != .cancel { child.send(.cancelling(after: drained)) }
        if let cancel = child.prepareCancellation() { plan.pending.append(cancel) }
    }

    /// Whether the master is gone. Its exit is noticed at once or by polling. The hang-up of the channel is a second
    /// sign, for a system that has neither.
    private func isGone(_ watched: PollSet) -> Bool {
        let ready = watched.ready
        if ready.contains(.exit(pid: child.masterPID)) || parent.masterIsGone { return true }
        guard ready.contains(.channel(pid: child.masterPID)) else { return false }
        return Channel.receive(from: child.channelDescriptor) == .hungUp
    }

    private func masterDied(_ now: Instant, _ plan: inout Plan) {
        plan.masterLives = false
        let grace = configuration.shutdown.gracePeriod
        switch configuration.masterDeath.policy {
        case .drain:
            plan.drainBegan = plan.drainBegan ?? now
            plan.cancelAt = plan.cancelAt ?? cancelTime(now)
            plan.exitAt = min(plan.exitAt ?? now + grace, now + grace)
            EventLog.write("the master \(child.masterPID) is gone; draining for up to \(grace.inSeconds)")
            child.closeUntakenListeners()
            if configuration.signals.children == .unhandled { System.signalSelf(.terminate) }
            drain(&plan)
        case .exit(let status): System.exitNow(status)
        case .call(let body): plan.pending.append(body)
        case .ignore: break
        }
    }

    private func cancelTime(_ now: Instant) -> Instant {
        let grace = configuration.shutdown.gracePeriod
        return configuration.shutdown.drainPolicy == .cancel ? now : now + grace - min(Self.cancelMargin, grace / 10)
    }

    private func drain(_ plan: inout Plan) {
        let callbacks = child.beginDrain()
        if callbacks.isEmpty { return }
        plan.pending.append { [child] in
            for callback in callbacks { callback() }
            child.callbacksEnded()
        }
    }

    /// Starts a thread for each piece of the program's code. If the system cannot start one, it is tried again later.
    private func startPending(_ plan: inout Plan, _ mask: SignalMask) {
        while let body = plan.pending.first {
            do throws(SystemError) {
                try Thread {
                    mask.apply()
                    body()
                }.detach()
                plan.pending.removeFirst()
            } catch {
                EventLog.write("\(error); trying again")
                return
            }
        }
    }
}
