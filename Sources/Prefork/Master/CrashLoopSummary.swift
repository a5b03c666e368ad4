/// Keeps the log of a crash loop readable. The first exits of a slot are logged one by one. While more follow, the slot
/// gets one line for each interval, with counts.
struct CrashLoopSummary: Sendable {
    /// This many exits of a slot within `period` are logged one by one.
    static let detailed = 5
    static let period: Duration = .seconds(60)
    /// The time between two summaries of a slot.
    static let interval: Duration = .seconds(10)

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

    /// The times of the last exits of each slot, whether or not they were logged one by one.
    private var exits: [Int: [Instant]] = [:]
    /// Only of the slots whose exits are not logged one by one. Usually there are none.
    private var intervals: [Int: Interval] = [:]

    /// When a summary is due. `nil` if none is.
    private(set) var next: Instant?

    /// Takes an event into account.
    /// - Returns: whether it is logged by itself.
    mutating func admit(_ event: Prefork.Event, at now: Instant) -> Bool {
        switch event.payload {
        case .spawned(let slot, let pid, .some):
            intervals[slot]?.child = (pid, false)
            return intervals[slot] == nil
        case .ready(let slot, let pid, _):
            intervals[slot]?.child = (pid, true)
            intervals[slot]?.delay = nil
            return intervals[slot] == nil
        case .notReady(let slot, _, _): return intervals[slot] == nil
        case .exited(let exit, let consequence), .spawnFailed(let exit, let consequence):
            if case .recovering(let delay) = consequence.payload { return note(exit, delay, now) }
            // It has a line of its own, which the summary must not contradict. Its replacement may be there already.
            if intervals[exit.slot]?.child?.pid == exit.pid { intervals[exit.slot]?.child = nil }
            intervals[exit.slot]?.delay = nil
            return true
        default: return true
        }
    }

    private mutating func note(_ exit: Prefork.ChildExit, _ delay: Duration, _ now: Instant) -> Bool {
        let slot = exit.slot
        let last = Array((exits[slot] ?? []).suffix(Self.detailed - 1)) + [now]
        exits[slot] = last
        guard intervals[slot] != nil else {
            // The last exit that is logged begins the first interval.
            if last.count == Self.detailed, let first = last.first, now - first <= Self.period {
                intervals[slot] = Interval(begin: now, child: nil, delay: delay)
                // The other intervals have begun before.
                next = next ?? now + Self.interval
            }
            return true
        }
        intervals[slot]?.causes[exit.cause, default: 0] += 1
        if !exit.wasReady { intervals[slot]?.neverReady += 1 }
        intervals[slot]?.child = nil
        intervals[slot]?.delay = delay
        return false
    }

    /// The summaries that are due, in the order of the slots.
    /// - Parameter isLast: the run ends, so all of them are due.
    mutating func take(at now: Instant, isLast: Bool = false) -> [String] {
        guard let next, isLast || next <= now else { return [] }
        let due = intervals.filter { isLast || $0.value.begin + Self.interval <= now }.sorted { $0.key < $1.key }
        var lines: [String] = []
        for (slot, interval) in due {
            if interval.total > 0 || interval.child != nil { lines.append(interval.line(slot, now)) }
            if interval.total > 0, !isLast {
                intervals[slot] = Interval(begin: now, child: interval.child, delay: interval.delay)
            } else {
                // An interval without an exit is the last one.
                intervals[slot] = nil
                exits[slot] = nil
            }
        }
        self.next = intervals.values.map { $0.begin + Self.interval }.min()
        return lines
    }
}
