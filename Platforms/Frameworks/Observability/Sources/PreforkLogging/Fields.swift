import Logging
import Prefork

/// Metadata whose keys begin with `prefork.`. A value that is `nil` or empty adds no field.
struct Fields {
    private(set) var metadata: Logger.Metadata = [:]

    /// A number or a truth value stays one for handlers that write JSON. Everything else becomes a text.
    mutating func add(_ key: String, _ value: (some CustomStringConvertible & Sendable)?) {
        if let value { metadata["prefork.\(key)"] = Self.metadata(of: value) }
    }

    mutating func add(_ key: String, list: [some CustomStringConvertible & Sendable]) {
        if !list.isEmpty { metadata["prefork.\(key)"] = .array(list.map { Self.metadata(of: $0) }) }
    }

    private static func metadata(of value: some CustomStringConvertible & Sendable) -> Logger.MetadataValue {
        switch value {
        case is any BinaryInteger, is any BinaryFloatingPoint, is Bool: .stringConvertible(value)
        default: .string(value.description)
        }
    }
}

extension Fields {
    mutating func add(_ key: String, _ error: Prefork.SystemError?) {
        guard let error else { return }
        add("\(key).call", error.call)
        add("\(key).code", error.code)
        add("\(key).context", error.context.isEmpty ? nil : error.context)
        add("\(key).message", error.message)
    }

    mutating func add(_ exit: Prefork.ChildExit) {
        add("exit.reason", exit.reason.code)
        add("exit.status", exit.reason.status)
        add("exit.signal", exit.reason.signal)
        if exit.reason.isCoreDumped { add("exit.core", true) }
        add("exit.error", exit.reason.systemError)
        guard exit.reason.code != .notSpawned else { return }
        add("exit.pid", exit.pid)
        add("exit.lifetime.seconds", exit.lifetime.inSeconds)
        add("exit.ready", exit.wasReady)
        add("exit.ready.seconds", exit.readyTime?.inSeconds)
        add("exit.drain", exit.drainOrigin?.code)
        if exit.isProbablyOutOfMemory { add("exit.out_of_memory", true) }
    }

    mutating func add(_ status: Prefork.Status) {
        add("addresses", list: status.addresses)
        add("master.pid", status.masterPID)
        add("generation", status.generation)
        add("restarting", status.isRestarting)
        add("stopping", status.isStopping)
        add("slots", status.slots.count)
        add("slots.ready", status.slots.filter { $0.state.code == .ready }.count)
        add("exits", status.counters)
    }

    /// The number of unexpected exits, and of those reasons that have occurred.
    private mutating func add(_ key: String, _ counters: Prefork.Status.Counters) {
        add("\(key).total", counters.total)
        for (signal, count) in counters.signals { add("\(key).signal.\(signal)", count) }
        for (status, count) in counters.statuses { add("\(key).status.\(status)", count) }
        let others = [
            ("unknown", counters.unknown), ("not_spawned", counters.notSpawned),
            ("out_of_memory", counters.outOfMemory), ("failed_starts", counters.failedStarts),
            ("while_ready", counters.lostWhileReady), ("unresponsive", counters.unresponsive),
            ("recycled", counters.recycled),
        ]
        for (name, count) in others where count > 0 { add("\(key).\(name)", count) }
    }
}

extension Duration {
    /// The duration as a number.
    var inSeconds: Double { self / .seconds(1) }
}
