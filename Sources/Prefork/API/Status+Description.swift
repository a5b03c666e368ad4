// The table that SIGUSR1 asks for.

extension Prefork.Status {
    /// A table of several lines, with a row for each slot.
    public var description: String {
        let listening = addresses.map(\.description).concatenated(separator: ", ")
        let head = "status: master \(masterPID) on \(listening)\(isStopping ? ", stopping" : "")"
        var table = Rows()
        table.add("  slot  state        pid       since     spawns  queue  last exit")
        for slot in slots { slot.addRow(to: &table) }
        let exits = counters.total == 0 ? [] : ["  unexpected exits: \(counters)"]
        return ([head, table.text] + listeners.compactMap(\.row) + exits).joined(separator: "\n")
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
    fileprivate func addRow(to table: inout Rows) {
        let (name, detail): (String, String) =
            switch state.payload {
            case .empty: ("empty", "-")
            case .starting(let pid): ("starting", String(pid))
            case .ready(let pid): ("ready", String(pid))
            case .stopping(let pid): ("stopping", String(pid))
            case .backingOff(let delay): ("backing off", "in \(delay.inSeconds)")
            }
        table.begin()
        table.add("  ")
        table.add(String(slot), width: 6)
        table.add(name, width: 13)
        table.add(detail, width: 10)
        table.add(since.inSeconds, width: 10)
        table.add(String(spawns), width: 8)
        table.add(waiting.map { isInRotation ? String($0) : "\($0) out" } ?? "-", width: 7)
        table.add(lastExit.map { "\($0.cause) after \($0.lifetime.inSeconds)" } ?? "-")
    }
}

/// The rows of a table. Bytes, because strings would take most of the time of a table of thousands of rows.
private struct Rows {
    private var bytes: [UInt8] = []

    var text: String { String(decoding: bytes, as: UTF8.self) }

    mutating func begin() { if !bytes.isEmpty { bytes.append(UInt8(ascii: "\n")) } }

    /// - Parameter width: how many characters the cell takes, with one space behind it at least.
    mutating func add(_ text: String, width: Int = 0) {
        bytes += text.utf8
        if width == 0 { return }
        for _ in 0..<max(1, width - text.utf8.count) { bytes.append(UInt8(ascii: " ")) }
    }
}
