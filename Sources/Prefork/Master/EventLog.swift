import PreforkLibc

extension Prefork {
    /// The default observer. Writes one line for each event to standard error, for example
    /// `2026-11-27T14:22:30.123Z prefork[1200]: stopped`.
    ///
    /// The time is UTC, as RFC 3339 writes it. There is none if standard error is the journal of systemd
    /// (`JOURNAL_STREAM` of systemd.exec(5)), whose entries have one.
    ///
    /// In a crash loop, the first exits of a slot get lines of their own. Then a slot gets one line every 10 s, with
    /// counts. A bucket of tokens limits how many repeated lines are written, and a line says how many were left out.
    /// Nothing waits for a reader: if the pipe is full, lines are lost and the master goes on. Call it from any thread.
    @Sendable public static func logToStandardError(_ event: Event) { EventLog.log(event) }
}

/// The lines of the default log.
enum EventLog {
    private struct State: Sendable {
        var limiter = LineLimiter()
        var loops = CrashLoopSummary()
    }

    private static let shared = LockedValueBox(State())

    static func log(_ event: Prefork.Event) {
        shared.withLock { state in
            if case .mechanisms = event.payload { state = State() }  // A run begins.
            if case .spawned(_, _, nil) = event.payload { state.limiter.expectChild() }
            let now = System.now()
            var isLast = false
            if case .stopping = event.payload { isLast = true }
            writeSummaries(&state, isLast: isLast, now)
            guard state.loops.admit(event, at: now) else { return }
            for line in state.limiter.admit(event.description, always: !event.belongsToLoop, at: now) { write(line) }
        }
    }

    /// When `writeSummaries` has something to write. `nil` if no slot is in a crash loop.
    static var next: Instant? { shared.withLock { $0.loops.next } }

    /// The master calls this at that time, because no event may come that would.
    static func writeSummaries(at now: Instant) {
        shared.withLock { writeSummaries(&$0, isLast: false, now) }
    }

    private static func writeSummaries(_ state: inout State, isLast: Bool, _ now: Instant) {
        for text in state.loops.take(at: now, isLast: isLast) {
            for line in state.limiter.admit(text, always: false, at: now) { write(line) }
        }
    }

    /// `text` may have several lines. They are written in as few parts as possible, each of which is whole in a shared
    /// pipe (PIPE_BUF of pipe(7)).
    static func write(_ text: String) {
        let time = Journal.receives(2) ? "" : WallClock.timestamp() + " "
        for part in parts(of: text, prefix: "\(time)prefork[\(System.pid)]: ", most: Int(PIPE_BUF)) {
            _ = LogWriter.write(part, to: 2)
        }
    }

    /// The lines of a text, without empty ones, with a prefix each.
    /// - Parameter most: how long a part of several lines may be.
    static func parts(of text: String, prefix: String, most: Int) -> [[UInt8]] {
        let (newline, prefix) = (UInt8(ascii: "\n"), Array(prefix.utf8))
        var parts: [[UInt8]] = []
        var part: [UInt8] = []
        var text = text
        text.withUTF8 { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let line = rest.prefix(upTo: rest.firstIndex(of: newline) ?? rest.endIndex)
                rest = rest.dropFirst(line.count + 1)
                if line.isEmpty { continue }
                if !part.isEmpty, part.count + prefix.count + line.count + 1 > most {
                    parts.append(part)
                    part = []
                }
                part += prefix
                part += line
                part.append(newline)
            }
        }
        return part.isEmpty ? parts : parts + [part]
    }
}

/// A token bucket that lets through as many lines as a person can read.
struct LineLimiter: Sendable {
    static let burst = 100
    static let perSecond = 4
    /// The lines of a child's orderly life. A large fleet may write all of them at once.
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

    /// - Parameter always: whether the line passes in any case.
    /// - Returns: the lines to write. If lines were left out before this one, the first says how many.
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
    /// Whether a crash loop or an overload repeats the event. Any other comes once in the life of a fleet or a child,
    /// or was asked for.
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
