@testable import Prefork

/// A `Supervisor` and a clock that a test moves by hand.
struct Bench {
    private(set) var supervisor: Supervisor
    var now = Instant(nanoseconds: 1_000_000_000_000)

    /// Rules that give up after 100 exits in a minute and stop in one step, but for what `change` changes; all else by default.
    init(children: Int = 2, _ change: (inout Supervisor.Rules) -> Void = { _ in }) {
        var rules = Supervisor.Rules(children: children, recovery: .upTo(exits: 100), window: .seconds(60))
        rules.queueDrain = .zero
        change(&rules)
        supervisor = Supervisor(rules)
    }

    /// All slots filled with the pids 100, 101 ….
    static func filled(children: Int = 2, _ change: (inout Supervisor.Rules) -> Void = { _ in }) -> Bench {
        var bench = Bench(children: children, change)
        for slot in 0..<children {
            bench.feed(.timer)
            bench.feed(.spawned(slot: slot, pid: 100 + Int32(slot)))
        }
        return bench
    }

    /// The same, and all have said that they serve.
    static func ready(children: Int = 2, _ change: (inout Supervisor.Rules) -> Void = { _ in }) -> Bench {
        var bench = filled(children: children, change)
        for slot in 0..<children { bench.feed(.ready(pid: 100 + Int32(slot))) }
        return bench
    }

    @discardableResult
    mutating func feed(
        _ input: Supervisor.Input, after delay: Duration = .zero, arrivedAgo: Duration? = nil
    ) -> [Supervisor.Action] {
        now = now + delay
        return supervisor.handle(input, at: now, arrived: arrivedAgo.map { now - $0 })
    }

    /// Waits for the next deadline, and beyond it.
    @discardableResult
    mutating func timer(late: Duration = .zero) -> [Supervisor.Action] {
        if let deadline = supervisor.nextDeadline { now = max(now, deadline) }
        return feed(.timer, after: late)
    }

    /// Waits for the next try and lets it succeed.
    mutating func replace(slot: Int, by pid: Int32) {
        timer()
        feed(.spawned(slot: slot, pid: pid))
    }

    /// How long it is to the next deadline.
    var untilDeadline: Duration? { supervisor.nextDeadline.map { $0 - now } }

    func state(_ slot: Int) -> Supervisor.State { supervisor.slots[slot].state }
}

extension [Supervisor.Action] {
    var reports: [Supervisor.Report] {
        compactMap { if case .report(let report) = $0 { report } else { nil } }
    }

    /// What follows an exit or a failed start.
    var consequence: Prefork.Event.Consequence? {
        for report in reports {
            switch report {
            case .exited(_, let consequence), .spawnFailed(_, let consequence): return consequence
            default: continue
            }
        }
        return nil
    }

    var exit: Prefork.ChildExit? {
        for report in reports {
            switch report {
            case .exited(let exit, _), .spawnFailed(let exit, _): return exit
            default: continue
            }
        }
        return nil
    }

    /// The slots in rotation from now on; nil: as before.
    var rotation: [Int]? {
        for case .rotate(let slots) in self { return slots }
        return nil
    }

    /// The slots that a child is to be started in.
    var spawns: [Int] {
        compactMap { if case .spawn(let slot, _) = $0 { slot } else { nil } }
    }

    func pids(with signal: Signal) -> [Int32] {
        compactMap { if case .signal(let pid, signal) = $0 { pid } else { nil } }
    }

    var suspension: Duration? {
        for case .suspended(let time) in reports { return time }
        return nil
    }
}

extension SystemError {
    /// EAGAIN on Linux; for the rules all are the same.
    static let noProcess = SystemError(call: "posix_spawn", code: 11, context: "", message: "try again")
}
