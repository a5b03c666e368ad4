/// Finds children that let connections wait and do nothing. A pure value: looks go in, children come out.
struct StallWatch {
    private static let looks = 4
    private static let longestPause: Duration = .milliseconds(500)

    /// A child with a queue of its own.
    struct Look {
        let pid: Int32
        /// How many connections wait.
        let waiting: Int
        /// How much the child has done so far. `nil` if the system does not say.
        let progress: Progress?
    }

    private struct Suspect {
        let since: Instant
        var waiting: Int
        let progress: Progress
    }

    private let timeout: Duration
    /// When to look again.
    private(set) var next: Instant
    private var suspects: [Int32: Suspect] = [:]

    init(timeout: Duration, at now: Instant) {
        self.timeout = timeout
        next = now
    }

    private var pause: Duration { min(timeout / Self.looks, Self.longestPause) }

    /// Takes one look at all children.
    /// - Returns: those that have done nothing for the whole time, at each look.
    mutating func note(_ looks: [Look], at now: Instant) -> [(pid: Int32, Prefork.Event.Evidence)] {
        // After a longer break, nothing is known about the time between the looks: the master itself did not run.
        if now - next > pause + .seconds(1) { suspects = [:] }
        next = now + pause
        var seen: [Int32: Suspect] = [:]
        var stalled: [(pid: Int32, Prefork.Event.Evidence)] = []
        for look in looks where look.waiting > 0 {
            guard let progress = look.progress else { continue }
            var suspect = Suspect(since: now, waiting: look.waiting, progress: progress)
            if let known = suspects[look.pid], known.progress == progress, known.waiting <= look.waiting {
                suspect = known
                suspect.waiting = look.waiting
            }
            if now - suspect.since >= timeout {
                stalled.append((look.pid, .stall(waiting: look.waiting, now - suspect.since)))
            } else {
                seen[look.pid] = suspect
            }
        }
        suspects = seen
        return stalled
    }
}
