import Testing

@testable import Prefork

/// Random schedules of the whole life of a fleet, with a virtual clock.
///
/// - `PREFORK_SEED=n` plays that one seed and prints its trace.
/// - `PREFORK_SIMULATE=n` plays exactly n seeds in as many threads as there are processors, from `PREFORK_SEED_BASE`
///   (a number, by default 1, or `random`).
@Suite("Simulation")
struct SimulationTests {
    /// The usual run is bounded by time. On a slow machine it must nevertheless mean something.
    private static let usualTime: Duration = .seconds(15)
    private static let fewestSchedules = 2000

    @Test("No schedule breaks a rule")
    func schedules() async throws {
        if let seed = try Self.number("PREFORK_SEED") {
            let simulation = Simulation()
            #expect(throws: Never.self) {
                defer { print(simulation.trace.joined(separator: "\n")) }
                try simulation.play(seed: seed, traces: true)
            }
            return
        }
        let campaign: Campaign
        if let count = try Self.number("PREFORK_SIMULATE") {
            campaign = Campaign(from: try Self.base(), fewest: Int(count), until: nil)
            await campaign.run(threads: max(1, ProcessorCount.current().allowed))
        } else {
            // One thread, because other tests, some of which watch the time, run beside this one.
            campaign = Campaign(from: 1, fewest: Self.fewestSchedules, until: System.now() + Self.usualTime)
            await campaign.run(threads: 1)
        }
        let result = campaign.result
        print(result.summary)
        if let (seed, violation) = result.failure {
            let simulation = Simulation()
            #expect(throws: Violation.self, "seed \(seed) is not the same schedule twice") {
                try simulation.play(seed: seed, traces: true)
            }
            print(simulation.trace.joined(separator: "\n"))
            Issue.record("PREFORK_SEED=\(seed) breaks a rule: \(violation.text)")
        } else if result.played >= Self.fewestSchedules {
            for kind in Coverage.Kind.allCases { #expect(result.coverage[kind] > 0, "never seen: \(kind)") }
        }
    }

    @Test("A seed is the same schedule whatever was played before it")
    func replay() throws {
        let used = Simulation()
        for seed in 1...20 { try used.play(seed: UInt64(seed), traces: seed % 2 == 0) }
        for seed in 5...10 {
            let fresh = Simulation()
            try fresh.play(seed: UInt64(seed), traces: true)
            try used.play(seed: UInt64(seed), traces: true)
            #expect(used.trace == fresh.trace)
            #expect(fresh.trace.count > 3)
        }
    }

    @Test("Different seeds give different schedules")
    func seeds() {
        var first = SplitMix64(seed: 0)
        // The first outputs of the published reference implementation for this seed.
        #expect(first.next() == 0xE220_A839_7B1D_CDAF)
        #expect(first.next() == 0x6E78_9E6A_A1B9_65F4)
        var second = SplitMix64(seed: 1)
        #expect(second.next() != 0xE220_A839_7B1D_CDAF)
        #expect((0..<1000).allSatisfy { _ in second.below(3) < 3 })
        #expect(Set((0..<1000).map { _ in second.time(upTo: 2) }) == [0, 1, 2])
    }

    private static func base() throws -> UInt64 {
        if System.environmentValue("PREFORK_SEED_BASE") == "random" { return .random(in: 1...(.max >> 1)) }
        return try number("PREFORK_SEED_BASE") ?? 1
    }

    private static func number(_ variable: String) throws -> UInt64? {
        guard let text = System.environmentValue(variable) else { return nil }
        let number: UInt64 = try #require(UInt64(text), "\(variable)=\(text) is no number")
        return number
    }
}

/// Many schedules, in several threads.
private final class Campaign: Sendable {
    struct Result {
        var from: UInt64
        var played = 0
        var coverage = Coverage()
        /// The lowest seed that broke a rule.
        var failure: (seed: UInt64, Violation)?
        var elapsed: Duration = .zero
        var threads = 1

        var summary: String {
            let rate = Int(Double(played) / max(elapsed / .seconds(1), 0.001))
            let head =
                "simulation: \(played) schedules from seed \(from), \(coverage[.inputs]) inputs, "
                + "\(threads) thread\(threads == 1 ? "" : "s"), \(elapsed.inSeconds), \(rate) a second: "
            let kinds = Coverage.Kind.allCases.map { "\($0) \(coverage[$0])" }.joined(separator: ", ")
            guard let (seed, violation) = failure else { return head + "no rule broken\n  \(kinds)" }
            return head + "seed \(seed), after \(seed &- from &+ 1) schedules, breaks a rule: \(violation.text)"
        }
    }

    private struct State {
        var next = 0
        var result: Result
    }

    private let state: LockedValueBox<State>
    private let from: UInt64
    private let fewest: Int
    private let deadline: Instant?
    /// The number of seeds that are taken at once.
    private let block = 50

    /// Plays `fewest` schedules and, if there is a deadline, as many more as fit before it.
    init(from: UInt64, fewest: Int, until deadline: Instant?) {
        self.from = from
        self.fewest = fewest
        self.deadline = deadline
        state = LockedValueBox(State(result: Result(from: from)))
    }

    var result: Result { state.withLock { $0.result } }

    /// Not in the threads of Swift's pool, which other tests need.
    func run(threads: Int) async {
        let start = System.now()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<threads {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        do {
                            try Thread {
                                self.work()
                                continuation.resume()
                            }.detach()
                        } catch {
                            Issue.record(error)
                            continuation.resume()
                        }
                    }
                }
            }
        }
        state.withLock {
            $0.result.elapsed = System.now() - start
            $0.result.threads = threads
        }
    }

    private func work() {
        let simulation = Simulation()
        var played = 0
        while let range = take() {
            for index in range {
                let seed = from &+ UInt64(index)
                played += 1
                do {
                    try simulation.play(seed: seed)
                } catch {
                    state.withLock {
                        if seed < $0.result.failure?.seed ?? .max { $0.result.failure = (seed, error) }
                    }
                    break
                }
            }
        }
        state.withLock {
            $0.result.played += played
            $0.result.coverage.add(simulation.coverage)
        }
    }

    /// `nil` once there is nothing more to do. Seeds below a failure were taken before it and are played to their end,
    /// so that the lowest seed is found in any order of the threads.
    private func take() -> Range<Int>? {
        state.withLock { state in
            guard state.result.failure == nil else { return nil }
            let first = state.next
            var end = first + block
            if first >= fewest {
                guard let deadline, System.now() < deadline else { return nil }
            } else if deadline == nil {
                end = min(end, fewest)
            }
            state.next = end
            return first..<end
        }
    }
}
