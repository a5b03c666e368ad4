import Testing

@testable import Prefork

@Suite("Rules of a configuration")
struct RulesTests {
    private typealias Rules = Supervisor.Rules

    private static func rules(
        processors: Int = 1, _ change: (inout Prefork.Configuration) -> Void = { _ in }
    ) -> Supervisor.Rules {
        var configuration = Prefork.Configuration()
        change(&configuration)
        return Rules(configuration, processors: processors)
    }

    @Test("Each number reaches its rule")
    func numbers() {
        let rules = Self.rules(processors: 6) {
            $0.recovery.threshold = .exits(7)
            $0.recovery.window = .seconds(8)
            $0.recovery.delays = .init(first: .seconds(1), next: .seconds(2), maximum: .seconds(3))
            $0.recovery.limitPerSlot = 9
            $0.readiness.settleTime = .seconds(4)
            $0.recovery.fatalExitStatuses = [3, 4]
            $0.readiness.timeout = .seconds(10)
            $0.shutdown.gracePeriod = .seconds(11)
            $0.shutdown.queueDrainPeriod = .seconds(12)
        }
        #expect(rules.recovery == .upTo(exits: 7))
        #expect(rules.window == .seconds(8))
        #expect(rules.delays == .init(first: .seconds(1), next: .seconds(2), maximum: .seconds(3)))
        #expect(rules.limitPerSlot == 9)
        #expect(rules.settleTime == .seconds(4))
        #expect(rules.fatalExitStatuses == [3, 4])
        #expect(rules.readinessTimeout == .seconds(10))
        #expect(rules.grace == .seconds(11))
        #expect(rules.queueDrain == .seconds(12))
        #expect(rules.processors == 6)
    }

    @Test("Each threshold reaches its rule")
    func thresholds() {
        #expect(Self.rules().recovery == .automatic)
        #expect(Self.rules { $0.recovery.threshold = .never }.recovery == .never)
        #expect(Self.rules { $0.recovery.threshold = .unlimited }.recovery == .unlimited)
        #expect(Self.rules { $0.recovery.threshold = .exits(0) }.recovery == .upTo(exits: 0))
        #expect(Self.rules { $0.recovery.window = nil }.window == nil)
    }

    @Test("A child settles for a second if its readiness is implicit, and not at all if it is explicit")
    func settleTime() {
        #expect(Self.rules().settleTime == .seconds(1))
        #expect(Self.rules { $0.readiness.mode = .explicit }.settleTime == .zero)
        #expect(
            Self.rules {
                $0.readiness.mode = .explicit
                $0.readiness.settleTime = .seconds(2)
            }.settleTime == .seconds(2))
        #expect(Self.rules { $0.readiness.settleTime = .zero }.settleTime == .zero)
    }

    @Test("A child is proven after a second at the earliest")
    func provingTime() {
        #expect(Self.rules { $0.readiness.settleTime = .zero }.provingTime == .seconds(1))
        #expect(Self.rules { $0.readiness.settleTime = .seconds(5) }.provingTime == .seconds(5))
    }

    @Test("A fleet that never gives up has delays, even if none are configured")
    func delays() {
        let none = Prefork.Configuration.Recovery.Delays.constant(.zero)
        for threshold: Prefork.Configuration.Recovery.Threshold in [.automatic, .unlimited] {
            let rules = Self.rules {
                $0.recovery.threshold = threshold
                $0.recovery.delays = none
            }
            #expect(rules.delays == .init(first: .zero, next: .milliseconds(100), maximum: .seconds(25)))
            let long = Self.rules {
                $0.recovery.threshold = threshold
                $0.recovery.delays = .init(first: .seconds(1), next: .zero, maximum: .seconds(60))
            }
            #expect(long.delays == .init(first: .seconds(1), next: .milliseconds(100), maximum: .seconds(60)))
        }
        for threshold: Prefork.Configuration.Recovery.Threshold in [.never, .exits(3)] {
            let rules = Self.rules {
                $0.recovery.threshold = threshold
                $0.recovery.delays = none
            }
            #expect(rules.delays == none)
        }
        #expect(Self.rules { $0.recovery.delays = .constant(.seconds(3)) }.delays == .constant(.seconds(3)))
    }
}
