/// A request of a control client that takes time.
struct ControlWork {
    let client: ControlClients.ID
    let kind: Kind
    /// Why it has failed. A restart is answered when the fleet has gone back.
    private(set) var failure: String?
    private var isDone = false

    enum Kind: Equatable {
        case stop
        /// The build that all slots get.
        case restart(generation: Int)
        case rollback(generation: Int)
        /// The build that all slots and then the master get.
        case upgrade(generation: Int)
        case resize(to: Int)
        /// The child that another one must replace.
        case recycle(slot: Int, pid: Int32)
    }

    init(client: ControlClients.ID, kind: Kind) {
        self.client = client
        self.kind = kind
    }

    mutating func note(_ event: Prefork.Event) {
        switch (kind, event.payload) {
        case (.restart(let own), .restarted(let generation, _)), (.rollback(let own), .restarted(let generation, _)),
            (.rollback(let own), .rolledBack(let generation, _)):
            if generation == own { isDone = true }
        case (.upgrade(let own), .upgraded(let generation, _)): if generation == own { isDone = true }
        case (.upgrade(let own), .upgradeFailed(let generation, _)): if generation == own { failure = "\(event)" }
        case (.restart(let own), .restartFailed(let generation, _, _)),
            (.upgrade(let own), .restartFailed(let generation, _, _)),
            (.rollback(let own), .restartFailed(let generation, _, _)):
            if generation == own { failure = "\(event)" }
        case (.resize(let own), .resizeFailed(_, let count, _)):
            if count == own { failure = "\(event)" }
        default: break
        }
    }

    /// `nil` while the master works.
    func answer(_ supervisor: Supervisor) -> [UInt8]? {
        if kind == .stop { return supervisor.phase == .finished ? ControlAnswer.success() : nil }
        switch kind {
        case .stop: break
        case .restart(let generation), .rollback(let generation), .upgrade(let generation):
            if isDone { return ControlAnswer.success([.init("generation", .integer(generation))]) }
            if let restart = supervisor.restart {
                if restart.stage == .returning || restart.generation == generation { return nil }
            }
            if let failure { return ControlError(.failed, failure).answer }
            if supervisor.isStopping { break }
            // A restart that waits for another one, or for the first children.
            if supervisor.isRestartQueued, generation > supervisor.latestGeneration { return nil }
            if case .upgrade = kind, supervisor.handingOverSince != nil { return nil }
            return Self.superseded.answer
        case .resize(let count):
            if let failure { return ControlError(.failed, failure).answer }
            if supervisor.isStopping { break }
            if supervisor.queuedTarget == count { return nil }
            if supervisor.target != count { return Self.superseded.answer }
            let isComplete =
                supervisor.acceptingSlots.firstMissing(from: 0) >= count
                && supervisor.slots.prefix(count).allSatisfy { $0.current?.isAccepting == true }
                && (supervisor.slots.all(.occupied).last ?? 0) < count
            return isComplete ? ControlAnswer.success([.init("children", .integer(count))]) : nil
        case .recycle(let slot, let old):
            if supervisor.isStopping { break }
            if slot >= supervisor.target { return Self.superseded.answer }
            guard let child = supervisor.slots[slot].current, child.pid != old, child.isUp else { return nil }
            return ControlAnswer.success([.init("pid", .integer(Int(child.pid)))])
        }
        return Self.stopping.answer
    }

    static let stopping = ControlError(.stopping, "the fleet stops")
    private static let superseded = ControlError(.superseded, "another request has taken the place of this one")
}

// MARK: In a handover

extension ControlWork {
    func write(to record: inout HandoverRecord) {
        switch kind {
        case .stop: record.set("request", "stop")
        case .restart(let generation):
            record.set("request", "restart")
            record.set("generation", generation)
        case .rollback(let generation):
            record.set("request", "rollback")
            record.set("generation", generation)
        case .upgrade(let generation):
            record.set("request", "upgrade")
            record.set("generation", generation)
        case .resize(let count):
            record.set("request", "resize")
            record.set("children", count)
        case .recycle(let slot, let pid):
            record.set("request", "recycle")
            record.set("slot", slot)
            record.set("pid", pid)
        }
    }
}

extension ControlWork.Kind {
    /// - Returns: `nil` if the client has no request, or one that this version does not know.
    init?(_ record: HandoverRecord) {
        let generation: Int? = (try? record.optional("generation")) ?? nil
        switch ((try? record.optionalText("request")) ?? nil, generation) {
        case ("stop", _): self = .stop
        case ("restart", let generation?): self = .restart(generation: generation)
        case ("rollback", let generation?): self = .rollback(generation: generation)
        case ("upgrade", let generation?): self = .upgrade(generation: generation)
        case ("resize", _):
            guard let count: Int = try? record.number("children") else { return nil }
            self = .resize(to: count)
        case ("recycle", _):
            guard let slot: Int = try? record.number("slot"), let pid: Int32 = try? record.number("pid") else {
                return nil
            }
            self = .recycle(slot: slot, pid: pid)
        default: return nil
        }
    }
}
