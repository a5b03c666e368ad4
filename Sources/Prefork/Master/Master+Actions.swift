// Carries out the actions of the `Supervisor`, all in the master's thread.

extension Master {
    /// Handles an input and everything that follows from it. An input that comes from an action waits for its turn.
    func feed(_ input: Supervisor.Input) {
        inputs.append(input)
        if isFeeding { return }
        isFeeding = true
        defer { isFeeding = false }
        while !inputs.isEmpty {
            for action in supervisor.handle(inputs.removeFirst(), at: System.now()) { perform(action) }
        }
    }

    private func perform(_ action: Supervisor.Action) {
        switch action {
        case .spawn(let slot, let launch, let generation, let printsBacktrace):
            spawn(.init(slot: slot, launch: launch, generation: generation, printsBacktrace: printsBacktrace))
        case .prepareRestart(let generation):
            serviceManager?.restarting(at: System.now())
            prepareRestart(generation)
        case .keepPrograms(let generations): launcher.keepPrograms(generations)
        case .prepareRenewal(let generation, let old):
            launcher.renew(generation, of: old)
            feed(.restartPrepared(generation: generation))
        case .handOver(let generation): handingOver = generation
        case .awaitEmptyQueue(let slot):
            steer()
            awaitEmptyQueue(of: slot)
        case .announce(let pid, let old):
            // A hook may take long, and connections must not wait meanwhile for a child that is not ready.
            if configuration.hooks.onChildSpawn != nil || configuration.hooks.onChildRecover != nil { steer() }
            callHook { () throws in
                try configuration.hooks.onChildSpawn?(pid)
                if let old { try configuration.hooks.onChildRecover?(old, pid) }
            }
        case .announceMaster(let pids): callHook { () throws in try configuration.hooks.onMasterReady?(pids) }
        case .signal(let pid, let signal):
            steer()
            send(signal, to: pid)
        case .rotate: needsSteering = true
        case .closeAdmission:
            steer()
            listeners.beginClosing(supervisor.acceptingSlots, at: System.now())
        case .closeListeners:
            steer()
            handle.publish(listeners: [])
            for event in listeners.closeAfterExitRequests(at: System.now()) { observe(event) }
        case .report(let event):
            // An observer may connect as soon as it hears that a child is ready, and must reach that child.
            if case .ready = event.payload { steer() }
            publish()
            control?.note(event)
            if case .notReady(let slot, let pid, _) = event.payload, configuration.takeover != nil,
                children[pid]?.hasBound == false
            {
                observe(.nothingBound(slot: slot, pid: pid))
            }
            observe(event)
        case .finish: break
        }
    }

    private func spawn(_ launch: ChildLauncher.Launch) {
        let slot = launch.slot
        repairListeners(of: slot, isStarting: true, suspect: supervisor.slots[slot].lastPID)
        if let error = listeners.fault(of: slot) { return feed(.spawnFailed(slot: slot, error)) }
        let outcome = launcher.start(
            launch, configuration.takeover == nil ? listeners : ListenerSet(), isKnown: { children[$0] != nil },
            report: { observe(.systemError($0)) })
        switch outcome {
        case .started(let child):
            admit(child)
            feed(.spawned(slot: launch.slot, pid: child.pid))
        case .failed(let error): feed(.spawnFailed(slot: launch.slot, error))
        case .refused(let error): feed(.spawnRefused(slot: launch.slot, error))
        }
    }

    /// A hook that throws stops the fleet, and no further hook is called.
    func callHook(_ hook: () throws -> Void) {
        guard !supervisor.isStopping, hookError == nil else { return }
        publish()  // The status that a hook reads includes the change that it was called for.
        do {
            try hook()
        } catch {
            hookError = error
            feed(.fail(description: "a hook failed: \(error)"))
        }
    }

    // MARK: Restart and resize

    /// Everything that can be checked without starting a child is checked before one is.
    private func prepareRestart(_ generation: Int) {
        do throws(PreforkError) {
            try configuration.tlsIdentity?.check()
            try launcher.openProgram(generation)
            feed(.restartPrepared(generation: generation))
        } catch {
            feed(.restartRefused(generation: generation, reason: "\(error)"))
        }
    }

    /// Binds the listeners of new slots, and then changes the number of slots. If they cannot be bound, nothing
    /// changes.
    func resize(to count: Int) {
        if supervisor.isStopping { return }
        let old = supervisor.target
        do throws(PreforkError) {
            guard count <= Prefork.Configuration.mostChildren else {
                throw .invalidConfiguration(
                    "children", reason: "\(count) is not in 1...\(Prefork.Configuration.mostChildren)")
            }
            try prepareResize(from: old, to: count)
        } catch {
            let event = Prefork.Event.resizeFailed(from: old, to: count, reason: "\(error)")
            control?.note(event)
            observe(event)
            return
        }
        feed(.resize(to: count))
    }

    private func prepareResize(from old: Int, to count: Int) throws(PreforkError) {
        if count < old, let address = listeners.unsteered {
            throw .invalidConfiguration(
                "children", reason: "connections to \(address) cannot be steered away from the slots that would go")
        }
        if count <= old { return }
        let sockets = listeners.missingSockets(upTo: count)
        guard DescriptorLimit.hasRoom(sockets: sockets, addresses: 0, children: count) else {
            throw .invalidConfiguration(
                "children",
                reason: DescriptorLimit.fault(addresses: listeners.addresses.count, children: count)
                    ?? "\(count) children need more descriptors than this process may have (RLIMIT_NOFILE)")
        }
        do throws(SystemError) {
            try listeners.grow(to: count, configuration)
        } catch {
            throw .system(error)
        }
        shards = shards.map { max($0, count) }
        handle.publish(listeners: listeners.views)
    }

    func awaitEmptyQueue(of slot: Int) {
        // All children share the other listeners, so whatever is queued there is accepted.
        guard let sockets = listeners.ownSockets(of: slot) else { return feed(.queueEmpty(slot: slot)) }
        retiring.removeAll { $0.slot == slot }
        retiring.append(RetiringQueue(slot: slot, sockets: sockets, addresses: listeners.handshakeAddresses))
    }

    /// The last child of a slot that has left the fleet has ended. What it had not accepted would wait for ever,
    /// because the slot's sockets stay open.
    func dropQueue(of slot: Int) {
        guard slot >= supervisor.target, !supervisor.isStopping, supervisor.slots[slot].isEmpty,
            let sockets = listeners.ownSockets(of: slot)
        else { return }
        let count = sockets.reduce(0) { $0 + System.closeQueued(on: $1) }
        if count > 0 { observe(.dropped(slot: slot, count: count)) }
    }

    func checkRetiringQueues(at now: Instant) {
        if retiring.isEmpty { return }
        // The kernel walks through all connections of the host, so it is asked once for all slots.
        var known: Bool?
        for index in retiring.indices {
            retiring[index].check(at: now) { addresses in
                let answer = known ?? HalfOpen.exists(at: addresses)
                known = answer
                return answer
            }
        }
        let empty = retiring.filter(\.isEmpty)
        retiring.removeAll(where: \.isEmpty)
        for queue in empty { feed(.queueEmpty(slot: queue.slot)) }
        // In a stop the fleet's own closing of admission takes over. A slot that has joined the fleet again waits for
        // nothing.
        retiring.removeAll { supervisor.isStopping || $0.slot < supervisor.target }
    }

    // MARK: Health

    func checkStalls(at now: Instant) {
        guard var watch = stalls, watch.next <= now else { return }
        var looks: [StallWatch.Look] = []
        for slot in 0..<supervisor.target {
            // A successor has the same queue, so only a child that is alone can be blamed.
            guard let child = supervisor.slots[slot].current, child.isAccepting, supervisor.slots[slot].isIdle,
                let sockets = listeners.ownSockets(of: slot)
            else { continue }
            let waiting = sockets.compactMap { PlatformListener.queue(of: $0)?.waiting }.reduce(0, +)
            looks.append(.init(pid: child.pid, waiting: waiting, progress: waiting == 0 ? nil : Progress.of(child.pid)))
        }
        let stalled = watch.note(looks, at: now)
        stalls = watch
        for (pid, evidence) in stalled { feed(.stalled(pid: pid, evidence)) }
    }

    // MARK: Recycling

    func checkMemory(at now: Instant) {
        guard let limit = configuration.recycling.above, let next = nextMemoryCheck, next <= now else { return }
        nextMemoryCheck = now + configuration.recycling.interval
        for pid in children.keys.sorted() {
            guard let bytes = ProcessUsage(of: pid)?.residentMemory, bytes > limit else { continue }
            feed(.recycle(pid: pid, .memory(bytes)))
        }
    }

    private func send(_ signal: Signal, to pid: Int32) {
        guard let child = children[pid] else { return }
        if signal == .kill { child.isKilled = true }
        do throws(SystemError) {
            try ExitWatch.signal(pid, watch: child.exit, signal)
        } catch {
            // ESRCH means that the child has ended and its exit is about to be read. The user must hear of any other
            // error.
            if !error.isNoSuchProcess { observe(.systemError(error)) }
        }
    }
}
