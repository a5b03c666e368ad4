/// The loop that feeds the `Supervisor` and carries out its actions. Lives in one thread from `run` to its end.
final class Master {
    private let configuration: Prefork.Configuration
    private let handle: FleetHandle
    private let mechanisms: Prefork.Mechanisms
    private let observe: @Sendable (Prefork.Event) -> Void
    private let executable: CString
    private let arguments: [CString]

    private var supervisor: Supervisor
    private var listeners = ListenerSet()
    private var children: [ChildHandle] = []
    /// Only where each child is to have a processor of its own.
    private var affinity: Affinity?
    /// Only where orphans come to us.
    private var orphans: OrphanWatch?
    private let outOfMemory = OutOfMemoryCount(System.text)
    private var outOfMemoryAttribution = OutOfMemoryAttribution()
    /// What a hook threw first: `run` throws it as it is.
    private var hookError: (any Error)?

    /// Where SIGCHLD tells of exits, and another library takes its handler away from us, this bounds what goes unnoticed.
    private static let sweepInterval: Duration = .seconds(1)
    private static let endingInterval: Duration = .milliseconds(50)

    /// Runs a fleet in this thread until it has stopped.
    /// - Parameter beforeReturn: called when all children are reaped and the signal handlers are still ours; may not return.
    /// - Throws: ``PreforkError`` when nothing could be started or the fleet gave up; what a hook threw.
    static func run(_ fleet: Prefork, token: RunToken, beforeReturn: Prefork.BeforeReturn) throws {
        let (addresses, configuration, handle) = (fleet.addresses, fleet.configuration, fleet.handle)
        // Before anything is opened: what is wrong in the configuration leaves no trace.
        try configuration.check()
        try checkAddresses(addresses)
        try configuration.tlsIdentity?.check()
        try fleet.adopting.check()
        let variable = System.environmentValue(Prefork.Configuration.concurrencyVariable)
        let allowed = ProcessorCount.current().allowed
        let count = try configuration.resolvedChildren(variable: variable, allowed: allowed)
        let mechanisms = configuration.testing.mechanisms ?? .probe()
        let master = try wrappingSystemErrors { () throws(SystemError) in
            try System.openStandardDescriptors()
            return try Master(configuration, count.count, mechanisms, handle)
        }
        // A resolver may take its time. Before TERM is handled its default ends this process meanwhile; but process 1 has no
        // defaults, so there the handlers come first, and the stop after the answer.
        let early = System.pid == 1 ? nil : try addresses.map(resolve)
        let signals = try wrappingSystemErrors { () throws(SystemError) in
            try SignalHandling(handled: handledSignals(configuration, mechanisms))
        }
        let resolved = try early ?? addresses.map(resolve)
        let statuses = ChildStatusKeeping()
        handle.begin(wake: signals.wakeDescriptor, token)

        master.observe(.mechanisms(mechanisms))
        if ProgramFile.isProcMissing { master.observe(.procIsMissing(program: master.executable.text)) }
        if let allowed = count.exceeds {
            master.observe(.moreChildrenThanProcessors(children: count.count, allowed: allowed))
        }
        if fleet.adopting.unused > 0 { master.observe(.notAdopted(fleet.adopting.unused)) }
        master.prepareAffinity()
        let result = Result {
            // After what else may fail: it may make what only its owner closes. And after the standard descriptors are open: none
            // of it takes their numbers.
            let adopted = try fleet.adopting.sockets()
            guard !addresses.isEmpty || !adopted.isEmpty else {
                throw PreforkError.invalidConfiguration("addresses", reason: "there is none to listen on")
            }
            let isSharded = try master.isSharded(resolved, children: count.count)
            let plan = ListenerSet.Plan(bound: resolved, adopted: adopted, slots: count.count, isSharded: isSharded)
            try master.run(plan, signals)
        }
        beforeReturn(result)

        // All children are reaped. First nobody may write to the pipe any more, then it and the handlers go; SIGCHLD's old
        // disposition comes last, ours was put over it.
        handle.end()
        signals.restore()
        statuses.restore()
        try result.get()
    }

    private func run(_ plan: ListenerSet.Plan, _ signals: borrowing SignalHandling) throws {
        // On the side until it is done: a signal that comes meanwhile looks at ours.
        var bound = ListenerSet()
        defer {
            handle.publish(listeners: [])
            bound.close()
        }
        let isBound = try bound.bind(plan, configuration, observe: observe) { delay in
            isStopRequested(within: delay, signals)
        }
        listeners = bound
        handle.publish(listeners: listeners.views)
        if isBound { superviseUntilEmpty(signals) }
        if let hookError { throw hookError }
        if let failure = supervisor.failure { throw failure }
    }

    /// Whether each slot gets a socket of its own.
    private func isSharded(_ wanted: [Listener.Resolved], children: Int) throws -> Bool {
        let count = wanted.filter { !$0.address.isUnix }.count
        guard count > 0, configuration.sockets.mode != .shared else { return false }
        let outcome = try wrappingSystemErrors { () throws(SystemError) in
            switch configuration.testing.shardingFault {
            case nil: try ReuseportProbe.run()
            case "": ReuseportProbe.Outcome.shardable
            case let reason?: ReuseportProbe.Outcome.notShardable(reason: reason)
            }
        }
        let reason: String
        if case .notShardable(let fault) = outcome {
            reason = fault
        } else if let fault = DescriptorLimit.fault(addresses: count, children: children) {
            reason = fault
        } else {
            return true
        }
        if configuration.sockets.mode == .sharded {
            throw PreforkError.invalidConfiguration("sockets.mode", reason: reason)
        }
        observe(.sharing(reason: reason))
        return false
    }

    private static func checkAddresses(_ addresses: [Prefork.Address]) throws(PreforkError) {
        for address in addresses {
            if let fault = address.fault { throw .invalidAddress(address.description, reason: fault) }
        }
    }

    private static func resolve(_ address: Prefork.Address) throws(PreforkError) -> Listener.Resolved {
        do throws(SystemError) {
            return try Listener.resolve(address)
        } catch {
            throw .cannotListen(address, error)
        }
    }

    private static func handledSignals(
        _ configuration: Prefork.Configuration,
        _ mechanisms: Prefork.Mechanisms
    ) -> [Signal] {
        (configuration.signals.master == .handled ? [.terminate, .interrupt, .user1] : [])
            + (mechanisms.exitNotice == .signalAndPolling || OrphanWatch.isNeeded(configuration) ? [.child] : [])
    }

    private init(
        _ configuration: Prefork.Configuration,
        _ children: Int,
        _ mechanisms: Prefork.Mechanisms,
        _ handle: FleetHandle
    ) throws(SystemError) {
        self.configuration = configuration
        self.handle = handle
        self.mechanisms = mechanisms
        observe = configuration.observe ?? Prefork.logToStandardError
        let own = ProcessArguments.own
        if let path = configuration.program.executable {
            executable = CString(path)
        } else {
            executable = try ProgramFile.path()
        }
        let name = configuration.program.executable.map { CString($0) } ?? own.first ?? executable
        arguments = [name] + (configuration.program.arguments?.map { CString($0) } ?? Array(own.dropFirst()))
        supervisor = Supervisor(Supervisor.Rules(configuration, children: children))
        orphans = OrphanWatch(configuration)
    }

    // MARK: The loop

    /// One turn: wait; signals and requests; what children say; their ends, once all slots have had their first try; time.
    private func superviseUntilEmpty(_ signals: borrowing SignalHandling) {
        while supervisor.phase != .finished {
            var watched = PollSet(wake: signals.descriptor.raw)
            watch(&watched)
            let woken = wait(&watched)
            let childHasEnded = handleSignals(signals)
            receiveMessages(watched)
            if isSupervising {
                let sweep = childHasEnded || !woken || children.contains { $0.exitNumber == -1 }
                reapChildren(watched, all: sweep)
            }
            let now = System.now()
            if listeners.isClosed(ready: supervisor.readySlots, at: now) { feed(.admissionClosed, now) }
            if let deadline = supervisor.nextDeadline, deadline <= now { feed(.timer, now) }
            for event in listeners.checkQueues(at: now) { observe(event) }
            reapOrphans(now)
            publish()
        }
    }

    private func publish() { handle.publish(supervisor, addresses: listeners.addresses) }

    /// Waits for that long, or for a stop.
    private func isStopRequested(within delay: Duration, _ signals: borrowing SignalHandling) -> Bool {
        let deadline = System.now() + delay
        while true {
            // First of all: what was asked for before may have left no byte that wakes us.
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

    /// While the slots are filled for the first time nobody is replaced: `onMasterReady` comes before any recovery. An end is
    /// noticed afterwards; who is ready is in rotation at once.
    private var isSupervising: Bool {
        if case .filling = supervisor.phase { false } else { true }
    }

    private func watch(_ watched: inout PollSet) {
        // An end that is not looked at would not let poll(2) wait.
        let exits = isSupervising
        for child in children {
            if exits { watched.add(child.exitNumber, .exit(pid: child.pid)) }
            watched.add(child.channelNumber, .channel(pid: child.pid))
        }
    }

    /// - Returns: false where poll(2) failed and nothing is known.
    private func wait(_ watched: inout PollSet) -> Bool {
        var deadline = [
            supervisor.nextDeadline, listeners.nextClosingStep, listeners.nextQueueCheck, orphans?.next,
        ].compactMap { $0 }.min()
        let unwatched = children.filter { $0.exitNumber == -1 }
        if !unwatched.isEmpty {
            // One that has closed its channel is about to end.
            let isEnding = unwatched.contains { $0.channelNumber == -1 }
            let sweep = System.now() + (isEnding ? Self.endingInterval : Self.sweepInterval)
            deadline = min(deadline ?? sweep, sweep)
        }
        // The children must not be left alone for an error.
        guard let error = watched.wait(until: deadline) else { return true }
        observe(.systemError(error))
        return false
    }

    /// - Returns: whether some child may have ended.
    private func handleSignals(_ signals: borrowing SignalHandling) -> Bool {
        let (received, arrival) = signals.take()
        if received.contains(.user1) {
            publish()
            observe(.status(handle.status))
        }
        // Those that came together are one request, as of the moment when they came: what took the time since then (a hook,
        // an observer) must not make two of one.
        let stop = received.first { $0 == .terminate || $0 == .interrupt }
        let isRequested = handle.takeStopRequest()
        // A child that has said that it is ready before the stop is one that accepts.
        if stop != nil || isRequested { for pid in children.map(\.pid) { receiveMessages(from: pid) } }
        if let stop { feed(.stop(.signal(stop.number)), System.now(), arrived: arrival) }
        if isRequested { feed(.stop(.request), System.now()) }
        let childHasEnded = received.contains(.child)
        if childHasEnded { orphans?.childHasEnded(at: System.now()) }
        return childHasEnded && mechanisms.exitNotice == .signalAndPolling
    }

    private func child(_ pid: Int32) -> ChildHandle? { children.first { $0.pid == pid } }

    private func receiveMessages(_ watched: PollSet) {
        for case .channel(let pid) in watched.ready { receiveMessages(from: pid) }
    }

    private func receiveMessages(from pid: Int32) {
        guard let child = child(pid), child.channelNumber != -1 else { return }
        switch Channel.receive(from: child.channelNumber) {
        case .bytes(let bytes):
            if bytes.contains(ChildMessage.ready.rawValue) {
                // Once more where the child says so once more: its framework may have listened after the first time.
                listeners.restoreBacklog(of: child.slot)
                feed(.ready(pid: pid), System.now())
            }
        case .nothing: break
        // The child has closed its end, or it has ended: its exit comes by another way. Polling a hang-up would spin.
        case .hungUp: child.channel = nil
        }
    }

    private func reapChildren(_ watched: PollSet, all: Bool) {
        let ended = watched.ready.compactMap { token in
            if case .exit(let pid) = token { pid } else { nil }
        }
        for pid in all ? children.map(\.pid) : ended {
            // Its last words first: a child that became ready and left at once had been ready.
            receiveMessages(from: pid)
            // Until this wait the number is a zombie's and cannot be another process's; after it nobody signals it.
            guard let child = child(pid), let status = ExitWatch.reap(pid) else { continue }
            children.removeAll { $0.pid == pid }
            feed(.exited(pid: pid, status, isOutOfMemory: isOutOfMemory(child, status)), System.now())
        }
    }

    private func reapOrphans(_ now: Instant) {
        if let event = orphans?.reap(except: Set(children.map(\.pid)), at: now) { observe(event) }
    }

    private func isOutOfMemory(_ child: ChildHandle, _ status: WaitStatus) -> Bool {
        outOfMemoryAttribution.isLikely(status, isKilled: child.isKilled, since: child.outOfMemory) {
            outOfMemory?.current(System.text)
        }
    }

    // MARK: Actions

    private func feed(_ input: Supervisor.Input, _ now: Instant, arrived: Instant? = nil) {
        for action in supervisor.handle(input, at: now, arrived: arrived) { perform(action) }
    }

    private func perform(_ action: Supervisor.Action) {
        switch action {
        case .spawn(let slot, let launch): feed(spawn(slot, launch), System.now())
        case .announce(let pid, let old):
            callHook { () throws in
                try configuration.hooks.onChildSpawn?(pid)
                if let old { try configuration.hooks.onChildRecover?(old, pid) }
            }
        case .announceMaster(let pids):
            callHook { () throws in try configuration.hooks.onMasterReady?(pids) }
        case .signal(let pid, let signal): send(signal, to: pid)
        case .rotate(let slots): for event in listeners.steer(to: slots) { observe(event) }
        case .closeAdmission: listeners.beginClosing(supervisor.readySlots, at: System.now())
        case .closeListeners:
            handle.publish(listeners: [])
            for event in listeners.closeAfterExitRequests() { observe(event) }
        case .report(let report):
            publish()
            observe(Prefork.Event(report, grace: configuration.shutdown.gracePeriod))
        case .finish: break
        }
    }

    /// A hook that throws stops the fleet; the hooks that were to come after it are not called.
    private func callHook(_ hook: () throws -> Void) {
        guard !supervisor.isStopping else { return }
        publish()  // What a hook sees of the fleet is what it was called for.
        do {
            try hook()
        } catch {
            hookError = error
            feed(.fail(description: "a hook failed: \(error)"), System.now())
        }
    }

    private func send(_ signal: Signal, to pid: Int32) {
        guard let child = child(pid) else { return }
        if signal == .kill { child.isKilled = true }
        do throws(SystemError) {
            try ExitWatch.signal(pid, watch: child.exit, signal)
        } catch {
            // ESRCH: it has ended and its exit is about to be read. Anything else a user must hear of.
            if !error.isNoSuchProcess { observe(.systemError(error)) }
        }
    }

    private func spawn(_ slot: Int, _ launch: Int) -> Supervisor.Input {
        do {
            let ends = try Channel.makePair().split()
            let masterEnd = Descriptor(ends.first)
            let lowest = Handshake.descriptors(listenerCount: listeners.addresses.count).upperBound
            let childEnd = try System.move(Descriptor(ends.second), atLeast: lowest)
            guard let identity = System.identity(of: childEnd.raw) else {
                throw SystemError(call: "fstat", code: 0)
            }
            let handshake = Handshake(
                slot: slot,
                launch: launch,
                earlierRuns: repeatsThisProgram ? EarlierRuns.outcomes : "",
                masterPID: System.pid,
                addresses: listeners.addresses,
                channel: identity
            )
            let plan = SpawnPlan(
                executable: executable,
                arguments: arguments,
                environment: handshake.environment(
                    inherited: System.environment(),
                    extra: configuration.program.environment
                ),
                descriptors: listeners.descriptors(of: slot) + [childEnd.raw]
            )
            let request = Prefork.SpawnRequest(plan: plan, closing: mechanisms.descriptorClosing, slot: slot)
            let mark = outOfMemory?.current(System.text).map(outOfMemoryAttribution.mark)
            let pid = try startWithAffinity(request)
            // Only now: a copy that stayed open here would keep the child's exit from hanging up the channel.
            childEnd.close()
            // Nobody reaps it before `reapChildren` does, so the number is still this child's, living or not. Without a
            // watch of its own (no free descriptor) it is looked at every second.
            let exit = (try? mechanisms.exitNotice.watch(pid)) ?? nil
            children.append(ChildHandle(pid, slot: slot, exit: exit, channel: masterEnd, outOfMemory: mark))
            return .spawned(slot: slot, pid: pid)
        } catch let error as SystemError {
            return .spawnFailed(slot: slot, error)
        } catch let error as PreforkError {
            return .spawnRefused(slot: slot, error)
        } catch {
            return .spawnRefused(slot: slot, .spawnClosureFailed(slot: slot, error))
        }
    }

    private func prepareAffinity() {
        guard configuration.program.affinity == .onePerChild else { return }
        do throws(SystemError) {
            affinity = try Affinity()
        } catch {
            observe(.systemError(error))
        }
    }

    /// Another program, or other arguments, need not come by the runs that are behind us.
    private var repeatsThisProgram: Bool {
        configuration.program.executable == nil && configuration.program.arguments == nil
    }

    private func startWithAffinity(_ request: Prefork.SpawnRequest) throws -> Int32 {
        guard let affinity else { return try start(request) }
        return try affinity.withProcessor(ofSlot: request.slot, report: { observe(.systemError($0)) }) {
            try start(request)
        }
    }

    private func start(_ request: Prefork.SpawnRequest) throws -> Int32 {
        guard let spawn = configuration.program.spawn else { return try request.start() }
        let pid = try spawn(request)
        guard child(pid) == nil, ExitWatch.isChild(pid) else {
            throw PreforkError.spawnedStranger(slot: request.slot, pid: pid)
        }
        return pid
    }
}
