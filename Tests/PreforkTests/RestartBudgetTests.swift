import Testing

@testable import Prefork

private let begin = Instant(nanoseconds: 1_000_000_000_000)

@Suite("Restart budget")
struct RestartBudgetTests {
    /// A quarter of a processor. At most 2.5 s are saved up.
    private static let quarter = RestartBudget(perMille: 250)

    @Test("Savings of ten seconds are spent without waiting, and no more")
    func burst() {
        var budget = Self.quarter
        for _ in 0..<25 { #expect(budget.charge(.milliseconds(100), at: begin) == .zero) }
        #expect(budget.charge(.milliseconds(100), at: begin) == .milliseconds(400))
        #expect(budget.charge(.milliseconds(100), at: begin) == .milliseconds(800))
    }

    @Test("The bucket refills with its share of the time")
    func refill() {
        var budget = Self.quarter
        #expect(budget.charge(.milliseconds(2500), at: begin) == .zero)
        #expect(budget.charge(.milliseconds(500), at: begin + .seconds(2)) == .zero)
        #expect(budget.charge(.milliseconds(500), at: begin + .seconds(3)) == .seconds(1))
        #expect(budget.charge(.zero, at: begin + .seconds(4) - .milliseconds(1)) == .milliseconds(1))
        #expect(budget.charge(.zero, at: begin + .seconds(4)) == .zero)
    }

    @Test("Time that is not spent within ten seconds is lost", arguments: [10, 11, 30, 31, 1_000_000_000])
    func capacity(seconds: Int) {
        var budget = Self.quarter
        #expect(budget.charge(.milliseconds(2500), at: begin) == .zero)
        let later = begin + .seconds(seconds)
        #expect(budget.charge(.milliseconds(2500), at: later) == .zero)
        #expect(budget.charge(.milliseconds(1), at: later) == .milliseconds(4))
    }

    @Test("A debt delays a restart, but never for longer than thirty seconds")
    func debt() {
        var budget = Self.quarter
        var waits: [Duration] = []
        for _ in 0..<6 { waits.append(budget.charge(.milliseconds(2500), at: begin)) }
        #expect(waits == [0, 10, 20, 30, 30, 30].map { .seconds($0) })
    }

    @Test("A debt is paid off over time, however long nothing was charged", arguments: [30, 31, 35, 39])
    func oldDebt(seconds: Int) {
        var budget = Self.quarter
        for _ in 0..<4 { _ = budget.charge(.milliseconds(2500), at: begin) }
        // 30 s pay the debt, and later time can be spent.
        let saved = Duration.milliseconds(250 * (seconds - 30))
        #expect(budget.charge(saved + .milliseconds(250), at: begin + .seconds(seconds)) == .seconds(1))
    }

    @Test("A start that costs more than the bucket holds delays the next one, up to the largest debt")
    func expensive() {
        var budget = Self.quarter
        #expect(budget.charge(.seconds(100), at: begin) == .seconds(20))
        #expect(budget.charge(.seconds(100), at: begin) == .seconds(30))
    }

    @Test("Restarts that wait as requested never cost more than their share over any long time", arguments: 0..<20)
    func average(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        let perMille = [80, 250, 1000, 16_000].randomElement(using: &random) ?? 250
        var budget = RestartBudget(perMille: perMille)
        let slots = Int.random(in: 1...3, using: &random)
        let isHeavy = seed % 2 == 0
        // All slots together must not owe more than the bucket remembers.
        let most = Int64(perMille) * 10_000_000
        var due = Array(repeating: begin, count: slots)
        var spent: [(time: Instant, cost: Int64)] = []
        for _ in 0..<1500 {
            guard let slot = due.indices.min(by: { due[$0] < due[$1] }) else { return }
            // Half of the fleets restart nothing but expensive programs that end at once.
            let shift = isHeavy ? 0 : Int64.random(in: 0...12, using: &random)
            let cost = Int64.random(in: 0...most, using: &random) >> shift
            let wait = budget.charge(.nanoseconds(cost), at: due[slot])
            // It starts after the wait, and crashes some time later.
            spent.append((due[slot] + wait, cost))
            let life = isHeavy || Bool.random(using: &random) ? 0 : Int64.random(in: 0...50_000_000_000, using: &random)
            due[slot] = due[slot] + wait + .nanoseconds(life)
        }
        spent.sort { $0.time < $1.time }
        // Over any window, the cost is at most the share, the savings, and one start of each slot.
        var sums: [Double] = [0]
        for restart in spent { sums.append(sums[sums.count - 1] + Double(restart.cost)) }
        let allowance = Double(most) * Double(1 + slots)
        for first in stride(from: 0, to: spent.count, by: 7) {
            for last in stride(from: first, to: spent.count, by: 13) {
                let time = Double((spent[last].time - spent[first].time).clampedNanoseconds)
                let cost = sums[last + 1] - sums[first]
                guard cost > time * Double(perMille) / 1000 + allowance else { continue }
                Issue.record("restarts cost \(cost) ns within \(time) ns")
                return
            }
        }
    }

    @Test("Nothing overflows, at no cost, no time and no share")
    func extremes() {
        let costs: [Duration] = [.seconds(Int64.max), .nanoseconds(Int64.max), .zero, .seconds(Int64.min)]
        let times = [Instant.distantPast, Instant(nanoseconds: 0), begin, Instant(nanoseconds: .max)]
        for perMille in [Int.min, -1, 0, 1, 80, 4096 * 250, 1_000_000_000] {
            var budget = RestartBudget(perMille: perMille)
            for _ in 0..<3 {
                for time in times {
                    for cost in costs {
                        let wait = budget.charge(cost, at: time)
                        #expect(wait >= .zero && wait <= .seconds(30))
                    }
                }
            }
        }
    }

    @Test("Neither a negative cost nor a clock that goes back adds savings")
    func negative() {
        var budget = Self.quarter
        #expect(budget.charge(.milliseconds(2500), at: begin) == .zero)
        #expect(budget.charge(.seconds(-10), at: begin) == .zero)
        #expect(budget.charge(.milliseconds(250), at: begin - .seconds(100)) == .seconds(1))
    }
}
