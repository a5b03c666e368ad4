// How a master's own program is replaced. This is the side of the old program; see `Master+Succession` for the new one.

extension Master {
    func requestUpgrade() {
        if supervisor.isStopping { return }
        let reason: String
        if !ProgramReplacement.isSupported {
            reason = "this system cannot replace the master's program"
        } else if configuration.program.executable != nil {
            reason = "the children run another program than the master (program.executable)"
        } else if (try? ProgramFile.openProgram(launcher.executable))?.descriptor == nil {
            // Neither the way back nor a rollback could find it.
            reason = "the file of the master's program cannot be held open (it is not readable, or /proc is not)"
        } else {
            return feed(.upgrade)
        }
        let event = Prefork.Event.restartFailed(
            generation: supervisor.latestGeneration + 1, serving: supervisor.generation, .refused(reason))
        control?.note(event)
        observe(event)
    }

    /// Executes the program of the children in this process, if an upgrade has reached that point. If it succeeds, it
    /// does not return.
    ///
    /// Called between two turns of the loop, when no start is without its answer and no message is half handled. What
    /// happens from here on waits: signals stay pending, children that end stay zombies, and messages and connections
    /// stay in their queues until the new program reads them.
    func handOver(_ signals: borrowing SignalHandling) {
        guard let generation = handingOver else { return }
        handingOver = nil
        // A stop or a rollback may have come after the restart.
        guard supervisor.handingOverSince != nil else { return }
        if let reason = faultOfBuild() { return feed(.handoverFailed(reason: reason)) }
        do throws(SystemError) {
            let own = try ProgramFile.openProgram(launcher.executable)
            guard let program = launcher.programs[generation] else {
                throw SystemError(call: "execve", code: 0, context: "generation \(generation)")
            }
            let handover = handover(own)
            _ = try signals.holdingSignals { () throws(SystemError) in
                // Another thread may have asked for something since this turn began.
                if handle.hasRequests { return }
                try Succession.execute(handover, program.path, back: own.path)
            }
            // A signal or a request comes first. It has woken the loop.
            handingOver = generation
        } catch {
            feed(.handoverFailed(reason: "\(error)"))
        }
    }

    /// Why the children's build cannot be a master that takes over.
    private func faultOfBuild() -> String? {
        for slot in supervisor.slots.prefix(supervisor.target) {
            guard let child = slot.current.flatMap({ children[$0.pid] }) else { continue }
            if child.handoverVersion < 1 {
                return "child \(child.pid) (slot \(child.slot)) is of a build that cannot take over"
            }
        }
        return nil
    }

    private func handover(_ own: ProgramFile.Opened) -> Handover {
        var programs = launcher.programs
        // The first build of a process is the program that it executes.
        for generation in [supervisor.previousGeneration, supervisor.generation].compactMap({ $0 })
        where programs[generation] == nil {
            programs[generation] = own
        }
        var records = supervisor.handoverRecords
        records += listeners.all.map(\.handoverRecord)
        records += children.values.map(\.handoverRecord)
        records += programs.map { generation, program in
            var record = HandoverRecord("program")
            record.set("generation", generation)
            record.set("path", program.path)
            record.set("descriptor", program.descriptor)
            return record
        }
        records += requested.map { key, listener in listener.handoverRecord(key) }
        records += control?.handoverRecords ?? []
        var process = Handover.Process(
            pid: System.pid, startedAt: startedAt, earlierRuns: EarlierRuns.outcomes, children: configuredChildren,
            takeover: configuration.takeoverName, shards: shards, program: launcher.restartPath)
        (process.arguments, process.environment) = (ProcessArguments.own, System.environment())
        process.isReloading = serviceManager?.isReloading ?? false
        process.blocked = ProcessStart.own.blockedSignals.map(\.number)
        process.descriptors = Array(
            Set(
                listeners.all.flatMap(\.descriptors) + children.values.flatMap(\.descriptors)
                    + (Array(programs.values) + [own]).compactMap(\.descriptor) + (control?.descriptors ?? []))
        ).sorted()
        process.inherited = inherited ?? InheritedDescriptors.own
        return Handover(process: process, records: records)
    }
}

extension Prefork.Configuration {
    /// How children get their listeners.
    var takeoverName: String {
        switch takeover {
        case nil: "none"
        case .given: "given"
        case .requested: "requested"
        }
    }
}

extension RequestedListener {
    fileprivate func handoverRecord(_ key: String) -> HandoverRecord {
        var record = HandoverRecord("requested")
        record.set("key", key)
        record.set("index", index)
        record.set("users", users.sorted())
        record.set("uses", uses)
        record.set("last-use", lastUse)
        return record
    }

    init(_ record: HandoverRecord, count: Int) throws(HandoverRecord.Fault) {
        self.init(
            index: try record.number("index", in: 0...max(0, count - 1)), users: Set(try record.numbers("users")),
            uses: try record.number("uses"), lastUse: try record.number("last-use"))
    }
}
