/// Which processes that process 1 has not started itself it reaps, and when it looks for them. A value: what is there
/// comes in, what to reap comes out.
///
/// The kernel gives orphans to the first thread of process 1 and does not tell them from what that thread has started
/// itself, or one that has ended. So nothing is taken that somebody may be about to wait for: only what has been a
/// zombie for a while.
struct OrphanReaper {
    typealias Zombie = Orphans.Zombie

    /// A SIGCHLD tells that some child has ended, not which; under a stream of them that is how often one looks.
    static let lookInterval: Duration = .milliseconds(250)
    /// A list of children that changes while it is read may leave one out (proc_tid_children(5)), and another library
    /// may have put its handler of SIGCHLD over ours: then the next look finds what this one has not.
    static let secondLook: Duration = .milliseconds(500)
    static let sweepInterval: Duration = .seconds(30)

    private let delay: Duration
    private var seen: [Zombie: Instant] = [:]
    private var lastLook: Instant = .distantPast
    /// SIGCHLD has come since.
    private var hasNews = false
    /// When to look next. At first at once: orphans may have come before anybody handled their signal.
    private(set) var next: Instant = .distantPast

    init(delay: Duration) { self.delay = delay }

    /// SIGCHLD has come.
    mutating func childHasEnded(at now: Instant) {
        next = min(next, max(now, lastLook + Self.lookInterval))
        hasNews = true
    }

    /// Those that have been seen, to be looked at also where a list leaves them out: their time would begin anew.
    var pids: [Int32] { seen.keys.map(\.pid) }

    /// It could not be looked at, for want of descriptors or memory.
    mutating func couldNotLook(at now: Instant) {
        lastLook = now
        next = now + Self.secondLook
    }

    /// Looks at what is there.
    /// - Parameter zombies: all that there are but those of the fleet.
    /// - Returns: whom to reap now.
    mutating func look(_ zombies: Set<Zombie>, at now: Instant) -> [Zombie] {
        // This process stood still, and whoever wants to wait did, too: he has his whole time again.
        if next != .distantPast, now - next > Supervisor.suspension { seen = seen.mapValues { _ in now } }
        // What is not there any more was waited for.
        seen = seen.filter { zombies.contains($0.key) }
        for zombie in zombies where seen[zombie] == nil { seen[zombie] = now }
        let due = seen.filter { $0.value + delay <= now }.keys
        for zombie in due { seen[zombie] = nil }
        lastLook = now
        let ripe = seen.values.min().map { max($0 + delay, now + Self.lookInterval) }
        next = min(ripe ?? (now + Self.sweepInterval), now + (hasNews ? Self.secondLook : Self.sweepInterval))
        hasNews = false
        return due.sorted { $0.pid < $1.pid }
    }
}
