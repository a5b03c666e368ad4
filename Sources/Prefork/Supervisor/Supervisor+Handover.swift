// The state of the rules as records, so that a master can pass it to the program that takes its place.

extension Supervisor {
    /// The whole state of a running fleet. There must be no restart, and no start whose answer is still to come.
    var handoverRecords: [HandoverRecord] {
        var fleet = HandoverRecord("fleet")
        fleet.set("target", target)
        fleet.set("rotation", Array(rotation))
        fleet.set("generation", generation)
        fleet.set("previous", previousGeneration)
        fleet.set("latest", latestGeneration)
        fleet.set("restart-queued", isRestartQueued)
        fleet.set("upgrade-queued", isUpgradeQueued)
        fleet.set("since", handingOverSince)
        fleet.set("been-up", hasBeenUp)
        fleet.set("expected", expectedBy)
        fleet.set("start-failures", startFailures.count)
        fleet.set("first-failure", startFailures.first)
        var records = [fleet, counters.handoverRecord, strictExits.handoverRecord, backtraces.handoverRecord]
        records += [poisonBudget.handoverRecord("poison-budget"), brokenBudget.handoverRecord("broken-budget")]
        records += lastExits.map { $0.handoverRecord("exit") }
        for (index, slot) in slots.enumerated() { records += slot.handoverRecords(index) }
        return records
    }

    /// - Parameter rules: those of the new program.
    init(_ rules: Rules, _ records: [HandoverRecord]) throws(HandoverRecord.Fault) {
        guard let fleet = records.first(where: { $0.kind == "fleet" }) else {
            throw HandoverRecord.Fault("it has no line of kind fleet")
        }
        let most = Prefork.Configuration.mostChildren
        self.init(rules, children: try fleet.number("target", in: 1...most))
        phase = .running
        generation = try fleet.number("generation", in: 1 ... .max)
        previousGeneration = try fleet.optional("previous", in: 1 ... .max)
        latestGeneration = try fleet.number("latest", in: generation ... .max)
        isRestartQueued = fleet.flag("restart-queued")
        isUpgradeQueued = fleet.flag("upgrade-queued")
        handingOverSince = try fleet.optionalInstant("since")
        hasBeenUp = fleet.flag("been-up")
        expectedBy = try fleet.optionalInstant("expected")
        startFailures = StartFailures(
            count: try fleet.optional("start-failures") ?? 0, first: try fleet.optionalInstant("first-failure"))
        let isSlot = { (record: HandoverRecord) in record.kind == "slot" }
        for record in records.filter(isSlot) {
            let index: Int = try record.number("index", in: 0...(most - 1))
            while slots.count <= index { slots.append(Slot()) }
            slots[index] = try Slot(record, rules)
        }
        for record in records {
            switch record.kind {
            case "counters": counters = try Prefork.Status.Counters(record)
            case "strict-exits": strictExits = try StrictExits(record)
            case "backtraces": backtraces = try BacktracePolicy(record)
            case "poison-budget": try poisonBudget.restore(record)
            case "broken-budget": try brokenBudget.restore(record)
            case "exit": lastExits.append(try Prefork.ChildExit(record))
            case "last-exit", "life", "child": try restore(record)
            default: break
            }
        }
        let members: [Int] = try fleet.numbers("rotation")
        guard !members.isEmpty, members.allSatisfy({ (0..<target).contains($0) }) else {
            throw fleet.fault("rotation")
        }
        rotation = SlotSet(members)
        for (index, slot) in slots.enumerated() {
            for child in slot.children {
                guard places.updateValue(index, forKey: child.pid) == nil else {
                    throw HandoverRecord.Fault("child \(child.pid) is there twice")
                }
            }
        }
    }

    /// Restores what belongs to a slot.
    private mutating func restore(_ record: HandoverRecord) throws(HandoverRecord.Fault) {
        let index: Int = try record.number("slot")
        guard slots.indices.contains(index) else { throw record.fault("slot") }
        switch record.kind {
        case "last-exit": slots[index].lastExit = try Prefork.ChildExit(record)
        case "life": try slots[index].crashes.restore(record)
        default:
            let child = try Child(record, rules)
            switch try record.text("role") {
            case "current" where slots[index].current == nil: slots[index].current = child
            case "successor" where slots[index].successor == nil: slots[index].successor = child
            case "outgoing": slots[index].outgoing.append(try Exiting(child, record))
            default: throw record.fault("role")
            }
        }
    }
}

extension Supervisor.Slot {
    fileprivate func handoverRecords(_ index: Int) -> [HandoverRecord] {
        var record = HandoverRecord("slot")
        record.set("index", index)
        record.set("generation", generation)
        record.set("next-try", nextTry)
        record.set("retry-delay", retryDelay)
        record.set("failures", failures)
        record.set("shortages", shortages)
        record.set("recoveries", recoveries)
        record.set("launches", launches)
        record.set("last-pid", lastPID)
        switch retirement {
        case nil: break
        case .accepting(let until): record.set("accepting-until", until)
        case .accepted: record.set("accepted", true)
        }
        if let recycling {
            record.set("recycle", recycling.pid)
            record.set("recycle-since", recycling.since)
            switch recycling.reason {
            case .age: record.set("recycle-reason", "age")
            case .child: record.set("recycle-reason", "child")
            case .request: record.set("recycle-reason", "request")
            case .memory(let bytes): record.set("recycle-memory", bytes)
            }
        }
        var records = [record]
        func add(_ child: Supervisor.Child, _ role: String, _ change: (inout HandoverRecord) -> Void = { _ in }) {
            var record = HandoverRecord("child")
            record.set("slot", index)
            record.set("role", role)
            child.write(to: &record)
            change(&record)
            records.append(record)
        }
        if let current { add(current, "current") }
        if let successor { add(successor, "successor") }
        for exiting in outgoing { add(exiting.child, "outgoing") { exiting.write(to: &$0) } }
        if let lastExit { records.append(lastExit.handoverRecord("last-exit")) }
        return records + crashes.handoverRecords(slot: index)
    }

    fileprivate init(_ record: HandoverRecord, _ rules: Supervisor.Rules) throws(HandoverRecord.Fault) {
        self.init()
        generation = try record.number("generation", in: 1 ... .max)
        if let next = try record.optionalInstant("next-try") { attempt = .backingOff(until: next) }
        retryDelay = try record.optionalDuration("retry-delay")
        failures = try record.optional("failures", in: 0 ... .max) ?? 0
        shortages = try record.optional("shortages", in: 0 ... .max) ?? 0
        recoveries = try record.optional("recoveries", in: 0 ... .max) ?? 0
        launches = try record.number("launches", in: 0 ... .max)
        lastPID = try record.optional("last-pid", in: 1 ... .max)
        if let until = try record.optionalInstant("accepting-until") { retirement = .accepting(until: until) }
        if record.flag("accepted") { retirement = .accepted }
        if let pid: Int32 = try record.optional("recycle", in: 1 ... .max) {
            let bytes: Int? = try record.optional("recycle-memory")
            let reason: Supervisor.RecycleReason
            switch (bytes, try record.optionalText("recycle-reason")) {
            case (let bytes?, _): reason = .memory(bytes)
            case (nil, "age"): reason = .age
            case (nil, "child"): reason = .child
            default: reason = .request
            }
            recycling = .init(pid: pid, reason: reason, since: try record.instant("recycle-since"))
        }
    }
}

extension Supervisor.Child {
    fileprivate func write(to record: inout HandoverRecord) {
        record.set("pid", pid)
        record.set("launch", launch)
        record.set("generation", generation)
        record.set("spawned", spawnedAt)
        switch stage {
        case .starting(let readyBy): record.set("ready-by", readyBy)
        case .ready(let since, let upAt, let provenAt):
            record.set("ready", since)
            record.set("up-at", upAt)
            record.set("proven-at", provenAt)
        }
        record.set("start-cost", startCost)
        record.set("draining", isDraining)
        drainOrigin?.write(to: &record)
        record.set("exit-expected", exitExpectedBy)
        record.set("recycle-at", recycleAt)
        record.set("beat-by", beatBy)
    }

    /// - Parameter rules: those of the new program, which may expect beats where the old one did not.
    fileprivate init(_ record: HandoverRecord, _ rules: Supervisor.Rules) throws(HandoverRecord.Fault) {
        let stage: Stage
        if let since = try record.optionalInstant("ready") {
            stage = .ready(
                since: since, upAt: try record.optionalInstant("up-at"),
                provenAt: try record.optionalInstant("proven-at"))
        } else {
            stage = .starting(readyBy: try record.instant("ready-by"))
        }
        self.init(
            pid: try record.number("pid", in: 1 ... .max),
            launch: try record.number("launch", in: 0 ... .max),
            generation: try record.number("generation", in: 1 ... .max),
            spawnedAt: try record.instant("spawned"),
            stage: stage)
        startCost = try record.optionalDuration("start-cost")
        isDraining = record.flag("draining")
        drainOrigin = try Prefork.DrainOrigin(record)
        exitExpectedBy = try record.optionalInstant("exit-expected")
        recycleAt = rules.recycleAfter == nil ? nil : try record.optionalInstant("recycle-at")
        beatBy = rules.heartbeatTimeout == nil ? nil : try record.optionalInstant("beat-by")
    }
}

extension Supervisor.Exiting {
    fileprivate func write(to record: inout HandoverRecord) {
        record.set("cause", cause.name)
        record.set("since", since)
        record.set("signals-since", escalation.begin)
        record.set("signals", escalation.steps.map(\.signal.number))
        record.set("signals-after", escalation.steps.map(\.after.clampedNanoseconds))
    }

    fileprivate init(_ child: Supervisor.Child, _ record: HandoverRecord) throws(HandoverRecord.Fault) {
        guard let cause = Supervisor.ExitCause(name: try record.text("cause")) else { throw record.fault("cause") }
        let signals: [CInt] = try record.numbers("signals")
        let times: [Int64] = try record.numbers("signals-after")
        guard signals.count == times.count else { throw record.fault("signals-after") }
        let steps = zip(signals, times).map { number, time in
            Supervisor.Escalation.Step(signal: Signal(number: number), after: .nanoseconds(time))
        }
        self.init(
            child: child, cause: cause, since: try record.instant("since"),
            escalation: .init(steps, at: try record.instant("signals-since")))
    }
}

extension Supervisor.ExitCause {
    private static let names: [(Supervisor.ExitCause, String)] = [
        (.shutdown, "shutdown"), (.notReady, "not-ready"), (.unrequested, "unrequested"), (.unreplaced, "unreplaced"),
        (.restart, "restart"), (.rollback, "rollback"), (.resize, "resize"), (.unresponsive, "unresponsive"),
        (.abandoned, "abandoned"), (.recycled, "recycled"),
    ]

    fileprivate var name: String { Self.names.first { $0.0 == self }?.1 ?? "" }

    fileprivate init?(name: String) {
        guard let cause = Self.names.first(where: { $0.1 == name })?.0 else { return nil }
        self = cause
    }
}
