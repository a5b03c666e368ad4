import Testing

@testable import Prefork

/// A `Supervisor` and a clock that a test moves by hand.
struct Bench {
    static let begin = Instant(nanoseconds: 1_000_000_000_000)

    private(set) var supervisor: Supervisor
    var now = Bench.begin

    /// The default rules, except that a stop takes one step. `change` changes more.
    init(children: Int = 2, _ change: (inout Supervisor.Rules) -> Void = { _ in }) {
        var rules = Supervisor.Rules()
        rules.queueDrain = .zero
        change(&rules)
        supervisor = Supervisor(rules, children: children)
    }

    /// All slots are filled, with the pids 100, 101 ….
    static func filled(children: Int = 2, _ change: (inout Supervisor.Rules) -> Void = { _ in }) -> Bench {
        var bench = Bench(children: children, change)
        for slot in 0..<children {
            bench.feed(.timer)
            bench.feed(.spawned(slot: slot, pid: 100 + Int32(slot)))
        }
        return bench
    }

    /// All slots are filled, and all children are ready, but not up.
    static func ready(children: Int = 2, _ change: (inout Supervisor.Rules) -> Void = { _ in }) -> Bench {
        var bench = filled(children: children, change)
        for slot in 0..<children { bench.feed(.ready(pid: 100 + Int32(slot))) }
        return bench
    }

    /// All slots are filled, and all children are up and proven. Nothing is due any more.
    static func proven(children: Int = 2, _ change: (inout Supervisor.Rules) -> Void = { _ in }) -> Bench {
        var bench = ready(children: children, change)
        while bench.supervisor.nextDeadline != nil { bench.timer() }
        return bench
    }

    @discardableResult
    mutating func feed(_ input: Supervisor.Input, after delay: Duration = .zero) -> [Supervisor.Action] {
        now = now + delay
        return supervisor.handle(input, at: now)
    }

    /// - Parameter arrivedAgo: how long the request has waited to be read.
    @discardableResult
    mutating func stop(
        _ reason: Prefork.StopReason = .request, after delay: Duration = .zero, arrivedAgo: Duration = .zero
    ) -> [Supervisor.Action] {
        now = now + delay
        return feed(.stop(reason, at: now - arrivedAgo))
    }

    /// Waits for the next deadline, and beyond it.
    @discardableResult
    mutating func timer(late: Duration = .zero) -> [Supervisor.Action] {
        if let deadline = supervisor.nextDeadline { now = max(now, deadline) }
        return feed(.timer, after: late)
    }

    /// Lets time pass as the master does: it calls at each deadline, and once more at the end.
    @discardableResult
    mutating func wait(_ duration: Duration) -> [Supervisor.Action] {
        let end = now + duration
        var actions: [Supervisor.Action] = []
        while let deadline = supervisor.nextDeadline, deadline < end {
            let before = (now, deadline)
            actions += timer()
            if let next = supervisor.nextDeadline, (now, next) == before {
                Issue.record("the deadline \(next) does not pass")
                break
            }
        }
        now = end
        return actions + feed(.timer)
    }

    /// Waits for the slot's next try and lets it succeed.
    mutating func replace(slot: Int, by pid: Int32) {
        guard let due = supervisor.slots[slot].nextTry else {
            Issue.record("slot \(slot) has no next try")
            return
        }
        let actions = wait(max(.zero, due - now))
        #expect(actions.spawns == [slot])
        feed(.spawned(slot: slot, pid: pid))
    }

    /// The time until the next deadline.
    var untilDeadline: Duration? { supervisor.nextDeadline.map { $0 - now } }

    /// The time until the slot's next try.
    func untilTry(_ slot: Int) -> Duration? { supervisor.slots[slot].nextTry.map { $0 - now } }

    func current(_ slot: Int) -> Supervisor.Child? { supervisor.slots[slot].current }

    func outgoing(_ slot: Int) -> [Int32] { supervisor.slots[slot].outgoing.map(\.child.pid) }
}

extension [Supervisor.Action] {
    var reports: [Prefork.Event] {
        compactMap { if case .report(let event) = $0 { event } else { nil } }
    }

    /// The consequence of an exit or a failed start.
    var consequence: Prefork.Event.Consequence? {
        reports.lazy.compactMap(\.consequence).first
    }

    var exit: Prefork.ChildExit? {
        reports.lazy.compactMap(\.exit).first
    }

    /// The slots in rotation from now on. `nil` if nothing changes.
    var rotation: [Int]? {
        for case .rotate(let slots) in self { return slots.map { $0 } }
        return nil
    }

    /// The slots in which a child must be started.
    var spawns: [Int] {
        compactMap { if case .spawn(let slot, _, _, _) = $0 { slot } else { nil } }
    }

    func pids(with signal: Signal) -> [Int32] {
        compactMap { if case .signal(let pid, signal) = $0 { pid } else { nil } }
    }

    var suspension: Duration? {
        reports.first { $0.code == .suspended }?.duration
    }
}

extension PreforkError? {
    /// The pids of the exits that an `.overRecovery` contains.
    var overRecovery: [Int32]? {
        if case .overRecovery(let exits) = self?.payload { exits.map(\.pid) } else { nil }
    }
}

extension SystemError {
    /// EAGAIN, a shortage.
    static let noProcess = SystemError(call: "posix_spawn", code: 11, context: "", message: "try again")
    /// ENOENT. The program is not there.
    static let noProgram = SystemError(call: "posix_spawn", code: 2, context: "", message: "no such file")
}
