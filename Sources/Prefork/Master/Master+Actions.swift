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
        case .spawn(let slot, let launch, let printsBacktrace):
            spawn(.init(slot: slot, launch: launch, printsBacktrace: printsBacktrace))
        case .announce(let pid, let old):
            callHook { () throws in
                try configuration.hooks.onChildSpawn?(pid)
                if let old { try configuration.hooks.onChildRecover?(old, pid) }
            }
        case .announceMaster(let pids): callHook { () throws in try configuration.hooks.onMasterReady?(pids) }
        case .signal(let pid, let signal): send(signal, to: pid)
        case .rotate(let slots): for event in listeners.steer(to: slots) { observe(event) }
        case .closeAdmission: listeners.beginClosing(supervisor.acceptingSlots, at: System.now())
        case .closeListeners:
            handle.publish(listeners: [])
            for event in listeners.closeAfterExitRequests(at: System.now()) { observe(event) }
        case .report(let event):
            publish()
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
        // While the slots are filled for the first time, each slot's sockets are checked alone, so that a large fleet
        // starts fast.
        repairListeners(
            slot: isSupervising ? nil : slot, isStarting: true,
            suspect: supervisor.slots[slot].lastPID.map { (slot, $0) })
        if let error = listeners.fault(of: slot) { return feed(.spawnFailed(slot: slot, error)) }
        let outcome = launcher.start(
            launch, configuration.takeover == nil ? listeners : ListenerSet(), isKnown: { children[$0] != nil },
            report: { observe(.systemError($0)) })
        switch outcome {
        case .started(let child):
            children[child.pid] = child
            feed(.spawned(slot: launch.slot, pid: child.pid))
        case .failed(let error): feed(.spawnFailed(slot: launch.slot, error))
        case .refused(let error): feed(.spawnRefused(slot: launch.slot, error))
        }
    }

    /// A hook that throws stops the fleet, and no further hook is called.
    private func callHook(_ hook: () throws -> Void) {
        guard !supervisor.isStopping, hookError == nil else { return }
        publish()  // The status that a hook reads includes the change that it was called for.
        do {
            try hook()
        } catch {
            hookError = error
            feed(.fail(description: "a hook failed: \(error)"))
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
