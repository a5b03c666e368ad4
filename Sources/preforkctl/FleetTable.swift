/// A table of a fleet for people.
struct FleetTable {
    /// The text of the CPU column of each slot.
    enum Processor {
        /// The processor time of the child's life.
        case total
        /// The share of a processor since the line before, by the child's process id.
        case shares([Int: Double])
    }

    var isColored = false
    /// Lines are cut here.
    var columns: Int?
    /// Slots that do not fit are counted in one line.
    var rows: Int?

    private static let header = row(
        "SLOT", "PID", "GEN", "UPTIME", "STATE", "QUEUE", "CPU", "MEM", "LAUNCHES", "LAST EXIT")

    func lines(_ fleet: Fleet, _ processor: Processor) -> [String] {
        var head = "master \(fleet.pid) on \(fleet.addresses.joined(separator: ", ")), up \(Self.time(fleet.uptime))"
        if let generation = fleet.generation { head += ", generation \(generation)" }
        if fleet.isRestarting { head += ", restarting" }
        if fleet.isStopping { head += ", stopping" }
        let foot = fleet.sharedQueues + (Self.exits(fleet.counters).map { [$0] } ?? [])
        let room = rows.map { max(1, $0 - 2 - foot.count) } ?? fleet.slots.count
        let shown = fleet.slots.count <= room ? fleet.slots.count : room - 1
        var lines = [styled(cut(head), "1"), styled(cut(Self.header), "7")]
        lines += fleet.slots.prefix(shown).map { row($0, processor) }
        if shown < fleet.slots.count { lines.append("and \(fleet.slots.count - shown) more slots") }
        return lines + foot.map(cut)
    }

    private func row(_ slot: Fleet.Slot, _ processor: Processor) -> String {
        let since = slot.retryIn.map { "in " + Self.time($0) } ?? slot.since.map(Self.time)
        let queue = slot.queue.map { slot.isInRotation ? "\($0)" : "\($0) out" } ?? (slot.isInRotation ? "-" : "out")
        let cpu: String? =
            switch processor {
            case .total: slot.cpu.map(Self.time)
            case .shares(let shares): slot.pid.flatMap { shares[$0] }.map { "\(Int(($0 * 100).rounded()))%" }
            }
        let text = cut(
            Self.row(
                "\(slot.slot)", slot.pid.map { "\($0)" } ?? "-", slot.generation.map { "\($0)" } ?? "-", since ?? "-",
                slot.stateInWords, queue, cpu ?? "-", slot.memory.map(Self.size) ?? "-", "\(slot.launches)",
                slot.lastExit.map(short) ?? "-"))
        let color =
            switch slot.state {
            case "ready": "32"
            case "backingOff": "31"
            default: "33"
            }
        let state = slot.stateInWords
        guard isColored, text.count >= Self.widthBeforeState + state.count else { return text }
        let rest = text.dropFirst(Self.widthBeforeState)
        return text.prefix(Self.widthBeforeState) + styled(state, color) + rest.dropFirst(state.count)
    }

    private static let widthBeforeState = 24
    private static let widthBeforeExit = 64

    private static func row(
        _ slot: String, _ pid: String, _ generation: String, _ uptime: String, _ state: String, _ queue: String,
        _ cpu: String, _ memory: String, _ launches: String, _ exit: String
    ) -> String {
        [
            right(slot, 4), right(pid, 7), right(generation, 3), right(uptime, 6), left(state, 11), right(queue, 6),
            right(cpu, 5), right(memory, 5), right(launches, 8), exit,
        ].joined(separator: " ")
    }

    private static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private static func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// How the child ended, and after which time only if there is room for it.
    private func short(_ exit: String) -> String {
        guard let columns, exit.count > columns - Self.widthBeforeExit else { return exit }
        let words = exit.split(separator: " ")
        guard let end = words.lastIndex(of: "after") else { return exit }
        return words[..<end].joined(separator: " ")
    }

    private func cut(_ text: String) -> String { columns.map { String(text.prefix($0)) } ?? text }

    private func styled(_ text: String, _ code: String) -> String {
        isColored ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    private static func exits(_ counters: [String: Int]) -> String? {
        guard let total = counters["total"], total > 0 else { return nil }
        let kinds = [
            ("while ready", "lostWhileReady"), ("failed starts", "failedStarts"), ("out of memory", "outOfMemory"),
        ]
        let parts = kinds.compactMap { text, name in counters[name].flatMap { $0 > 0 ? "\($0) \(text)" : nil } }
        return "unexpected exits: \(total)" + (parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))")
    }

    /// At most six characters: `0.4s`, `59.9s`, `59m59s`, `23h59m`, `99d23h`, `1234d`.
    static func time(_ seconds: Double) -> String {
        let tenths = Int(max(0, min(seconds, 1e9)) * 10)
        if tenths < 600 { return "\(tenths / 10).\(tenths % 10)s" }
        let whole = tenths / 10
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        if whole < 3600 { return "\(whole / 60)m\(two(whole % 60))s" }
        if whole < 86_400 { return "\(whole / 3600)h\(two(whole / 60 % 60))m" }
        let days = whole / 86_400
        return days < 100 ? "\(days)d\(two(whole / 3600 % 24))h" : "\(days)d"
    }

    /// At most five characters: `512K`, `12.4M`, `123M`, `1.2G`.
    static func size(_ bytes: Double) -> String {
        var number = max(0, min(bytes, 1e18)) / 1024
        for unit in ["K", "M", "G"] {
            if number < 1000 { return number < 100 && unit != "K" ? tenths(number) + unit : "\(Int(number))\(unit)" }
            number /= 1024
        }
        return tenths(number) + "T"
    }

    private static func tenths(_ number: Double) -> String {
        let tenths = Int(number * 10)
        return "\(tenths / 10).\(tenths % 10)"
    }
}
