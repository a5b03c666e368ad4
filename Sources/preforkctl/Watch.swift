import PreforkLibc

/// Shows the lines of `watch` until the connection ends.
struct Watch {
    private let connection: MasterConnection
    private let isRaw: Bool
    /// The status and the time at which it came.
    private var last: (fleet: Fleet, at: Double)?
    /// The share of a processor that each child has used since the line before.
    private var shares: [Int: Double] = [:]

    /// After this time without a line, no child has used any processor time worth a tick.
    private static let quietTime = 3.0
    /// The time between two drawings, in milliseconds.
    private static let interval: CInt = 1000

    init(_ connection: MasterConnection, isRaw: Bool) {
        self.connection = connection
        self.isRaw = isRaw
    }

    mutating func run() -> Never {
        let isDrawing = !isRaw && Terminal.isTerminal
        if isDrawing { Terminal.write("\u{1B}[2J") }
        while true {
            switch connection.receive(within: isDrawing ? Self.interval : -1) {
            case .end: Preforkctl.connectionLost()
            case .nothing: break
            case .line(let line):
                let value = Preforkctl.check(line, isRaw: isRaw)
                if isRaw {
                    Terminal.write(String(decoding: line, as: UTF8.self) + "\n")
                    continue
                }
                guard let fleet = Fleet(value) else {
                    Preforkctl.fail("the answer is not a status", ExitStatus.refused)
                }
                if !isDrawing { Self.printChanges(from: last?.fleet, to: fleet) }
                note(fleet)
            }
            if isDrawing { draw() }
        }
    }

    private mutating func note(_ fleet: Fleet) {
        if let (before, _) = last {
            shares = Self.shares(from: before, to: fleet)
        }
        last = (fleet, Self.now())
    }

    /// The share of a processor that each child has used between two lines.
    static func shares(from old: Fleet, to new: Fleet) -> [Int: Double] {
        let time = new.uptime - old.uptime
        guard time > 0 else { return [:] }
        var shares: [Int: Double] = [:]
        for case let (slot, pid?, cpu?) in new.slots.map({ ($0, $0.pid, $0.cpu) }) {
            guard let before = old.slots.first(where: { $0.slot == slot.slot && $0.pid == pid })?.cpu else { continue }
            shares[pid] = max(0, cpu - before) / time
        }
        return shares
    }

    private func draw() {
        guard let (fleet, at) = last else { return }
        let (columns, rows) = Terminal.size
        let passed = Self.now() - at
        let table = FleetTable(isColored: Terminal.hasColor, columns: columns, rows: rows - 1)
        let shares = passed > Self.quietTime ? self.shares.mapValues { _ in 0 } : self.shares
        let lines = table.lines(Self.advanced(fleet, by: passed), .shares(shares))
        // From the upper left corner, each line up to its end, and then the rest of the screen.
        Terminal.write("\u{1B}[H" + lines.map { $0 + "\u{1B}[K\r\n" }.joined() + "\u{1B}[J")
    }

    /// The master sends nothing while only time passes.
    static func advanced(_ fleet: Fleet, by seconds: Double) -> Fleet {
        var fleet = fleet
        fleet.uptime += seconds
        for index in fleet.slots.indices {
            if let since = fleet.slots[index].since { fleet.slots[index].since = since + seconds }
            if let delay = fleet.slots[index].retryIn { fleet.slots[index].retryIn = max(0, delay - seconds) }
        }
        return fleet
    }

    private static func printChanges(from old: Fleet?, to new: Fleet) {
        for line in changes(from: old, to: new) { Terminal.write(line + "\n") }
    }

    /// One line for each slot that is not as it was.
    static func changes(from old: Fleet?, to new: Fleet) -> [String] {
        var lines: [String] = []
        if new.isRestarting, old?.isRestarting != true { lines.append("the fleet is restarting") }
        if new.isStopping, old?.isStopping != true { lines.append("the fleet is stopping") }
        for slot in new.slots where old?.slots.first(where: { $0.slot == slot.slot })?.line != slot.line {
            lines.append(slot.line)
        }
        for slot in old?.slots ?? [] where !new.slots.contains(where: { $0.slot == slot.slot }) {
            lines.append("slot \(slot.slot): gone")
        }
        return lines
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
