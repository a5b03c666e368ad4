// The table that SIGUSR1 asks for.

extension Prefork.Status {
    /// A table of several lines, with a row for each slot.
    public var description: String {
        let listening = addresses.map(\.description).concatenated(separator: ", ")
        let head = "status: master \(masterPID) on \(listening)\(isStopping ? ", stopping" : "")"
        let table = ["  slot  state        pid       since     spawns  queue  last exit"] + slots.map(\.row)
        let exits = counters.total == 0 ? [] : ["  unexpected exits: \(counters)"]
        return ([head] + table + listeners.compactMap(\.row) + exits).joined(separator: "\n")
    }
}

extension Prefork.Status.Listener {
    /// `nil` if the listener is sharded: the slots' rows have its queues.
    fileprivate var row: String? {
        guard mode != .sharded, let queue = queues.first else { return nil }
        let kind = ownership == .adopted ? "\(mode), adopted" : "\(mode)"
        return "  \(kind) \(address): \(queue.map { "\($0) waiting" } ?? "queue unknown")"
    }
}

extension Prefork.Status.Slot {
    fileprivate var row: String {
        let (name, detail): (String, String) =
            switch state.payload {
            case .empty: ("empty", "-")
            case .starting(let pid): ("starting", "\(pid)")
            case .ready(let pid): ("ready", "\(pid)")
            case .stopping(let pid): ("stopping", "\(pid)")
            case .backingOff(let delay): ("backing off", "in \(delay.inSeconds)")
            }
        let exit = lastExit.map { "\($0.cause) after \($0.lifetime.inSeconds)" } ?? "-"
        return "  " + padded("\(slot)", 6) + padded(name, 13) + padded(detail, 10) + padded(since.inSeconds, 10)
            + padded("\(spawns)", 8) + padded(waiting.map { isInRotation ? "\($0)" : "\($0) out" } ?? "-", 7) + exit
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
