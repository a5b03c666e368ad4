@testable import Prefork

/// The numbers of `Supervisor.Rules` in nanoseconds. `Int64.max` is never.
struct Limits {
    var children: Int
    var processors: Int
    var recovery: Supervisor.Rules.Recovery
    var window: Int64?
    var first: Int64
    var next: Int64
    var maximum: Int64
    var limitPerSlot: Int?
    var settle: Int64
    var fatalStatuses: [Int32]
    var readinessTimeout: Int64
    var grace: Int64
    var queueDrain: Int64
    var concurrency = 1
    var bake: Int64?
    var recycleAfter: Int64?
    var heartbeat: Int64?
    var abortGrace: Int64 = 10_000_000_000

    var rules: Supervisor.Rules {
        // "Never" as a user would write it, which is far more than a clock can count.
        func duration(_ time: Int64) -> Duration { time == .max ? .seconds(Int64.max) : .nanoseconds(time) }
        return Supervisor.Rules(
            recovery: recovery,
            window: window.map(duration),
            delays: .init(first: duration(first), next: duration(next), maximum: duration(maximum)),
            limitPerSlot: limitPerSlot,
            settleTime: duration(settle),
            fatalExitStatuses: fatalStatuses,
            readinessTimeout: duration(readinessTimeout),
            grace: duration(grace),
            queueDrain: duration(queueDrain),
            processors: processors,
            restartConcurrency: concurrency,
            restartBake: bake.map(duration),
            recycleAfter: recycleAfter.map(duration),
            heartbeatTimeout: heartbeat.map(duration),
            abortGrace: duration(abortGrace)
        )
    }

    var isStrict: Bool {
        switch recovery {
        case .upTo, .never: true
        case .automatic, .unlimited: limitPerSlot != nil
        }
    }
}

/// The choices of a seed at the start: the rules, and the mood of the world.
struct Schedule: CustomStringConvertible {
    /// Chances of a thousand.
    struct Mood {
        var crashes: Int
        /// Among crashes, the chance of one at a random age, shortly after the child was ready.
        var poison: Int
        /// Among crashes, the chance of one that always comes at the same age after the child was ready.
        var broken: Int
        var brokenAge: Int64
        var hangs: Int
        var deaf: Int
        /// The chances of an unasked drain, and of a channel that closes without an exit.
        var withdrawals: Int
        var failedStarts: Int
        var shortages: Int
        var refusedStarts: Int
        var hookFailures: Int
        var suspensions: Int
        var slowness: Int
        var strays: Int
        /// The chance of a restart, a rollback or a resize.
        var operations: Int
    }

    var limits: Limits
    var mood: Mood

    private static let millisecond: Int64 = 1_000_000
    private static let second: Int64 = 1_000_000_000
    private static let intervals: [(first: Int64, next: Int64, maximum: Int64)] = [
        (0, 100 * millisecond, 30 * second), (0, 100 * millisecond, 250 * millisecond),
        (50 * millisecond, 50 * millisecond, 50 * millisecond), (0, millisecond, 10 * millisecond),
        (2 * second, second, 5 * second), (0, second, .max),
    ]
    private static let windows: [Int64?] = [nil, 1, 100 * millisecond, second, 5 * second, 60 * second, .max]
    private static let settles: [Int64] = [0, 0, 10 * millisecond, second, second, 3 * second]
    private static let readiness: [Int64] = [millisecond, 200 * millisecond, 2 * second, 60 * second, .max]
    private static let graces: [Int64] = [0, millisecond, 100 * millisecond, 500 * millisecond, 5 * second]
    private static let drains: [Int64] = [0, millisecond, second, second, 10 * second]
    private static let finals: [[Int32]] = [[78], [], [3, 78]]

    init(_ random: inout SplitMix64) {
        let recovery: Supervisor.Rules.Recovery =
            switch random.below(20) {
            case 0: .never
            case 1...2: .unlimited
            case 3...5: .upTo(exits: random.below(5))
            case 6...7: .upTo(exits: random.below(25))
            default: .automatic
            }
        var interval = random.pick(Self.intervals)
        // Other modes replace an interval of zero.
        if recovery != .unlimited, recovery != .automatic, random.chance(of: 100) { interval = (0, 0, 0) }
        limits = Limits(
            children: 1 + random.below(6),
            processors: 1 + random.below(4),
            recovery: recovery,
            window: random.pick(Self.windows),
            first: interval.first,
            next: interval.next,
            maximum: interval.maximum,
            limitPerSlot: random.chance(of: 100) ? random.below(5) : nil,
            settle: random.pick(Self.settles),
            fatalStatuses: random.pick(Self.finals),
            readinessTimeout: random.pick(Self.readiness),
            grace: random.chance(of: 30) ? .max : random.pick(Self.graces),
            queueDrain: random.chance(of: 30) ? .max : random.pick(Self.drains),
            concurrency: 1 + random.below(3),
            bake: random.chance(of: 200) ? random.pick([1, Self.second, 10 * Self.second]) : nil,
            recycleAfter: random.chance(of: 200)
                ? random.pick([Self.millisecond, Self.second, 10 * Self.second]) : nil,
            heartbeat: random.chance(of: 200) ? random.pick([10 * Self.millisecond, 2 * Self.second]) : nil,
            abortGrace: random.pick([0, Self.second, 10 * Self.second])
        )
        mood = Mood(
            crashes: random.pick([50, 400, 900, 1000]),
            poison: random.pick([0, 300, 900]),
            broken: random.pick([0, 0, 300, 1000]),
            brokenAge: random.pick([0, Self.millisecond, 150 * Self.millisecond]),
            hangs: random.pick([0, 100, 500]),
            deaf: random.pick([0, 100, 600]),
            withdrawals: random.pick([0, 0, 100, 500]),
            failedStarts: random.pick([0, 0, 100, 500, 1000]),
            shortages: random.pick([0, 500, 1000]),
            refusedStarts: random.pick([0, 0, 0, 20]),
            hookFailures: random.pick([0, 0, 0, 20]),
            suspensions: random.pick([0, 0, 20, 150]),
            slowness: random.pick([0, 0, 20, 100]),
            strays: random.pick([0, 50, 200]),
            operations: random.pick([0, 0, 30, 200])
        )
    }

    var description: String { "\(limits) \(mood)" }

    /// The master's delay: none, that of a busy machine, or that of a suspension.
    func lateness(_ random: inout SplitMix64) -> Int64 {
        if random.chance(of: mood.suspensions) {
            return random.pick([
                Self.second + 1, Self.second + random.time(upTo: 2 * Self.second), random.time(upTo: 100 * Self.second),
            ])
        }
        return switch random.below(10) {
        case 0...5: 0
        case 6...8: random.time(upTo: 2 * Self.millisecond)
        default: random.pick([random.time(upTo: 900 * Self.millisecond), Self.second])
        }
    }

    /// How long a start, or a hook, holds up the master.
    func slowness(_ random: inout SplitMix64) -> Int64 {
        random.chance(of: mood.slowness)
            ? random.time(upTo: 3 * Self.second)
            : random.chance(of: 500) ? 0 : random.time(upTo: Self.millisecond)
    }

    /// The time until no connection arrives any more and the queues are empty. `nil` means never.
    func admission(_ random: inout SplitMix64) -> Int64? {
        // Without an end of its own a stop waits for the queues, and does not end if they are never empty.
        let isEndless = limits.queueDrain == .max
        switch random.below(isEndless ? 3 : 4) {
        case 0: return 0
        case 1: return random.time(upTo: 20 * Self.millisecond)
        case 2: return random.time(upTo: isEndless ? Self.second : 2 * limits.queueDrain)
        default: return nil
        }
    }

    /// The time between two signals of an operator.
    func pause(_ random: inout SplitMix64) -> Int64 {
        switch random.below(6) {
        case 0: 0
        case 1: random.time(upTo: 999 * Self.millisecond)
        case 2: Self.second - 1
        case 3: Self.second
        default: random.time(upTo: min(limits.grace, 10 * Self.second))
        }
    }
}

/// A process as the operating system sees it. Everything that it will do unasked is decided at its start.
struct SimulatedChild {
    /// The time from SIGKILL until the process is a zombie.
    static let longestDeath: Int64 = 20_000_000
    /// The time from the end of a process, which closes its channel, until it can be reaped. A debugger may hold it.
    static let longestHold: Int64 = 400_000_000
    /// ENOENT and ETXTBSY of Linux, then EAGAIN and ENOMEM.
    static let startErrors = [2, 26].map(error)
    static let shortages = [11, 12].map(error)
    private static func error(_ code: CInt) -> SystemError {
        SystemError(call: "posix_spawn", code: code, context: "", message: "simulated")
    }
    private static let crashes: [WaitStatus] = [
        .exited(0), .exited(1), .exited(3), .signaled(11, coreDumped: true), .signaled(9, coreDumped: false), .lost,
        .signaled(5, coreDumped: false), .signaled(4, coreDumped: false),
    ]

    let pid: Int32
    /// The messages of the child and their times, in order.
    private(set) var words: [(at: Int64, input: Supervisor.Input)] = []
    /// When its channel closes.
    private(set) var endAt = Int64.max
    /// When it can be reaped.
    private(set) var exitAt = Int64.max
    private(set) var end = Supervisor.End(status: .exited(0))
    /// The time from TERM to its end. `Int64.max` means that it ignores TERM.
    private let drain: Int64
    private let hold: Int64
    var hasHungUp = false

    init(_ pid: Int32, at now: Int64, _ schedule: Schedule, _ random: inout SplitMix64) {
        let limits = schedule.limits
        let second: Int64 = 1_000_000_000
        self.pid = pid
        hold = random.chance(of: 50) ? random.time(upTo: Self.longestHold) : 0
        let grace = min(limits.grace, 10 * second)
        drain =
            random.chance(of: schedule.mood.deaf)
            ? .max
            : random.chance(of: 300) ? random.time(upTo: grace + grace / 4) : random.time(upTo: 5_000_000)
        var readyAt = Int64.max
        if !random.chance(of: schedule.mood.hangs) {
            let most = min(limits.readinessTimeout, 100 * second)
            // Some at the last moment, some after it.
            readyAt =
                switch random.below(8) {
                case 0: now
                case 1: now + most
                case 2: now + random.time(upTo: most + most / 4)
                default: now + random.time(upTo: min(most, 50_000_000))
                }
            let cost = random.chance(of: 900) ? Duration.nanoseconds(random.time(upTo: 30_000_000)) : nil
            words.append((readyAt, .ready(pid: pid, startCost: cost)))
        }
        let serves = readyAt == .max ? now : readyAt
        if random.chance(of: schedule.mood.crashes) {
            let settle = min(limits.settle, 100 * second)
            let crashAt =
                switch random.below(1000) {
                case ..<schedule.mood.broken: serves + schedule.mood.brokenAge
                case ..<(schedule.mood.broken + schedule.mood.poison): serves + random.time(upTo: 300_000_000)
                default:
                    switch random.below(9) {
                    case 0: now
                    case 1: serves + settle
                    case 2: serves + random.time(upTo: settle + settle / 4)
                    case 3: now + random.time(upTo: 20 * second)
                    case 4: serves + second
                    case 5: serves + second - 1
                    default: now + random.time(upTo: 100_000_000)
                    }
                }
            die(crashAt, random.chance(of: 50) ? .exited(78) : random.pick(Self.crashes))
            end.processorTime = random.chance(of: 900) ? .nanoseconds(random.time(upTo: 50_000_000)) : nil
        }
        if random.chance(of: schedule.mood.withdrawals) {
            let at = random.chance(of: 100) ? now : serves + random.time(upTo: 3 * second)
            let origin: Prefork.DrainOrigin = random.chance(of: 500) ? .program : .signal(sender: 1, user: 0)
            if random.chance(of: 600) { words.append((at, .draining(pid: pid, origin))) }
            // The rest closes its channel without a word. Both kinds go on for a while, or forever.
            if words.last?.at != at || random.chance(of: 300) { endAt = min(endAt, at) }
            if random.chance(of: 800) { die(at + random.time(upTo: grace + 2 * second), .exited(0)) }
        }
        words.sort { $0.at < $1.at }
    }

    /// Ends at this moment, unless it has ended before.
    private mutating func die(_ at: Int64, _ status: WaitStatus) {
        guard at < exitAt else { return }
        exitAt = at + hold
        endAt = min(endAt, at)
        end.status = status
    }

    /// The time at which the master could next learn of it.
    var nextSign: Int64 {
        var next = exitAt
        if let word = words.first, word.at <= endAt { next = min(next, word.at) }
        if !hasHungUp { next = min(next, endAt) }
        return next
    }

    /// The messages that it has sent and the master has not read yet.
    mutating func nextWord(by now: Int64) -> Supervisor.Input? {
        if let word = words.first, word.at <= now, word.at <= endAt { return words.removeFirst().input }
        guard !hasHungUp, endAt <= now else { return nil }
        hasHungUp = true
        words = []
        return .hungUp(pid: pid)
    }

    mutating func get(_ signal: Signal, at now: Int64, _ random: inout SplitMix64) {
        // A zombie ignores signals.
        guard exitAt > now else { return }
        if signal == .kill {
            let at = now + random.time(upTo: Self.longestDeath)
            if at < exitAt - hold { exitAt = .max }
            die(at, .signaled(Signal.kill.number, coreDumped: false))
        } else if drain != .max, now + drain < exitAt {
            die(now + drain, .exited(random.chance(of: 50) ? 78 : 0))
        }
    }
}
