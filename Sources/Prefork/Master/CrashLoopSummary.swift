/// Keeps the log of a crash loop readable. The first exits of a slot are logged one by one. While more follow, the slot
/// gets one line for each interval, with counts.
struct CrashLoopSummary: Sendable {
    /// This many exits of a slot within `period` are logged one by one.
    static let detailed = 5
    static let period: Duration = .seconds(60)
    /// The time between two summaries of a slot.
    static let interval: Duration = .seconds(10)

    private struct Slot: Sendable {
        /// The last exits, whether or not they were logged one by one.
        var exits: [Instant] = []
        var interval: Interval?
    }

    /// The events since `begin` that got no line of their own.
    private struct Interval: Sendable {
        let begin: Instant
        var causes: [String: Int] = [:]
        var neverReady = 0
        var child: (pid: Int32, isReady: Bool)?
        /// The delay before the next child, as the last exit announced it. `nil` once a child was started.
        var delay: Duration?

        var total: Int { causes.values.reduce(0, +) }

        /// For example `slot 2: 42 exits in 10 s: 40 signal 4 (ILL), 2 status 1; 3 never ready; child 4711 is ready`.
        func line(_ slot: Int, _ now: Instant) -> String {
            var text = "slot \(slot): \(total == 0 ? "no" : "\(total)") exit\(total == 1 ? "" : "s")"
            text += " in \((now - begin).inSeconds)"
            if total > 0 {
                let ordered = causes.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
                text += ": " + ordered.map { "\($0.value) \($0.key)" }.concatenated(separator: ", ")
            }
            if neverReady > 0 { text += "; \(neverReady) never ready" }
            if let child { return text + "; child \(child.pid) is \(child.isReady ? "ready" : "starting")" }
            return delay.map { text + "; recovering \($0 == .zero ? "at once" : "in \($0.inSeconds)")" } ?? text
        }
    }

    private var slots: [Int: Slot] = [:]

    /// When a summary is due. `nil` if none is.
    var next: Instant? { slots.values.compactMap { $0.interval.map { $0.begin + Self.interval } }.min() }

    /// Takes an event into account.
    /// - Returns: whether it is logged by itself.
    mutating func admit(_ event: Prefork.Event, at now: Instant) -> Bool {
        switch event.payload {
        case .spawned(let slot, let pid, .some):
            return change(slot) { $0.child = (pid, false) }
        case .ready(let slot, let pid, _):
            return change(slot) {
                $0.child = (pid, true)
                $0.delay = nil
            }
        case .notReady(let slot, _, _): return change(slot) { _ in }
        case .exited(let exit, let consequence), .spawnFailed(let exit, let consequence):
            guard case .recovering(let delay) = consequence.payload else {
                // A line of its own says so, and the slot's child is gone.
                slots[exit.slot]?.interval?.child = nil
                slots[exit.slot]?.interval?.delay = nil
                return true
            }
            return note(exit, delay, now)
        default: return true
        }
    }

    /// - Returns: whether the slot has no interval, so that the event is logged.
    private mutating func change(_ slot: Int, _ body: (inout Interval) -> Void) -> Bool {
        guard var interval = slots[slot]?.interval else { return true }
        body(&interval)
        slots[slot]?.interval = interval
        return false
    }

    private mutating func note(_ exit: Prefork.ChildExit, _ delay: Duration, _ now: Instant) -> Bool {
        var slot = slots[exit.slot] ?? Slot()
        slot.exits = slot.exits.suffix(Self.detailed - 1) + [now]
        defer { slots[exit.slot] = slot }
        guard slot.interval != nil else {
            // The last exit that is logged begins the first interval.
            if slot.exits.count == Self.detailed, let first = slot.exits.first, now - first <= Self.period {
                slot.interval = Interval(begin: now, child: nil, delay: delay)
            }
            return true
        }
        slot.interval?.causes[exit.cause, default: 0] += 1
        if !exit.wasReady { slot.interval?.neverReady += 1 }
        slot.interval?.child = nil
        slot.interval?.delay = delay
        return false
    }

    /// The summaries that are due, in the order of the slots.
    /// - Parameter isLast: the run ends, so all of them are due.
    mutating func take(at now: Instant, isLast: Bool = false) -> [String] {
        var lines: [String] = []
        for number in slots.keys.sorted() {
            guard let interval = slots[number]?.interval, isLast || interval.begin + Self.interval <= now else {
                continue
            }
            if interval.total > 0 || interval.child != nil { lines.append(interval.line(number, now)) }
            // An interval without an exit is the last one.
            let goesOn = interval.total > 0 && !isLast
            slots[number]?.interval =
                goesOn ? Interval(begin: now, child: interval.child, delay: interval.delay) : nil
            if !goesOn { slots[number]?.exits = [] }
        }
        return lines
    }
}
