@testable import Prefork

/// The numbers of `Supervisor.Rules` in nanoseconds; `Int64.max` is never.
struct Limits {
    var children: Int
    var recovery: Supervisor.Rules.Recovery
    var window: Int64?
    var first: Int64
    var next: Int64
    var maximum: Int64
    var limitPerSlot: Int?
    var healthyAfter: Int64
    var fatalExitStatuses: [Int32]
    var readinessTimeout: Int64
    var grace: Int64
    var queueDrain: Int64

    var rules: Supervisor.Rules {
        // "Never" as a user would say it, which is far more than a clock can count.
        func duration(_ time: Int64) -> Duration { time == .max ? .seconds(Int64.max) : .nanoseconds(time) }
        return Supervisor.Rules(
            children: children,
            recovery: recovery,
            window: window.map(duration),
            interval: .init(first: duration(first), next: duration(next), maximum: duration(maximum)),
            limitPerSlot: limitPerSlot,
            healthyAfter: duration(healthyAfter),
            fatalExitStatuses: fatalExitStatuses,
            readinessTimeout: duration(readinessTimeout),
            grace: duration(grace),
            queueDrain: duration(queueDrain)
        )
    }
}

/// What a seed decides at once: the rules, and what the world is like.
struct Schedule: CustomStringConvertible {
    /// Chances of a thousand.
    struct Mood {
        var crashes: Int
        var hangs: Int
        var deaf: Int
        var failedStarts: Int
        var refusedStarts: Int
        var hookFailures: Int
        var suspensions: Int
        var slowness: Int
        var strays: Int
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
    private static let health: [Int64] = [0, 10 * millisecond, second, 10 * second, .max]
    private static let readiness: [Int64] = [millisecond, 200 * millisecond, 2 * second, 60 * second, .max]
    private static let graces: [Int64] = [0, millisecond, 100 * millisecond, 500 * millisecond, 5 * second]
    private static let drains: [Int64] = [0, millisecond, second, second, 10 * second]
    private static let finals: [[Int32]] = [[78], [], [3, 78]]

    init(_ random: inout SplitMix64) {
        let recovery: Supervisor.Rules.Recovery =
            switch random.below(20) {
            case 0: .never
            case 1...5: .unlimited
            case 6...12: .upTo(exits: random.below(5))
            default: .upTo(exits: random.below(25))
            }
        var interval = random.pick(Self.intervals)
        // The configuration forbids this together with `.unlimited`.
        if recovery != .unlimited, random.chance(of: 100) { interval = (0, 0, 0) }
        limits = Limits(
            children: 1 + random.below(8),
            recovery: recovery,
            window: random.pick(Self.windows),
            first: interval.first,
            next: interval.next,
            maximum: interval.maximum,
            limitPerSlot: random.chance(of: 200) ? random.below(5) : nil,
            healthyAfter: random.pick(Self.health),
            fatalExitStatuses: random.pick(Self.finals),
            readinessTimeout: random.pick(Self.readiness),
            grace: random.chance(of: 30) ? .max : random.pick(Self.graces),
            queueDrain: random.chance(of: 30) ? .max : random.pick(Self.drains)
        )
        mood = Mood(
            crashes: random.pick([50, 400, 900]),
            hangs: random.pick([0, 100, 500]),
            deaf: random.pick([0, 100, 600]),
            failedStarts: random.pick([0, 0, 100, 500]),
            refusedStarts: random.pick([0, 0, 0, 20]),
            hookFailures: random.pick([0, 0, 0, 20]),
            suspensions: random.pick([0, 0, 20, 150]),
            slowness: random.pick([0, 0, 20, 100]),
            strays: random.pick([0, 50, 200])
        )
    }

    var description: String { "\(limits) \(mood)" }

    /// By how much the master comes too late: not at all, by what a busy machine takes, or because it was suspended.
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

    /// How long it takes until nobody comes in any more and the queues are empty; nil: for ever.
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

    /// Between two signals of an operator.
    func pause(_ random: inout SplitMix64) -> Int64 {
        switch random.below(6) {
        case 0: 0
        case 1: random.time(upTo: 99 * Self.millisecond)
        case 2: 100 * Self.millisecond - 1
        case 3: 100 * Self.millisecond
        default: random.time(upTo: min(limits.grace, 10 * Self.second))
        }
    }
}

/// A process as the operating system sees it. All that it will do unasked is decided at its start.
struct SimulatedChild {
    /// From SIGKILL to a zombie.
    static let longestDeath: Int64 = 20_000_000
    /// EAGAIN, ENOMEM, ENOENT and ETXTBSY of Linux; the numbers mean nothing to the rules.
    static let startErrors = [11, 12, 2, 26].map {
        SystemError(call: "posix_spawn", code: $0, context: "", message: "simulated")
    }
    private static let crashes: [WaitStatus] = [
        .exited(0), .exited(1), .exited(3), .signaled(11, coreDumped: true), .signaled(9, coreDumped: false), .lost,
    ]

    let pid: Int32
    /// When it says that it serves.
    private var readyAt: Int64
    private(set) var exitAt: Int64
    private(set) var status: WaitStatus
    /// From TERM to its end; `Int64.max`: it ignores TERM.
    private let drain: Int64
    /// The master has read what it said.
    var isHeard = false

    init(_ pid: Int32, at now: Int64, _ schedule: Schedule, _ random: inout SplitMix64) {
        let limits = schedule.limits
        let second: Int64 = 1_000_000_000
        self.pid = pid
        if random.chance(of: schedule.mood.hangs) {
            readyAt = .max
        } else {
            let most = min(limits.readinessTimeout, 100 * second)
            // Some upon the last moment, some after it.
            readyAt =
                switch random.below(8) {
                case 0: now
                case 1: now + most
                case 2: now + random.time(upTo: most + most / 4)
                default: now + random.time(upTo: min(most, 50_000_000))
                }
        }
        exitAt = .max
        status = .exited(0)
        if random.chance(of: schedule.mood.crashes) {
            let serves = readyAt == .max ? now : readyAt
            let healthy = min(limits.healthyAfter, 100 * second)
            exitAt =
                switch random.below(8) {
                case 0: now
                case 1: serves + healthy
                case 2: serves + random.time(upTo: healthy + healthy / 4)
                case 3: now + random.time(upTo: 20 * second)
                default: now + random.time(upTo: 100_000_000)
                }
            status = random.chance(of: 50) ? .exited(78) : random.pick(Self.crashes)
        }
        let grace = min(limits.grace, 10 * second)
        drain =
            random.chance(of: schedule.mood.deaf)
            ? .max
            : random.chance(of: 300) ? random.time(upTo: grace + grace / 4) : random.time(upTo: 5_000_000)
    }

    /// When the master could next hear of it.
    var nextSign: Int64 { !isHeard && readyAt <= exitAt ? readyAt : exitAt }

    func speaks(by now: Int64) -> Bool { !isHeard && readyAt <= now && readyAt <= exitAt }

    mutating func get(_ signal: Signal, at now: Int64, _ random: inout SplitMix64) {
        // A zombie does not care.
        guard exitAt > now else { return }
        if signal == .kill {
            let end = now + random.time(upTo: Self.longestDeath)
            if end < exitAt { (exitAt, status) = (end, .signaled(Signal.kill.number, coreDumped: false)) }
        } else if drain != .max, now + drain < exitAt {
            (exitAt, status) = (now + drain, .exited(random.chance(of: 50) ? 78 : 0))
        }
    }
}
