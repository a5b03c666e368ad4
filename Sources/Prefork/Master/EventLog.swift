extension Prefork {
    /// The default observer: one line for each event on standard error, `prefork[PID]: …`. In a crash loop lines are
    /// left out, and their number is told; nothing waits for a reader, so a pipe that nobody empties loses lines, not
    /// the master. From any thread.
    @Sendable public static func logToStandardError(_ event: Event) {
        EventLog.shared.withLock { log in
            if case .mechanisms = event.payload { log.limiter = LineLimiter() }  // A run begins.
            if case .spawned(_, _, nil) = event.payload { log.limiter.expectChild() }
            let lines = log.limiter.admit(event.description, always: !event.belongsToLoop, at: System.now())
            for line in lines { EventLog.write(line) }
        }
    }
}

/// The lines of the default log.
enum EventLog {
    struct State: Sendable { var limiter = LineLimiter() }

    static let shared = LockedValueBox(State())

    /// `text` may have several lines; each is written by itself, so that each stays whole in a shared pipe.
    static func write(_ text: String) {
        for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
            _ = LogWriter.write(Array("prefork[\(System.pid)]: \(Substring(line))\n".utf8), to: 2)
        }
    }
}

/// A token bucket: what a person can read.
struct LineLimiter: Sendable {
    static let burst = 100
    static let perSecond = 4
    /// The lines of a child's orderly life: a large fleet may tell all of them at once.
    static let perChild = 4

    private var capacity = Double(burst)
    private var tokens = Double(burst)
    private var last: Instant?
    private(set) var leftOut = 0

    /// A child is started for the first time in its slot.
    mutating func expectChild() {
        capacity += Double(Self.perChild)
        tokens += Double(Self.perChild)
    }

    /// - Parameter always: the line is told, whatever came before.
    /// - Returns: the lines to write: none, the line, or before it how many were left out.
    mutating func admit(_ line: String, always: Bool, at now: Instant) -> [String] {
        if let last {
            let elapsed = Double(max(0, now.nanoseconds - last.nanoseconds)) / 1e9
            tokens = min(capacity, tokens + elapsed * Double(Self.perSecond))
        }
        last = now
        guard always || tokens >= 1 else {
            leftOut += 1
            return []
        }
        tokens = max(0, tokens - 1)
        defer { leftOut = 0 }
        return leftOut == 0 ? [line] : ["\(leftOut) lines left out", line]
    }
}

extension Prefork.Event {
    /// What a crash loop, or overload, repeats; everything else comes once in a fleet's or a child's life, or was
    /// asked for.
    fileprivate var belongsToLoop: Bool {
        switch payload {
        case .spawned(_, _, .some), .ready, .notReady, .systemError, .suspended, .queueFilling, .reapedOrphans,
            .listenerStopped:
            true
        case .spawnFailed(_, let consequence), .exited(_, let consequence):
            if case .recovering = consequence.payload { true } else { false }
        default: false
        }
    }
}
