import PreforkLibc

/// The loop that feeds the `Supervisor` and carries out its actions. It stays on one thread.
final class Master {
    let observe: @Sendable (Prefork.Event) -> Void
    let configuration: Prefork.Configuration
    let mechanisms: Prefork.Mechanisms
    /// When the call of `run` began.
    let startedAt: Instant
    /// Whether the process ends after this run, however the run ends.
    let isLast: Bool
    let handle: FleetHandle
    var launcher: ChildLauncher

    var supervisor: Supervisor
    /// Inputs that came while another was handled.
    var inputs: [Supervisor.Input] = []
    var isFeeding = false
    var listeners = ListenerSet()
    var children = [Int32: ChildHandle]()
    /// The listeners that were bound because children have asked for them, by their addresses.
    var requested: [String: RequestedListener] = [:]
    /// How often children have got one of them.
    var useCount = 0
    /// The last address that a child has asked for, if it could not be bound.
    var refusedBind: (address: Prefork.Address, error: SystemError)?
    /// The number of slots if each of them gets its own socket for a TCP listener that children ask for.
    var shards: Int?
    /// `nil` unless the master looks for children that let connections wait.
    var stalls: StallWatch?
    /// When to look at the memory of the children. `nil` for never.
    var nextMemoryCheck: Instant?
    /// The retired slots whose queues are not empty yet.
    var retiring: [RetiringQueue] = []
    var readiness = FleetReadiness()
    /// `nil` unless a service manager wants to be told about the fleet.
    var serviceManager: ServiceManager?
    /// `nil` unless the kernel gives orphans to this process.
    var orphans: OrphanWatch?
    /// The first error that a hook threw. `run` throws it as it is.
    var hookError: (any Error)?
    /// Whether a signal began the stop.
    var isStoppedBySignal = false
    /// The signal that came after the stop had begun for another reason.
    var lateStop: Signal?
    /// Children that have ended according to their descriptors, but cannot be reaped because something traces them.
    private var held: [Int32] = []
    private var nextLookAtHeld: Instant?
    /// `nil` unless there is a control socket.
    var control: ControlServer?

    /// The time between two checks of children that no descriptor watches. It bounds the delay if another library
    /// removes the handler of SIGCHLD.
    private static let sweepInterval: Duration = .seconds(1)
    private static let endingInterval: Duration = .milliseconds(50)
    private static let heldInterval: Duration = .milliseconds(200)
    /// The largest number of reads for the last messages of a child.
    private static let lastReads = 8

    init(
        _ configuration: Prefork.Configuration,
        _ launcher: ChildLauncher,
        _ mechanisms: Prefork.Mechanisms,
        _ handle: FleetHandle,
        _ supervisor: Supervisor,
        startedAt: Instant,
        isLast: Bool
    ) {
        self.configuration = configuration
        self.launcher = launcher
        self.mechanisms = mechanisms
        self.handle = handle
        self.supervisor = supervisor
        self.startedAt = startedAt
        self.isLast = isLast
        observe = configuration.observe ?? Prefork.logToStandardError
        orphans = OrphanWatch(configuration)
        stalls = configuration.health.queueStallTimeout.map { StallWatch(timeout: $0, at: System.now()) }
        nextMemoryCheck = configuration.recycling.above.map { _ in System.now() + configuration.recycling.interval }
    }

    /// Connects to the service manager that has started this process, if there is one.
    func findServiceManager() { serviceManager = ServiceManager(report: observe) }

    func prepareAffinity() {
        if let error = launcher.prepareAffinity() { observe(.systemError(error)) }
    }

    /// Binds, then supervises until no child is left.
    func run(_ plan: ListenerSet.Plan, _ signals: borrowing SignalHandling) throws {
        // Bound in a local set, because a signal that arrives before everything is bound looks at `listeners`.
        var bound = ListenerSet()
        defer {
            handle.publish(listeners: [])
            bound.close()
        }
        let isBound = try bound.bind(plan, configuration, observe: observe) { delay in
            isStopRequested(within: delay, signals)
        }
        listeners = bound
        shards = plan.isSharded ? plan.slots : nil
        handle.publish(listeners: listeners.views)
        if isBound {
            try openControlSocket()
            superviseUntilEmpty(signals)
        }
        if let hookError { throw hookError }
        guard let failure = supervisor.failure else { return }
        // The exits of the children only repeat it.
        if case .overRecovery = failure.payload, !supervisor.hasBeenUp, let (address, error) = refusedBind {
            throw PreforkError.cannotListen(address, error)
        }
        throw failure
    }

    // MARK: The loop

    /// Each turn waits, then handles signals and requests, messages of children, exits, and timers, in this order.
    private func superviseUntilEmpty(_ signals: borrowing SignalHandling) {
        while supervisor.phase != .finished {
            var watched = PollSet(wake: signals.descriptor.raw)
            watch(&watched)
            let isKnown = wait(&watched)
            let childHasEnded = handleSignals(signals)
            let ready = watched.ready
            for case .channel(let pid) in ready { receiveMessages(from: pid) }
            let all = childHasEnded || !isKnown || children.values.contains { $0.exitDescriptor == -1 }
            let ended = ready.compactMap { if case .exit(let pid) = $0 { pid } else { nil } }
            reapChildren(all ? Array(children.keys) : ended)
            let now = System.now()
            holdBack(ended, now)
            if listeners.isClosed(ready: supervisor.acceptingSlots, at: now) { feed(.admissionClosed) }
            listeners.release(at: now)
            checkRetiringQueues(at: now)
            if let deadline = supervisor.nextDeadline, deadline <= now { feed(.timer) }
            for event in listeners.checkQueues(at: now) { observe(event) }
            reapOrphans(now)
            checkMemory(at: now)
            checkStalls(at: now)
            EventLog.writeSummaries(at: now)
            publish()
            noteReadiness(at: now)
            updateServiceManager(at: now)
            serveControl(watched)
        }
    }

    func publish() { handle.publish(&supervisor, addresses: listeners.addresses) }

    /// Waits for this long, or until a stop is requested.
    private func isStopRequested(within delay: Duration, _ signals: borrowing SignalHandling) -> Bool {
        let deadline = System.now() + delay
        while true {
            // Checked before the wait, because an earlier request may have left no byte that wakes this thread.
            _ = handleSignals(signals)
            if supervisor.isStopping { return true }
            let now = System.now()
            if now >= deadline { return false }
            reapOrphans(now)
            var watched = PollSet(wake: signals.descriptor.raw)
            let next = min(deadline, orphans?.next ?? deadline)
            watched.wait(until: next)
        }
    }

    /// Whether children are replaced and exits are handled. While slots are filled for the first time they are not, so
    /// that `onMasterReady` comes before any recovery. A child that is ready is in rotation at once.
    var isSupervising: Bool {
        if case .filling = supervisor.phase { false } else { true }
    }

    private func watch(_ watched: inout PollSet) {
        // An exit that is not handled yet would keep poll(2) from waiting.
        let exits = isSupervising
        for child in children.values {
            if exits, !held.contains(child.pid) { watched.add(child.exitDescriptor, .exit(pid: child.pid)) }
            watched.add(child.channelDescriptor, .channel(pid: child.pid))
        }
        control?.watch(&watched)
    }

    /// - Returns: false if poll(2) failed and nothing is known.
    private func wait(_ watched: inout PollSet) -> Bool {
        var deadline = [
            supervisor.nextDeadline, listeners.nextClosingStep, listeners.nextQueueCheck, orphans?.next,
            nextLookAtHeld, EventLog.next, retiring.map(\.next).min(), nextMemoryCheck, stalls?.next,
            serviceManager?.next, control?.nextDeadline(at: System.now()),
        ].compactMap { $0 }.min()
        let unwatched = children.values.filter { $0.exitDescriptor == -1 }
        if !unwatched.isEmpty {
            // A child that has closed its channel is about to end.
            let isEnding = unwatched.contains(where: \.hasHungUp)
            let sweep = System.now() + (isEnding ? Self.endingInterval : Self.sweepInterval)
            deadline = min(deadline ?? sweep, sweep)
        }
        // An error must not leave the children unsupervised.
        guard let error = watched.wait(until: deadline) else { return true }
        observe(.systemError(error))
        return false
    }

    // MARK: Children

    /// - Returns: whether there may be more.
    @discardableResult
    func receiveMessages(from pid: Int32) -> Bool {
        guard let child = children[pid] else { return false }
        switch child.receive(at: System.now()) {
        case .messages(let messages):
            for message in messages { handle(message, child) }
            return !messages.isEmpty
        case .hungUp:
            repairListeners(suspect: (child.slot, pid))
            feed(.hungUp(pid: pid))
        case .fault(let fault): observe(.channelFault(slot: child.slot, pid: pid, reason: "\(fault)"))
        }
        return false
    }

    private func handle(_ message: ChildMessage, _ child: ChildHandle) {
        switch message {
        case .ready(let cost):
            // Restored at each such message, because the child's framework may have called listen(2) after the first
            // one.
            listeners.restoreBacklog(of: child.slot)
            feed(.ready(pid: child.pid, startCost: cost))
        case .draining(let origin):
            repairListeners(suspect: (child.slot, child.pid))
            feed(.draining(pid: child.pid, origin))
        case .bind(let request):
            guard let reply = child.takeReply() else {
                return observe(.systemError(SystemError(call: "recvmsg", code: EMFILE, context: "a request to bind")))
            }
            answer(request, of: child, on: reply)
        case .beat: feed(.beat(pid: child.pid))
        case .replace: feed(.recycle(pid: child.pid, .child))
        case .cancelling(let drained): observe(.cancelling(slot: child.slot, pid: child.pid, after: drained))
        }
    }

    /// Reaps those of these children that have ended.
    private func reapChildren(_ pids: [Int32]) {
        guard isSupervising else { return }
        for pid in pids {
            // The last messages are read before the wait. A child that became ready and ended at once counts as ready.
            for _ in 0..<Self.lastReads where !receiveMessages(from: pid) { break }
            // Until this wait, the number is a zombie's and cannot become another process's. After it, nothing signals
            // the number.
            guard let child = children[pid], let (status, processorTime) = ExitWatch.reap(pid) else { continue }
            children[pid] = nil
            repairListeners(suspect: (child.slot, pid))
            let isOutOfMemory = launcher.isOutOfMemory(child, status)
            feed(.exited(pid: pid, .init(status: status, processorTime: processorTime, isOutOfMemory: isOutOfMemory)))
            dropQueue(of: child.slot)
        }
    }

    /// The kernel reports the end of a child, but does not let its parent reap it while a tracer holds it (ptrace(2)).
    /// Its descriptor would wake the loop at once, again and again, so the child is checked only at intervals.
    private func holdBack(_ ended: [Int32], _ now: Instant) {
        if let next = nextLookAtHeld, next <= now {
            reapChildren(held)
            nextLookAtHeld = nil
        }
        if held.isEmpty && ended.isEmpty { return }
        held = (held + ended).filter { children[$0] != nil }
        nextLookAtHeld = held.isEmpty ? nil : nextLookAtHeld ?? now + Self.heldInterval
    }

    private func reapOrphans(_ now: Instant) {
        if let event = orphans?.reap(except: Set(children.keys), at: now) { observe(event) }
    }

    // MARK: Listeners

    /// Makes listeners that a child has stopped for all processes listen again.
    /// - Parameters:
    ///   - slot: checks this slot's sockets only.
    ///   - suspect: the child that last did something which programs combine with shutdown(2).
    func repairListeners(
        slot: Int? = nil, isStarting: Bool = false, suspect: (slot: Int, pid: Int32)?
    ) {
        if supervisor.isStopping { return }
        let events = listeners.repair(
            slot: slot, isStarting: isStarting,
            suspect: suspect.map { .init(slot: $0.slot, pid: $0.pid, isCertain: supervisor.target == 1) },
            owner: { supervisor.slots[$0].current?.pid ?? supervisor.slots[$0].lastPID })
        if events.isEmpty { return }
        for event in events + listeners.steer(to: supervisor.rotation) { observe(event) }
        // A Unix-domain socket may have been replaced.
        handle.publish(listeners: listeners.views)
    }
}
