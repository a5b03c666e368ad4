import PreforkLibc

/// The loop that feeds the `Supervisor` and carries out its actions. It stays on one thread.
final class Master {
    let observe: @Sendable (Prefork.Event) -> Void
    let configuration: Prefork.Configuration
    let mechanisms: Prefork.Mechanisms
    /// When the call of `run` began.
    let startedAt: Instant
    /// The number of children in the configuration and the environment.
    let configuredChildren: Int
    /// Since when the fleet waits until it is ready.
    var readySince: Instant
    /// Whether the process ends after this run, however the run ends.
    let isLast: Bool
    let handle: FleetHandle
    var launcher: ChildLauncher
    let watch: ChildWatch

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
    /// `nil` unless the program of this process was replaced by one that listens on other addresses.
    var departing: DepartingListeners?
    /// The generation whose program this process is about to execute.
    var handingOver: Int?
    /// The descriptors that were there when the first program of this process started, if this is another one.
    var inherited: [CInt]?
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
    /// Whether the rotation has changed since the kernel was told.
    var needsSteering = false
    /// When all listeners may be checked again, and whether that was put off until then.
    var nextFullCheck: Instant = .distantPast
    var isFullCheckDue = false
    /// `nil` unless there is a control socket.
    var control: ControlServer?

    /// The largest number of reads for the last messages of a child.
    private static let lastReads = 8

    init(
        _ configuration: Prefork.Configuration,
        _ launcher: ChildLauncher,
        _ watch: ChildWatch,
        _ mechanisms: Prefork.Mechanisms,
        _ handle: FleetHandle,
        _ supervisor: Supervisor,
        startedAt: Instant,
        configuredChildren: Int,
        isLast: Bool
    ) {
        self.configuration = configuration
        self.launcher = launcher
        self.watch = watch
        self.mechanisms = mechanisms
        self.handle = handle
        self.supervisor = supervisor
        self.startedAt = startedAt
        readySince = startedAt
        self.configuredChildren = configuredChildren
        self.isLast = isLast
        observe = configuration.observe ?? Prefork.logToStandardError
        orphans = OrphanWatch(configuration)
        stalls = configuration.health.queueStallTimeout.map { StallWatch(timeout: $0, at: System.now()) }
        nextMemoryCheck = configuration.recycling.above.map { _ in System.now() + configuration.recycling.interval }
    }

    /// Connects to the service manager that has started this process, if there is one.
    /// - Parameter restart: see `ServiceNotifier`.
    func findServiceManager(afterHandover restart: Bool?) {
        serviceManager = ServiceManager(afterHandover: restart, report: observe)
    }

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
        try throwFailure()
    }

    /// Throws if the fleet has not ended in order.
    func throwFailure() throws {
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
    func superviseUntilEmpty(_ signals: borrowing SignalHandling) {
        while supervisor.phase != .finished {
            let watched = wait(signals)
            let childHasEnded = handleSignals(signals)
            let ready = readyChildren()
            for case .channel(let pid) in ready { receiveMessages(from: pid) }
            if isSupervising { reapChildren(ready, childHasEnded) }
            let now = System.now()
            if listeners.isClosed(ready: supervisor.acceptingSlots, at: now) { feed(.admissionClosed) }
            listeners.release(at: now)
            checkRetiringQueues(at: now)
            if let deadline = supervisor.nextDeadline, deadline <= now { feed(.timer) }
            makeUpForCheck(at: now)
            steer()
            for event in listeners.checkQueues(at: now) { observe(event) }
            reapOrphans(now)
            checkMemory(at: now)
            checkStalls(at: now)
            endDeparting(at: now)
            EventLog.writeSummaries(at: now)
            publish()
            noteReadiness(at: now)
            handOver(signals)
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

    private func wait(_ signals: borrowing SignalHandling) -> PollSet {
        var watched = PollSet(wake: signals.descriptor.raw)
        watched.add(watch.raw, .children)
        control?.watch(&watched)
        let now = System.now()
        let deadline = [
            supervisor.nextDeadline, listeners.nextClosingStep, listeners.nextQueueCheck, orphans?.next,
            watch.nextLook(at: now), EventLog.next, retiring.map(\.next).min(), nextMemoryCheck, stalls?.next,
            serviceManager?.next, control?.nextDeadline(at: now), isFullCheckDue ? nextFullCheck : nil,
            departing?.next,
        ].compactMap { $0 }.min()
        if let error = watched.wait(until: deadline) { observe(.systemError(error)) }
        return watched
    }

    /// Looked at even if poll(2) has failed, because an error must not leave the children unsupervised.
    private func readyChildren() -> [EventQueue.Token] {
        do throws(SystemError) {
            return try watch.ready()
        } catch {
            observe(.systemError(error))
            return []
        }
    }

    // MARK: Children

    func admit(_ child: ChildHandle) {
        children[child.pid] = child
        watch.add(child)
    }

    /// - Returns: whether there may be more.
    @discardableResult
    func receiveMessages(from pid: Int32) -> Bool {
        guard let child = children[pid] else { return false }
        switch child.receive(at: System.now()) {
        case .messages(let messages):
            for message in messages { handle(message, child) }
            return !messages.isEmpty
        case .hungUp:
            watch.removeChannel(child)
            watch.noteHangUp(pid)
            child.closeChannel()
            repairListeners(of: child.slot, suspect: pid)
            feed(.hungUp(pid: pid))
        case .fault(let fault):
            watch.removeChannel(child)
            observe(.channelFault(slot: child.slot, pid: pid, reason: "\(fault)"))
        }
        return false
    }

    private func handle(_ message: ChildMessage, _ child: ChildHandle) {
        switch message {
        case .ready(let cost, let version):
            child.handoverVersion = version
            // Restored at each such message, because the child's framework may have called listen(2) after the first
            // one.
            listeners.restoreBacklog(of: child.slot)
            feed(.ready(pid: child.pid, startCost: cost))
        case .draining(let origin):
            repairListeners(of: child.slot, suspect: child.pid)
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

    /// Reaps the children that have ended.
    /// - Parameter childHasEnded: whether there is one that no descriptor reports.
    private func reapChildren(_ ready: [EventQueue.Token], _ childHasEnded: Bool) {
        let now = System.now()
        for case .exit(let pid) in ready where !reap(pid) {
            if let child = children[pid] { watch.hold(child, at: now) }
        }
        for pid in watch.due(at: now) { reap(pid) }
        guard childHasEnded else { return }
        // Other processes may have the channels of the rest.
        while let pid = ExitWatch.anyEnded() {
            if reap(pid) { continue }
            // It is not a child of the fleet, and hides those that are.
            for pid in watch.unwatched { reap(pid) }
            return
        }
    }

    /// - Returns: whether it was a child, and had ended.
    @discardableResult
    func reap(_ pid: Int32) -> Bool {
        // The last messages are read before the wait. A child that became ready and ended at once counts as ready.
        for _ in 0..<Self.lastReads where !receiveMessages(from: pid) { break }
        // Until this wait, the number is a zombie's and cannot become another process's. After it, nothing signals the
        // number.
        guard let child = children[pid], let (status, processorTime) = ExitWatch.reap(pid) else { return false }
        watch.remove(child)
        children[pid] = nil
        repairListeners(of: child.slot, suspect: pid)
        let isOutOfMemory = launcher.isOutOfMemory(child, status)
        feed(.exited(pid: pid, .init(status: status, processorTime: processorTime, isOutOfMemory: isOutOfMemory)))
        dropQueue(of: child.slot)
        return true
    }

    private func reapOrphans(_ now: Instant) {
        guard let next = orphans?.next, next <= now else { return }
        if let event = orphans?.reap(except: Set(children.keys), at: now) { observe(event) }
    }
}
