/// The answer to `status` and `watch`. It has one value in each field.
struct ControlStatus {
    let status: Prefork.Status
    /// The time since the master started.
    let uptime: Duration
    /// The memory and processor time of the children, by process id. Without those that the system does not show.
    let usage: [Int32: ProcessUsage]

    /// The members of the answer. Clients read these names, so they stay.
    var members: [JSON.Member] { [.init("status", json(isTimed: true))] }

    /// The same without the passing time. Another state is a change for a watching client.
    var state: JSON { json(isTimed: false) }

    private func json(isTimed: Bool) -> JSON {
        var members: [JSON.Member] = [.init("pid", .integer(Int(status.masterPID)))]
        if isTimed { members.append(.init("uptime", .seconds(uptime))) }
        members += [
            .init("addresses", .array(status.addresses.map { .string($0.description) })),
            .init("generation", .integer(status.generation)),
            .init("isRestarting", .bool(status.isRestarting)),
            .init("isStopping", .bool(status.isStopping)),
            .init("slots", .array(status.slots.map { slot($0, isTimed: isTimed) })),
            .init("listeners", .array(status.listeners.map(Self.listener))),
            .init("counters", Self.counters(status.counters)),
        ]
        return .object(members)
    }

    private func slot(_ slot: Prefork.Status.Slot, isTimed: Bool) -> JSON {
        let used = slot.state.pid.flatMap { usage[$0] }
        var members: [JSON.Member] = [
            .init("slot", .integer(slot.slot)),
            .init("state", .string(slot.state.code.description)),
            .init("pid", .optional(slot.state.pid)),
            .init("generation", .optional(slot.generation)),
            .init("replacement", .optional(slot.replacement)),
        ]
        if isTimed {
            members += [
                .init("since", slot.state.pid == nil ? .null : .seconds(slot.since)),
                .init("retryIn", slot.state.delay.map { .seconds($0) } ?? .null),
            ]
        }
        members += [
            .init("launches", .integer(slot.spawns)),
            .init("isInRotation", .bool(slot.isInRotation)),
            .init("queue", .optional(slot.waiting)),
            .init("memory", .optional(used?.residentMemory)),
            .init("cpu", used.map { .seconds($0.processorTime) } ?? .null),
            .init("lastExit", slot.lastExit.map(Self.exit) ?? .null),
        ]
        return .object(members)
    }

    private static func exit(_ exit: Prefork.ChildExit) -> JSON {
        .object([
            .init("pid", exit.pid == 0 ? .null : .integer(Int(exit.pid))),
            .init("reason", .string(exit.reason.code.description)),
            .init("status", .optional(exit.reason.status)),
            .init("signal", .optional(exit.reason.signal)),
            .init("lifetime", .seconds(exit.lifetime)),
            .init("wasReady", .bool(exit.wasReady)),
            .init("isProbablyOutOfMemory", .bool(exit.isProbablyOutOfMemory)),
            .init("text", .string("\(exit.cause) after \(exit.lifetime.inSeconds)")),
        ])
    }

    private static func listener(_ listener: Prefork.Status.Listener) -> JSON {
        .object([
            .init("address", .string(listener.address.description)),
            .init("mode", .string(listener.mode.description)),
            .init("ownership", .string(listener.ownership.description)),
            .init(
                "queues",
                .array(
                    listener.queues.map { queue in
                        guard let queue else { return .null }
                        return .object([
                            .init("waiting", .integer(queue.waiting)), .init("limit", .integer(queue.limit)),
                        ])
                    })),
        ])
    }

    private static func counters(_ counters: Prefork.Status.Counters) -> JSON {
        func byNumber(_ counts: [Int32: Int]) -> JSON {
            .object(counts.sorted { $0.key < $1.key }.map { .init("\($0.key)", .integer($0.value)) })
        }
        return .object([
            .init("total", .integer(counters.total)),
            .init("signals", byNumber(counters.signals)),
            .init("statuses", byNumber(counters.statuses)),
            .init("unknown", .integer(counters.unknown)),
            .init("notSpawned", .integer(counters.notSpawned)),
            .init("outOfMemory", .integer(counters.outOfMemory)),
            .init("failedStarts", .integer(counters.failedStarts)),
            .init("lostWhileReady", .integer(counters.lostWhileReady)),
        ])
    }
}
