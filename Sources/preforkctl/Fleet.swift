/// The status of a fleet, as a master reports it.
struct Fleet: Equatable {
    struct Slot: Equatable {
        var slot: Int
        var state: String
        var pid: Int?
        var generation: Int?
        /// The child that is about to take the place of this one.
        var replacement: Int?
        /// The time in this state, in seconds.
        var since: Double?
        var retryIn: Double?
        var launches: Int
        var isInRotation: Bool
        var queue: Int?
        /// In bytes.
        var memory: Double?
        /// Processor time in seconds.
        var cpu: Double?
        var lastExit: String?
    }

    var pid: Int
    var uptime: Double
    var generation: Int?
    var addresses: [String]
    var isStopping: Bool
    var isRestarting: Bool
    var slots: [Slot]
    /// Listeners that the slots share, each with its queue.
    var sharedQueues: [String]
    var counters: [String: Int]

    /// - Parameter answer: the answer to `status`, or a line of `watch`.
    init?(_ answer: JSONValue) {
        let status = answer["status"]
        guard let pid = status["pid"].integer, let uptime = status["uptime"].number else { return nil }
        self.pid = pid
        self.uptime = uptime
        generation = status["generation"].integer
        addresses = status["addresses"].items.compactMap(\.text)
        isStopping = status["isStopping"].bool ?? false
        isRestarting = status["isRestarting"].bool ?? false
        slots = status["slots"].items.map { Slot($0) }
        sharedQueues = status["listeners"].items.compactMap { listener in
            guard listener["mode"].text == "shared", let address = listener["address"].text else { return nil }
            let kind = listener["ownership"].text == "adopted" ? "shared, adopted" : "shared"
            guard let queue = listener["queues"].items.first, let waiting = queue["waiting"].integer,
                let limit = queue["limit"].integer
            else { return "\(address) (\(kind)): queue unknown" }
            return "\(address) (\(kind)): \(waiting) of \(limit) waiting"
        }
        counters = status["counters"].members.compactMapValues(\.integer)
    }
}

extension Fleet.Slot {
    fileprivate init(_ value: JSONValue) {
        slot = value["slot"].integer ?? 0
        state = value["state"].text ?? "?"
        pid = value["pid"].integer
        generation = value["generation"].integer
        replacement = value["replacement"].integer
        since = value["since"].number
        retryIn = value["retryIn"].number
        launches = value["launches"].integer ?? 0
        isInRotation = value["isInRotation"].bool ?? true
        queue = value["queue"].integer
        memory = value["memory"].number
        cpu = value["cpu"].number
        lastExit = value["lastExit"]["text"].text
    }

    /// One line for a reader that is not a terminal. It changes only when the slot does.
    var line: String {
        var parts = ["slot \(slot): \(stateInWords)"]
        if let pid { parts[0] += " \(pid)" }
        if let generation { parts.append("generation \(generation)") }
        if let replacement { parts.append("to be replaced by \(replacement)") }
        parts.append("launches \(launches)")
        if !isInRotation { parts.append("out of rotation") }
        if let lastExit { parts.append("last exit: \(lastExit)") }
        return parts.joined(separator: ", ")
    }

    var stateInWords: String {
        if state == "ready", replacement != nil { return "replacing" }
        return state == "backingOff" ? "backing off" : state
    }
}
