/// Decides which orphans process 1 reaps, and when it looks for them. It is a pure value that takes lists of zombies
/// and returns the pids to reap.
///
/// The kernel gives orphans to the first thread of process 1. It does not tell them from processes that this thread, or
/// a thread that has ended, started itself. Other code in this process may be about to wait for a zombie, so only
/// processes that have been zombies for a while are reaped.
struct OrphanReaper {
    typealias Zombie = Orphans.Zombie

    /// SIGCHLD says that a child has ended, but not which one. This is the shortest time between two looks while such
    /// signals keep arriving.
    static let lookInterval: Duration = .milliseconds(250)
    /// The time until a look is repeated. A list of children that changes while it is read may leave one out
    /// (proc_tid_children(5)), and another library may have installed its handler of SIGCHLD over ours. The next look
    /// then finds it.
    static let secondLook: Duration = .milliseconds(500)
    static let sweepInterval: Duration = .seconds(30)

    private let delay: Duration
    private var seen: [Zombie: Instant] = [:]
    private var lastLook: Instant = .distantPast
    /// Whether SIGCHLD has arrived since the last look.
    private var hasNews = false
    /// The time of the next look. The first look is due at once, because orphans may have come before SIGCHLD was
    /// handled.
    private(set) var next: Instant = .distantPast

    init(delay: Duration) { self.delay = delay }

    /// Notes that SIGCHLD has arrived.
    mutating func childHasEnded(at now: Instant) {
        next = min(next, max(now, lastLook + Self.lookInterval))
        hasNews = true
    }

    /// The zombies seen so far. They are checked even if a list leaves them out, because otherwise their time would
    /// start over.
    var pids: [Int32] { seen.keys.map(\.pid) }

    /// Notes that a look failed for lack of descriptors or memory.
    mutating func couldNotLook(at now: Instant) {
        lastLook = now
        next = now + Self.secondLook
    }

    /// Takes the result of a look.
    /// - Parameter zombies: all zombies except those of the fleet.
    /// - Returns: the pids to reap now.
    mutating func look(_ zombies: Set<Zombie>, at now: Instant) -> [Zombie] {
        // This process was suspended, and so was any code that wants to wait. It gets its whole time again.
        if next != .distantPast, now - next > Supervisor.suspension { seen = seen.mapValues { _ in now } }
        // Other code has waited for zombies that are gone.
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
