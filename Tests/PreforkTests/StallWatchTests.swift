import Testing

@testable import Prefork

/// A child is stalled if connections wait and it does nothing, at every look.
@Suite struct StallWatchTests {
    private static let begin = Instant(nanoseconds: 1_000_000_000_000)

    private func look(_ waiting: Int, _ ticks: UInt64, _ switches: UInt64 = 0, pid: Int32 = 7) -> StallWatch.Look {
        .init(pid: pid, waiting: waiting, progress: Progress(ticks: ticks, switches: switches))
    }

    /// Plays looks in the intervals that the watch asks for.
    private func play(_ looks: [StallWatch.Look], _ watch: inout StallWatch) -> [(Int, Prefork.Event.Evidence)] {
        var found: [(Int, Prefork.Event.Evidence)] = []
        for (index, look) in looks.enumerated() {
            for (_, evidence) in watch.note([look], at: watch.next) { found.append((index, evidence)) }
        }
        return found
    }

    @Test func aChildThatDoesNothing() {
        var watch = StallWatch(timeout: .seconds(2), at: Self.begin)
        let found = play(Array(repeating: look(3, 10), count: 6), &watch)
        #expect(found.map(\.0) == [4], "after 2 s, in looks of 0.5 s, and then it is known")
        #expect(found.first?.1 == .stall(waiting: 3, .seconds(2)))
    }

    /// Each of these shows that the child is alive.
    @Test(arguments: [
        (name: "processor time", looks: [(3, 10, 1), (3, 10, 1), (3, 11, 1), (3, 11, 1), (3, 12, 1), (3, 12, 1)]),
        ("a thread that wakes", [(3, 10, 1), (3, 10, 1), (3, 10, 2), (3, 10, 2), (3, 10, 3), (3, 10, 3)]),
        ("a queue that shrinks", [(3, 10, 1), (3, 10, 1), (2, 10, 1), (2, 10, 1), (1, 10, 1), (1, 10, 1)]),
        ("an empty queue", [(3, 10, 1), (3, 10, 1), (0, 10, 1), (3, 10, 1), (3, 10, 1), (3, 10, 1)]),
    ])
    func aChildThatIsAlive(name: String, looks: [(Int, UInt64, UInt64)]) {
        var watch = StallWatch(timeout: .seconds(2), at: Self.begin)
        #expect(play(looks.map { look($0.0, $0.1, $0.2) }, &watch).isEmpty, "\(name)")
    }

    @Test func aQueueThatGrowsIsNoSignOfLife() {
        var watch = StallWatch(timeout: .seconds(2), at: Self.begin)
        #expect(play((3...8).map { look($0, 10) }, &watch).map(\.0) == [4])
    }

    @Test func anotherChildStartsAnew() {
        var watch = StallWatch(timeout: .seconds(2), at: Self.begin)
        let looks = (0..<4).map { _ in look(3, 10) } + (0..<3).map { _ in look(3, 10, pid: 8) }
        #expect(play(looks, &watch).isEmpty)
    }

    /// The master was not running, and knows nothing about the time between.
    @Test func aBreakCountsForNothing() {
        var watch = StallWatch(timeout: .seconds(2), at: Self.begin)
        _ = watch.note([look(3, 10)], at: watch.next)
        #expect(watch.note([look(3, 10)], at: watch.next + .seconds(60)).isEmpty)
    }

    @Test func withoutKnowledgeNoChildIsStalled() {
        var watch = StallWatch(timeout: .seconds(2), at: Self.begin)
        for _ in 0..<8 {
            #expect(watch.note([.init(pid: 7, waiting: 3, progress: nil)], at: watch.next).isEmpty)
        }
    }

    #if os(Linux)
        /// A real process: this one.
        @Test func progressOfThisProcess() throws {
            let before = try #require(Progress.of(System.pid))
            // Reading costs processor time, so this ends, and a pause is a switch.
            let end = System.now() + .seconds(20)
            while Progress.of(System.pid)?.ticks == before.ticks, System.now() < end {}
            System.pause(milliseconds: 1)
            let after = try #require(Progress.of(System.pid))
            #expect(after.ticks > before.ticks)
            #expect(after.switches > before.switches)
            #expect(Progress.of(0) == nil)
        }
    #endif
}
