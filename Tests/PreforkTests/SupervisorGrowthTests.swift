import PreforkLibc
import Testing

@testable import Prefork

/// What an input costs the rules as a function of the number of slots.
///
/// With PREFORK_GROWTH set, `swift test -c release --filter SupervisorGrowthTests` prints inputs per second.
@Suite("An input in a large fleet", .serialized) struct SupervisorGrowthTests {
    private static let measures = System.environmentValue("PREFORK_GROWTH") != nil

    @Test("costs about the same as in a small one") func flat() {
        let sizes = Self.measures ? [4, 64, 512, 2048, 4096] : [4, 4096]
        let cycles = Self.measures ? 200_000 : 2000
        let costs = sizes.map { size in (0..<3).map { _ in cost(slots: size, cycles: cycles) }.min() ?? 0 }
        if Self.measures {
            for (size, cost) in zip(sizes, costs) {
                print("\(size) slots: \(Int(1e9 / cost)) inputs a second, \(cost / costs[0]) times the cost of 4 slots")
            }
        }
        // Work that grows with the fleet takes some hundred times as long.
        #expect(costs[costs.count - 1] < costs[0] * 10)
    }

    /// Nanoseconds of processor time for each input, while children of a proven fleet crash and are replaced.
    private func cost(slots: Int, cycles: Int) -> Double {
        var random = SplitMix64(seed: 1)
        var bench = Bench.proven(children: slots)
        var inputs = 0
        let begin = processorTime()
        for cycle in 0..<cycles {
            let slot = random.below(slots)
            guard let child = bench.current(slot) else { break }
            let pid = Int32(100 + slots + cycle)
            bench.feed(.hungUp(pid: child.pid))
            bench.feed(.exited(pid: child.pid, .signaled(11, coreDumped: false)))
            bench.feed(.timer)
            bench.feed(.spawned(slot: slot, pid: pid))
            bench.feed(.ready(pid: pid))
            bench.feed(.timer, after: .seconds(1))
            inputs += 6
        }
        #expect(inputs == 6 * cycles)
        return Double(processorTime() - begin) / Double(inputs)
    }

    private func processorTime() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
