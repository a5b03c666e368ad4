import Testing

@testable import Prefork

/// A loop that the summaries see, with a clock of its own.
private final class CrashLoop {
    var summary = CrashLoopSummary()
    var now = Instant(nanoseconds: 1_000_000_000)

    /// - Returns: whether the exit gets a line of its own.
    func exits(
        slot: Int = 0, _ reason: Prefork.ChildExit.Reason = .signal(4, coreDumped: false), wasReady: Bool = true,
        after time: Duration = .milliseconds(100)
    ) -> Bool {
        now = now + time
        let exit = Prefork.ChildExit(
            slot: slot, pid: 100, reason: reason, lifetime: .seconds(1), wasReady: wasReady)
        return admits(.exited(exit, .recovering(after: .milliseconds(100))))
    }

    func admits(_ event: Prefork.Event) -> Bool { summary.admit(event, at: now) }
    func take(isLast: Bool = false) -> [String] { summary.take(at: now, isLast: isLast) }
}

@Suite struct CrashLoopSummaryTests {
    private let loop = CrashLoop()

    @Test func theFirstExitsAreLogged() {
        for _ in 0..<CrashLoopSummary.detailed { #expect(loop.exits()) }
        #expect(!loop.exits())
        #expect(loop.exits(slot: 1), "another slot")
        #expect(loop.admits(.ready(slot: 1, pid: 7, after: .zero)), "another slot")
        #expect(!loop.admits(.spawned(slot: 0, pid: 8, replaces: 7)))
        #expect(!loop.admits(.ready(slot: 0, pid: 8, after: .zero)))
        #expect(!loop.admits(.notReady(slot: 0, pid: 8, after: .zero)))
        #expect(loop.admits(.draining(slot: 0, pid: 8, .program)), "no part of a loop")
        let last = Prefork.ChildExit(slot: 0, pid: 8, reason: .status(1), lifetime: .zero, wasReady: true)
        #expect(loop.admits(.exited(last, .givingUp)), "it ends the fleet")
    }

    @Test func aSlotGetsOneLineForEachInterval() {
        for _ in 0..<CrashLoopSummary.detailed { _ = loop.exits() }
        let begin = loop.now
        #expect(loop.summary.next == begin + .seconds(10))
        for number in 0..<42 { _ = loop.exits(reason(number), wasReady: number % 2 == 0) }
        #expect(loop.take() == [])
        loop.now = begin + .seconds(10)
        #expect(
            loop.take()
                == [
                    "slot 0: 42 exits in 10 s: 28 signal 4 (ILL), 14 status 1; 21 never ready; recovering in 0.1 s"
                ])
        #expect(loop.take() == [])
        #expect(!loop.exits())
        _ = loop.admits(.spawned(slot: 0, pid: 9, replaces: 8))
        loop.now = loop.now + .seconds(10)
        #expect(loop.take() == ["slot 0: 1 exit in 10.1 s: 1 signal 4 (ILL); child 9 is starting"])
        _ = loop.admits(.ready(slot: 0, pid: 9, after: .zero))
        loop.now = loop.now + .seconds(10)
        #expect(loop.take() == ["slot 0: no exits in 10 s; child 9 is ready"])
        #expect(loop.summary.next == nil)
        #expect(loop.exits(), "the loop is over")
    }

    private func reason(_ number: Int) -> Prefork.ChildExit.Reason {
        number % 3 == 0 ? .status(1) : .signal(4, coreDumped: false)
    }

    @Test func anExitOfAReplacedChildLeavesItsReplacement() {
        for _ in 0..<7 { _ = loop.exits() }
        _ = loop.admits(.spawned(slot: 0, pid: 9, replaces: 8))
        _ = loop.admits(.ready(slot: 0, pid: 9, after: .zero))
        let old = Prefork.ChildExit(slot: 0, pid: 8, reason: .status(0), lifetime: .zero, wasReady: true)
        #expect(loop.admits(.exited(old, .replaced)))
        #expect(loop.take(isLast: true) == ["slot 0: 2 exits in 0.2 s: 2 signal 4 (ILL); child 9 is ready"])
    }

    @Test func theLastExitIsNotContradicted() {
        for _ in 0..<7 { _ = loop.exits() }
        _ = loop.admits(.spawned(slot: 0, pid: 9, replaces: 8))
        let last = Prefork.ChildExit(slot: 0, pid: 9, reason: .status(1), lifetime: .zero, wasReady: false)
        #expect(loop.admits(.exited(last, .givingUp)))
        #expect(loop.take(isLast: true) == ["slot 0: 2 exits in 0.2 s: 2 signal 4 (ILL)"])
    }

    @Test func rareExitsAreLoggedForEver() {
        for _ in 0..<1000 { #expect(loop.exits(after: .seconds(16))) }
        #expect(loop.summary.next == nil)
    }

    @Test func theEndOfARunEndsTheSummaries() {
        for slot in [2, 1] { for _ in 0..<7 { _ = loop.exits(slot: slot) } }
        let lines = loop.take(isLast: true)
        #expect(lines.count == 2)
        #expect(lines.first?.hasPrefix("slot 1: 2 exits in 0.2 s: 2 signal 4 (ILL); ") == true)
        #expect(loop.summary.next == nil)
        #expect(loop.exits(slot: 1))
    }

    /// Random storms. No exit gets lost, whenever it comes.
    @Test func everyExitIsLoggedOrCounted() throws {
        var generator = SplitMix64(seed: 5)
        var (all, logged, counted) = (0, 0, 0)
        for _ in 0..<20_000 {
            all += 1
            let slot = Int.random(in: 0..<3, using: &generator)
            let pause = Duration.milliseconds(Int.random(in: 0...3000, using: &generator))
            let isLogged = loop.exits(slot: slot, after: pause)
            if isLogged { logged += 1 }
            counted += try count(loop.take())
        }
        counted += try count(loop.take(isLast: true))
        #expect(logged + counted == all)
        #expect(logged > 1000 && counted > 1000, "both occur")
    }

    private func count(_ lines: [String]) throws -> Int {
        try lines.reduce(0) { sum, line in
            let words = line.split(separator: " ")
            return sum + (words[2] == "no" ? 0 : try #require(Int(words[2])))
        }
    }
}
