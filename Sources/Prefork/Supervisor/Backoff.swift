/// How long a slot waits for its next child.
extension Prefork.Configuration.Recovery.Delays {
    /// The delay doubles for each failure after the second. It is never above the maximum.
    func delay(afterFailures failures: Int) -> Duration {
        if failures == 0 { return min(first, maximum) }
        var delay = min(next, maximum)
        for _ in 1..<max(failures, 1) {
            // A slot may fail for years, but the loop ends at the maximum. No product exceeds it, so none overflows.
            guard delay > .zero, delay < maximum else { break }
            delay = delay > maximum / 2 ? maximum : delay * 2
        }
        return delay
    }
}

/// Failed starts of a fleet that has never had a child up.
struct StartFailures: Equatable {
    /// A fleet survives this many for each child.
    static let perChild = 5
    /// A fleet tries for at least this long, because a database that is a few seconds late must not end it.
    static let leastTime: Duration = .seconds(15)

    enum State: Equatable {
        case few
        /// There are enough to give up, but this much of the time is left.
        case many(Duration)
        case tooMany
    }

    private(set) var count = 0
    private(set) var first: Instant?

    init(count: Int = 0, first: Instant? = nil) {
        self.count = count
        self.first = first
    }

    mutating func note(at now: Instant) {
        count += 1
        first = first ?? now
    }

    func state(ofChildren children: Int, at now: Instant) -> State {
        let (most, overflow) = Self.perChild.multipliedReportingOverflow(by: children)
        guard let first, !overflow, count > most else { return .few }
        let elapsed = now - first
        return elapsed >= Self.leastTime ? .tooMany : .many(Self.leastTime - elapsed)
    }
}

/// Unexpected exits that a strict mode counts.
struct StrictExits: Equatable {
    private var total = 0
    private var times: [Instant] = []
    /// The number of elements at the front of `times` that have left the window.
    private var expired = 0

    /// Notes one more exit. Its cost does not depend on how many there are.
    /// - Returns: the number of exits within the window, or of all exits if there is no window.
    mutating func count(at now: Instant, within window: Duration?) -> Int {
        total += 1
        guard let window else { return total }
        times.append(now)
        while expired < times.count, times[expired] < now - window { expired += 1 }
        // Moving the others costs as much as what it frees, so half of them are freed at once.
        if expired > times.count / 2 {
            times.removeFirst(expired)
            expired = 0
        }
        return times.count - expired
    }
}

/// The last children of a slot that served only for a moment. Their pattern tells a client that crashes them from a
/// program that is broken.
struct Crashes: Equatable {
    enum Suspicion: Equatable {
        case unknown
        /// A client crashes children that would serve otherwise.
        case poison
        /// The program ends by itself soon after its start.
        case brokenProgram
    }

    /// The number of children that are remembered.
    static let kept = 8
    /// Fewer than this say nothing.
    static let fewest = 4
    /// Victims of a client have served for at least this part of the time that their starts took.
    static let leastService = 4
    /// Restarts of a broken program may cost this much of one processor, in thousandths.
    static let brokenShare = 80

    private struct Life: Equatable {
        let start: Duration
        let service: Duration
    }

    private var lives: [Life] = []

    mutating func note(start: Duration, service: Duration) {
        lives = lives.suffix(Self.kept - 1) + [Life(start: start, service: service)]
    }

    mutating func forget() { lives = [] }

    var suspicion: Suspicion {
        guard lives.count >= Self.fewest, let first = lives.first else { return .unknown }
        var (start, service) = (Duration.zero, Duration.zero)
        var (shortest, longest) = (first.service, first.service)
        for life in lives {
            start += life.start
            service += life.service
            shortest = min(shortest, life.service)
            longest = max(longest, life.service)
        }
        if service * Self.leastService < start { return .brokenProgram }
        // Requests come at random. A program that fails by itself fails at about the same age each time.
        return lives.count == Self.kept && longest < shortest * 2 ? .brokenProgram : .poison
    }
}

/// A token bucket of processor time. It limits the average cost of restarts.
struct RestartBudget: Equatable {
    /// Unspent time is kept for this long.
    static let burst: Duration = .seconds(10)

    /// Thousandths of one processor.
    private let perMille: Int64
    private let capacity: Int64
    private var level: Int64
    private var updated: Instant?

    init(perMille: Int) {
        self.perMille = Int64(max(1, perMille))
        capacity = Self.burst.clampedNanoseconds / 1000 * self.perMille
        level = capacity
    }

    /// Spends the cost of one restart.
    /// - Returns: how long the restart must wait so that the average holds.
    mutating func charge(_ cost: Duration, at now: Instant) -> Duration {
        if let updated {
            let elapsed = max(0, (now - updated).clampedNanoseconds)
            // A longer time fills the bucket even from its largest debt. Its product would overflow.
            level =
                elapsed > Self.burst.clampedNanoseconds * 4
                ? capacity : min(capacity, level + elapsed / 1000 * perMille)
        }
        updated = now
        // A larger debt would only delay children that come later.
        level = max(-capacity * 3, level - min(capacity * 3, max(0, cost.clampedNanoseconds)))
        return level >= 0 ? .zero : .nanoseconds(-level / perMille * 1000)
    }
}

/// Limits backtraces in a crash storm. Each takes from 24 ms to a minute, in which the dying child keeps its
/// connections (swift#71091), so only the first few are printed.
struct BacktracePolicy: Equatable {
    /// This many crashes within `period` print in full.
    static let printed = 5
    static let period: Duration = .seconds(60)

    private(set) var areSuppressed = false
    private var crashes: [Instant] = []

    /// Notes an exit.
    /// - Returns: whether this one was too many.
    mutating func noteCrash(_ status: WaitStatus, at now: Instant) -> Bool {
        guard case .signaled(let number, _) = status, Signal.printsBacktrace(number) else { return false }
        crashes = crashes.suffix(Self.printed - 1) + [now]
        guard !areSuppressed, crashes.count == Self.printed, let first = crashes.first, now - first <= Self.period
        else {
            return false
        }
        areSuppressed = true
        return true
    }

    /// - Returns: whether the storm is over, so that backtraces are printed again from now on.
    mutating func resume(at now: Instant) -> Bool {
        guard areSuppressed, let last = crashes.last, now - last >= Self.period else { return false }
        areSuppressed = false
        crashes = []
        return true
    }
}

// MARK: In a handover

extension StrictExits {
    var handoverRecord: HandoverRecord {
        var record = HandoverRecord("strict-exits")
        record.set("total", total)
        record.set("times", Array(times.dropFirst(expired)))
        return record
    }

    init(_ record: HandoverRecord) throws(HandoverRecord.Fault) {
        total = try record.number("total", in: 0 ... .max)
        times = try record.instants("times")
    }
}

extension Crashes {
    func handoverRecords(slot: Int) -> [HandoverRecord] {
        lives.map { life in
            var record = HandoverRecord("life")
            record.set("slot", slot)
            record.set("start", life.start)
            record.set("service", life.service)
            return record
        }
    }

    mutating func restore(_ record: HandoverRecord) throws(HandoverRecord.Fault) {
        note(start: try record.duration("start"), service: try record.duration("service"))
    }
}

extension RestartBudget {
    func handoverRecord(_ kind: String) -> HandoverRecord {
        var record = HandoverRecord(kind)
        record.set("level", level)
        record.set("updated", updated)
        return record
    }

    mutating func restore(_ record: HandoverRecord) throws(HandoverRecord.Fault) {
        // Another number of processors has another capacity.
        level = max(-capacity * 3, min(capacity, try record.number("level")))
        updated = try record.optionalInstant("updated")
    }
}

extension BacktracePolicy {
    var handoverRecord: HandoverRecord {
        var record = HandoverRecord("backtraces")
        record.set("suppressed", areSuppressed)
        record.set("crashes", crashes)
        return record
    }

    init(_ record: HandoverRecord) throws(HandoverRecord.Fault) {
        areSuppressed = record.flag("suppressed")
        crashes = try record.instants("crashes").suffix(Self.printed)
    }
}
