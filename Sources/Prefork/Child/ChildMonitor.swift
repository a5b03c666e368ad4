import Synchronization

/// A child's one thread of Prefork's: it waits for SIGTERM and for the master's death, and sets the drain off.
final class ChildMonitor: Sendable {
    /// The serve task is cancelled that long before the grace period ends, or a tenth of it where that is shorter.
    private static let cancelMargin: Duration = .milliseconds(500)
    /// A child that was told to leave by somebody else than its master has nobody who kills it: it leaves by itself.
    private static let selfMargin: Duration = .seconds(1)
    private static let lateStatus: CInt = 75  // EX_TEMPFAIL of sysexits.h

    private let child: Prefork.Child
    private let configuration: Prefork.Configuration
    private let signals: SignalHandling
    private let parent: ParentWatcher
    private let isOver = Atomic<Bool>(false)

    private init(_ child: Prefork.Child, _ configuration: Prefork.Configuration) throws(SystemError) {
        let handled = configuration.signals.children == .handled
        self.child = child
        self.configuration = configuration
        // Handlers belong to the process, the mask to the thread: that one unblocks the signals for itself.
        signals = try SignalHandling(
            handled: handled ? [.terminate] : [], silenced: handled ? [.interrupt] : [], unblocking: false)
        parent = ParentWatcher(
            masterPID: child.masterPID,
            isPolling: (configuration.testing.mechanisms?.exitNotice ?? Prefork.Mechanisms.probeExitNotice())
                == .signalAndPolling,
            interval: configuration.masterDeath.pollInterval)
    }

    /// Arms the watch and starts the thread, without waiting for it: no signal and no death after this goes unnoticed. A
    /// signal that all other threads block stays pending until the watch's thread has begun.
    /// - Throws: ``PreforkError/Code/masterIsGone`` where it is too late already.
    static func begin(_ child: Prefork.Child, _ configuration: Prefork.Configuration) throws(PreforkError) -> Running {
        let watch = try wrappingSystemErrors { () throws(SystemError) in try ChildMonitor(child, configuration) }
        // After the watch is armed: a master that died before is seen here, one that dies later by the watch.
        if watch.parent.masterIsGone { throw .masterIsGone(pid: child.masterPID) }
        let thread = try wrappingSystemErrors { () throws(SystemError) in try Thread { watch.run() } }
        return Running(watch: watch, thread: thread)
    }

    /// The running thread, to be ended by the one who began it.
    struct Running: ~Copyable {
        fileprivate let watch: ChildMonitor
        fileprivate let thread: Thread

        /// Ends the thread; the signal handlers are put back with the end of the watch.
        consuming func end() {
            // The flag first, then the byte: the thread looks at the flag after each wake-up. The number is the watch's, which
            // is ours until after the join: nobody can close it before.
            watch.isOver.store(true, ordering: .sequentiallyConsistent)
            Channel.send(0, to: watch.signals.wakeDescriptor)
            thread.join()
        }
    }

    // MARK: The thread

    private func run() {
        signals.unblock()
        var masterLives = true
        var cancelAt: Instant?
        var exitAt: Instant?
        while !isOver.load(ordering: .sequentiallyConsistent) {
            var watched = PollSet(wake: signals.descriptor.raw)
            var deadline = cancelAt.map { min($0, exitAt ?? $0) } ?? exitAt
            if masterLives {
                let channel = configuration.testing.watchesChannel ? child.channelDescriptor : -1
                watched.add(parent.descriptor, .exit(pid: child.masterPID))
                watched.add(channel, .channel(pid: child.masterPID))
                if let interval = parent.pollInterval {
                    let next = System.now() + interval
                    deadline = min(deadline ?? next, next)
                }
            }
            watched.wait(until: deadline)
            let now = System.now()
            if signals.take().signals.contains(.terminate), exitAt == nil {
                let grace = configuration.shutdown.gracePeriod
                cancelAt = cancelTime(now)
                exitAt = now + grace + Self.selfMargin
                drain()
            }
            if masterLives, isGone(watched) {
                masterLives = false
                if case .drain = configuration.masterDeath.policy {
                    cancelAt = cancelAt ?? cancelTime(now)
                    exitAt = min(
                        exitAt ?? now + configuration.shutdown.gracePeriod,
                        now + configuration.shutdown.gracePeriod
                    )
                }
                handleMasterDeath()
            }
            if let due = cancelAt, due <= now {
                cancelAt = nil
                child.cancelServe()
            }
            if let due = exitAt, due <= now {
                EventLog.write("not drained within \(configuration.shutdown.gracePeriod.inSeconds); leaving")
                System.exitNow(Self.lateStatus)
            }
        }
    }

    /// The watch on the process tells at once or by polling; the hang-up of the child channel is the second sign, for a
    /// system that has neither.
    private func isGone(_ watched: PollSet) -> Bool {
        let ready = watched.ready
        if ready.contains(.exit(pid: child.masterPID)) || parent.masterIsGone { return true }
        guard ready.contains(.channel(pid: child.masterPID)) else { return false }
        return Channel.receive(from: child.channelDescriptor) == .hungUp
    }

    private func cancelTime(_ now: Instant) -> Instant {
        let grace = configuration.shutdown.gracePeriod
        return configuration.shutdown.drainPolicy == .cancel ? now : now + grace - min(Self.cancelMargin, grace / 10)
    }

    private func drain() {
        let callbacks = child.beginDrain()
        if callbacks.isEmpty { return }
        inOwnThread { [child] in
            for callback in callbacks { callback() }
            child.callbacksEnded()
        }
    }

    private func handleMasterDeath() {
        switch configuration.masterDeath.policy {
        case .drain:
            let grace = configuration.shutdown.gracePeriod.inSeconds
            EventLog.write("the master \(child.masterPID) is gone; draining for at most \(grace)")
            child.closeUntakenListeners()
            if configuration.signals.children == .unhandled { System.signalSelf(.terminate) }
            drain()
        case .exit(let status): System.exitNow(status)
        case .call(let body): inOwnThread(body)
        case .ignore: break
        }
    }

    /// The user's code may wait; this thread has deadlines to keep.
    private func inOwnThread(_ body: @escaping @Sendable () -> Void) {
        do {
            try Thread(body).detach()
        } catch {
            EventLog.write("\(error)")
            body()
        }
    }
}
