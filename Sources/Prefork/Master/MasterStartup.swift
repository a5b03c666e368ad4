/// Everything between the call of `run` and the first child: checks, probes, binding, and the clean-up at the end.
enum MasterStartup {
    /// Runs a fleet in this thread until it has stopped.
    /// - Parameters:
    ///   - isLast: whether the process ends after this run.
    ///   - beforeReturn: called when all children are reaped and signals are still handled. It need not return.
    /// - Throws: ``PreforkError`` if nothing could be started or the fleet gave up, or the error of a hook.
    static func run(_ fleet: Prefork, token: RunToken, isLast: Bool, beforeReturn: Prefork.BeforeReturn) throws {
        let startedAt = System.now()
        let (configuration, handle) = (fleet.configuration, fleet.handle)
        // Checked before anything is opened, so that an invalid configuration leaves no trace.
        try check(fleet)
        let variable = System.environmentValue(Prefork.Configuration.concurrencyVariable)
        let allowed = ProcessorCount.current().allowed
        let count = try configuration.resolvedChildren(variable: variable, allowed: allowed)
        let mechanisms = configuration.testing.mechanisms ?? .probe()
        try wrappingSystemErrors { () throws(SystemError) in try System.openStandardDescriptors() }
        let launcher = try wrappingSystemErrors { () throws(SystemError) in
            try ChildLauncher(configuration, mechanisms)
        }
        let watch = try wrappingSystemErrors { () throws(SystemError) in try ChildWatch() }
        // A resolver may take long. Names are resolved before TERM is handled, so that its default disposition can end
        // this process meanwhile. Process 1 has no default dispositions. There the handlers come first, and the stop
        // follows the answer.
        let early = System.pid == 1 ? nil : try fleet.addresses.map(ListenerSet.resolve)
        let signals = try wrappingSystemErrors { () throws(SystemError) in
            try SignalHandling(handled: handledSignals(configuration, mechanisms))
        }
        let resolved = try early ?? fleet.addresses.map(ListenerSet.resolve)
        let statuses = ChildStatusKeeping()
        handle.begin(wake: signals.wakeDescriptor, token)
        let commandName = ProgramFile.commandName()
        if let commandName { ProgramFile.setCommandName(commandName, suffix: ":master") }

        let master = Master(
            configuration, launcher, watch, mechanisms, handle,
            Supervisor(Supervisor.Rules(configuration, processors: allowed), children: count.count),
            startedAt: startedAt, isLast: isLast)
        report(master, launcher, mechanisms, count, unused: fleet.adopting.unused)
        let result = Result {
            // Evaluated after everything else that may fail, because it may open files that only their owner closes.
            // The standard descriptors are open by now, so none of these files takes their numbers.
            let adopted = try fleet.adopting.sockets()
            guard !resolved.isEmpty || !adopted.isEmpty || configuration.takeover == .requested else {
                throw PreforkError.invalidConfiguration("addresses", reason: "there is none to listen on")
            }
            let addresses = configuration.takeover == .requested ? 1 : resolved.count { !$0.address.isUnix }
            let isSharded = try isSharded(addresses, children: count.count, configuration, master.observe)
            let plan = ListenerSet.Plan(bound: resolved, adopted: adopted, slots: count.count, isSharded: isSharded)
            try master.run(plan, signals)
        }
        master.endControl()
        beforeReturn(result)

        // All children are reaped. First the handle lets go of the wake-up descriptor. Then the descriptor and the
        // handlers go. SIGCHLD's old disposition comes last, because our handler was installed over it.
        handle.end()
        signals.restore()
        statuses.restore()
        if let commandName { ProgramFile.writeCommandName(commandName) }
        if let missed = master.unansweredStop(rest: SignalHandling.takeRest()) { System.raise(missed) }
        try result.get()
    }

    private static func check(_ fleet: Prefork) throws(PreforkError) {
        try fleet.configuration.check()
        for address in fleet.addresses {
            if let fault = address.fault { throw .invalidAddress(address.description, reason: fault) }
        }
        try fleet.configuration.tlsIdentity?.check()
        try fleet.adopting.check()
    }

    private static func handledSignals(
        _ configuration: Prefork.Configuration, _ mechanisms: Prefork.Mechanisms
    ) -> [Signal] {
        let always: [Signal] = [.terminate, .interrupt]
        let offered: [Signal] =
            configuration.signals.master == .handled
            ? always + [.user1, .hangUp, .backgroundRead, .backgroundWrite] : []
        // By convention, a signal that was ignored stays ignored, as HUP under nohup. But a master must always be
        // stoppable.
        return offered.filter { always.contains($0) || !ProcessStart.own.ignoredSignals.contains($0) }
            + (mechanisms.exitNotice == .signalAndPolling || OrphanWatch.isNeeded(configuration) ? [.child] : [])
    }

    /// Reports the facts that are known at the start.
    private static func report(
        _ master: Master, _ launcher: ChildLauncher, _ mechanisms: Prefork.Mechanisms,
        _ count: (count: Int, exceeds: Int?),
        unused: Int
    ) {
        master.observe(.mechanisms(mechanisms))
        if ProgramFile.isProcMissing { master.observe(.procIsMissing(program: launcher.executable.text)) }
        if let allowed = count.exceeds {
            master.observe(.moreChildrenThanProcessors(children: count.count, allowed: allowed))
        }
        if unused > 0 { master.observe(.notAdopted(unused)) }
        master.prepareAffinity()
        master.findServiceManager()
    }

    /// Whether each slot gets a socket of its own.
    /// - Parameter count: the number of TCP addresses.
    private static func isSharded(
        _ count: Int, children: Int, _ configuration: Prefork.Configuration, _ observe: (Prefork.Event) -> Void
    ) throws -> Bool {
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
}
