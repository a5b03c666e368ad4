/// Everything between the call of `run` and the first child: checks, probes, binding, and the clean-up at the end.
enum MasterStartup {
    /// Runs a fleet in this thread until it has stopped.
    /// - Parameters:
    ///   - isLast: whether the process ends after this run.
    ///   - beforeReturn: called when all children are reaped and signals are still handled. It need not return.
    /// - Throws: ``PreforkError`` if nothing could be started or the fleet gave up, or the error of a hook.
    static func run(
        _ fleet: Prefork, _ turn: Succession.Turn, token: RunToken, isLast: Bool, beforeReturn: Prefork.BeforeReturn
    ) throws {
        let startedAt = System.now()
        let (configuration, handle) = (fleet.configuration, fleet.handle)
        let succession: Succession? = if case .next(let succession) = turn { succession } else { nil }
        // Until the signals are handled they are held, so the old program gets them if this one cannot take over.
        let prepared = try goingBack(succession) { try Prepared(fleet, succession) }
        let signals = try handleSignals(configuration, prepared.mechanisms, succession)
        let (count, mechanisms, launcher) = (prepared.count, prepared.mechanisms, prepared.launcher)
        let old = prepared.predecessor
        let resolved = try prepared.resolved ?? fleet.addresses.map(ListenerSet.resolve)
        let statuses = ChildStatusKeeping()
        handle.begin(wake: signals.wakeDescriptor, token)
        let commandName = ProgramFile.commandName()
        if let name = succession == nil ? commandName : ProcessArguments.own.first {
            ProgramFile.setCommandName(name, suffix: ":master")
        }

        let supervisor = old?.supervisor ?? Supervisor(prepared.rules, children: count.count)
        let master = Master(
            configuration, launcher, prepared.watch, mechanisms, handle, supervisor,
            startedAt: old?.process.startedAt ?? startedAt, configuredChildren: count.count, isLast: isLast)
        report(
            master, launcher, mechanisms, count, unused: fleet.adopting.unused,
            restart: old?.process.isReloading)
        let result = Result {
            if let succession, let old { return try master.run(succeeding: succession, old, fleet, signals) }
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
        if case .failure(let error) = result, let succession, !succession.isAdopted {
            // This program cannot do what a signal asks for that came meanwhile, so the old one gets it.
            signals.holdingAllSignals { succession.executeOldProgram("\(error)") }
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

    private static func goingBack<Value>(_ succession: Succession?, _ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch {
            succession?.executeOldProgram("\(error)")
            throw error
        }
    }

    private static func handleSignals(
        _ configuration: Prefork.Configuration, _ mechanisms: Prefork.Mechanisms, _ succession: Succession?
    ) throws(PreforkError) -> SignalHandling {
        do throws(SystemError) {
            return try SignalHandling(
                handled: handledSignals(configuration, mechanisms), isHandedOver: succession != nil)
        } catch {
            succession?.executeOldProgram("\(error)")
            throw .system(error)
        }
    }

    /// Everything that can be known before signals are handled.
    private struct Prepared {
        let count: (count: Int, exceeds: Int?)
        let mechanisms: Prefork.Mechanisms
        let launcher: ChildLauncher
        let watch: ChildWatch
        let rules: Supervisor.Rules
        /// `nil` if the names of the addresses are resolved later, or not at all.
        let resolved: [Listener.Resolved]?
        /// The fleet of the program before this one in the same process.
        let predecessor: Predecessor?

        init(_ fleet: Prefork, _ succession: Succession?) throws(PreforkError) {
            let configuration = fleet.configuration
            // Checked before anything is opened, so that an invalid configuration leaves no trace.
            try check(fleet)
            let variable = System.environmentValue(Prefork.Configuration.concurrencyVariable)
            let allowed = ProcessorCount.current().allowed
            count = try configuration.resolvedChildren(variable: variable, allowed: allowed)
            mechanisms = configuration.testing.mechanisms ?? .probe()
            rules = Supervisor.Rules(configuration, processors: allowed)
            let mechanisms = mechanisms
            try wrappingSystemErrors { () throws(SystemError) in try System.openStandardDescriptors() }
            launcher = try wrappingSystemErrors { () throws(SystemError) in
                try ChildLauncher(configuration, mechanisms, restartPath: succession?.handover.process.program)
            }
            watch = try wrappingSystemErrors { () throws(SystemError) in try ChildWatch() }
            if let succession {
                do throws(HandoverRecord.Fault) {
                    predecessor = try Predecessor(succession.handover, rules)
                } catch {
                    throw .invalidHandover(reason: error.description)
                }
                resolved = []
                return
            }
            predecessor = nil
            // A resolver may take long. Names are resolved before TERM is handled, so that its default disposition can
            // end this process meanwhile. Process 1 has no default dispositions. There the handlers come first, and the
            // stop follows the answer.
            guard System.pid != 1 else {
                resolved = nil
                return
            }
            var targets: [Listener.Resolved] = []
            for address in fleet.addresses { targets.append(try ListenerSet.resolve(address)) }
            resolved = targets
        }
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
            ? always + [.user1, .user2, .hangUp, .backgroundRead, .backgroundWrite] : []
        // By convention, a signal that was ignored stays ignored, as HUP under nohup. But a master must always be
        // stoppable.
        return offered.filter { always.contains($0) || !ProcessStart.own.ignoredSignals.contains($0) }
            + (mechanisms.exitNotice == .signalAndPolling || OrphanWatch.isNeeded(configuration) ? [.child] : [])
    }

    /// Reports the facts that are known at the start.
    private static func report(
        _ master: Master, _ launcher: ChildLauncher, _ mechanisms: Prefork.Mechanisms,
        _ count: (count: Int, exceeds: Int?),
        unused: Int, restart: Bool?
    ) {
        master.observe(.mechanisms(mechanisms))
        if ProgramFile.isProcMissing { master.observe(.procIsMissing(program: launcher.executable.text)) }
        if let allowed = count.exceeds {
            master.observe(.moreChildrenThanProcessors(children: count.count, allowed: allowed))
        }
        if unused > 0 { master.observe(.notAdopted(unused)) }
        master.prepareAffinity()
        master.findServiceManager(afterHandover: restart)
    }

    /// Whether each slot gets a socket of its own.
    /// - Parameter count: the number of TCP addresses.
    static func isSharded(
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
