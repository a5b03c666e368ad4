import Synchronization

/// A child's one thread of Prefork's: it waits for SIGTERM and for the master's death, and sets the drain off.
final class ChildWatch: Sendable {
    /// The serve task is cancelled that long before the grace period ends, or a tenth of it where that is shorter.
    private static let cancelMargin: Duration = .milliseconds(500)
    /// A child that was told to leave by somebody else than its master has nobody who kills it: it leaves by itself.
    private static let selfMargin: Duration = .seconds(1)
    private static let lateStatus: CInt = 75  // EX_TEMPFAIL of sysexits.h

    private enum Start {
        case pending
        case armed(wake: CInt)
        case failed(PreforkError)
        case ended
    }

    private let child: Prefork.Child
    private let configuration: Prefork.Configuration
    private let start = Protected(Start.pending)
    private let isOver = Atomic<Bool>(false)

    private init(_ child: Prefork.Child, _ configuration: Prefork.Configuration) {
        self.child = child
        self.configuration = configuration
    }

    /// Starts the thread and returns when it watches: no signal and no death after this goes unnoticed.
    /// - Throws: ``PreforkError/masterIsGone(pid:)`` where it is too late already.
    static func begin(
        _ child: Prefork.Child,
        _ configuration: Prefork.Configuration
    ) throws(PreforkError) -> Running {
        let watch = ChildWatch(child, configuration)
        do {
            let gate = try Channel.makePair()
            let armed = gate.second.raw
            let thread = try Thread { watch.run(armed: armed) }
            // The gate outlives the thread's one use of it: it is read before the pair ends.
            var requests = Watched(wake: gate.first.raw)
            while !requests.isWoken {
                // It is joined or runs on: giving up here would leave it to a gate that is gone.
                if (try? System.poll(&requests.requests, until: nil)) == nil { System.pause(milliseconds: 10) }
            }
            gate.close()
            switch watch.start.withLock({ $0 }) {
            case .armed: return Running(watch: watch, thread: thread)
            case .failed(let error):
                thread.join()
                throw error
            case .pending, .ended: preconditionFailure("the gate opens after the start, and nobody has ended it")
            }
        } catch let error as SystemError {
            throw .system(error)
        } catch let error as PreforkError {
            throw error
        } catch {
            preconditionFailure("the two types above are all")
        }
    }

    /// The running thread, to be ended by the one who began it.
    struct Running: ~Copyable {
        fileprivate let watch: ChildWatch
        fileprivate let thread: Thread

        /// Ends the thread and puts the signal handlers back.
        consuming func end() {
            // The flag first, then the byte: the thread looks at the flag after each wake-up. Under the lock that the thread
            // takes before it closes the number: woken by something else it may be that far already.
            watch.isOver.store(true, ordering: .sequentiallyConsistent)
            watch.start.withLock { start in
                if case .armed(let wake) = start { Channel.send(0, to: wake) }
            }
            thread.join()
        }
    }

    // MARK: The thread

    private func run(armed: CInt) {
        let handled = configuration.childSignals == .handled
        let signals: SignalHandling
        do {
            signals = try SignalHandling(handled: handled ? [.terminate] : [], silenced: handled ? [.interrupt] : [])
        } catch {
            start.withLock { $0 = .failed(.system(error)) }
            Channel.send(0, to: armed)
            return
        }
        let mechanism = (configuration.mechanisms ?? .probe()).exitNotice
        let parent = ParentWatcher(
            masterID: child.masterPID,
            mechanism: mechanism,
            interval: configuration.parentPollInterval
        )
        // After the watch is armed: a master that died before is seen here, one that dies later by the watch.
        let isOrphan = parent.masterIsGone
        let state: Start =
            isOrphan ? .failed(.masterIsGone(pid: child.masterPID)) : .armed(wake: signals.wakeDescriptor)
        start.withLock { $0 = state }
        Channel.send(0, to: armed)
        if !isOrphan {
            watch(signals, parent)
            start.withLock { $0 = .ended }
        }
        signals.restore()
    }

    private func watch(_ signals: borrowing SignalHandling, _ parent: borrowing ParentWatcher) {
        var masterLives = true
        var cancelAt: Instant?
        var leaveAt: Instant?
        while !isOver.load(ordering: .sequentiallyConsistent) {
            var watched = Watched(wake: signals.descriptor.raw)
            var deadline = [cancelAt, leaveAt].compactMap { $0 }.min()
            if masterLives {
                let control = configuration.watchesControlChannel ? child.controlDescriptor : -1
                watched.add(child.masterPID, exit: parent.descriptor, control: control)
                if let interval = parent.pollInterval {
                    let next = System.now() + interval
                    deadline = min(deadline ?? next, next)
                }
            }
            if (try? System.poll(&watched.requests, until: deadline)) == nil { System.pause(milliseconds: 10) }
            let now = System.now()
            if signals.take().signals.contains(.terminate), leaveAt == nil {
                let grace = configuration.shutdownGracePeriod
                cancelAt = cancelTime(now)
                leaveAt = now + grace + Self.selfMargin
                drain()
            }
            if masterLives, isGone(parent, watched) {
                masterLives = false
                if case .drain = configuration.onMasterDeath {
                    cancelAt = cancelAt ?? cancelTime(now)
                    leaveAt = min(
                        leaveAt ?? now + configuration.shutdownGracePeriod,
                        now + configuration.shutdownGracePeriod
                    )
                }
                leaveOrphaned()
            }
            if let due = cancelAt, due <= now {
                cancelAt = nil
                child.cancelServe()
            }
            if let due = leaveAt, due <= now {
                EventLog.write("not drained within \(configuration.shutdownGracePeriod.inSeconds); leaving")
                System.exitNow(Self.lateStatus)
            }
        }
    }

    /// The watch on the process tells at once or by polling; the hang-up of the control channel is the second sign, for a
    /// system that has neither.
    private func isGone(_ parent: borrowing ParentWatcher, _ watched: Watched) -> Bool {
        if !watched.pids(with: .exit).isEmpty || parent.masterIsGone { return true }
        guard !watched.pids(with: .control).isEmpty else { return false }
        return Channel.receive(from: child.controlDescriptor) == .hungUp
    }

    private func cancelTime(_ now: Instant) -> Instant {
        let grace = configuration.shutdownGracePeriod
        return configuration.onDrain == .cancel ? now : now + grace - min(Self.cancelMargin, grace / 10)
    }

    private func drain() {
        let callbacks = child.beginDrain()
        if callbacks.isEmpty { return }
        inOwnThread { for callback in callbacks { callback() } }
    }

    private func leaveOrphaned() {
        switch configuration.onMasterDeath {
        case .drain:
            let grace = configuration.shutdownGracePeriod.inSeconds
            EventLog.write("the master \(child.masterPID) is gone; draining for at most \(grace)")
            child.closeListenersOfOrphan()
            if configuration.childSignals == .unhandled { System.signalSelf(.terminate) }
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
