import MetricsTestKit
@testable import Prefork  // Only the package makes events.
import PreforkMetrics
import Testing

extension ObservabilityTests {
    @Suite struct MetricsObserverTests {
        let metrics = TestMetrics()

        @Test func startsExitsAndRecoveries() throws {
            let fleet = try RealFleet("kill -9 $$") { configuration in
                configuration.recovery.threshold = .exits(2)
                configuration.recovery.delays = .constant(.zero)
            }
            let observer = MetricsObserver(factory: metrics)
            for event in fleet.events { observer.observe(event) }
            let slot = [("slot", "0")]
            #expect(try metrics.expectCounter("prefork.children.spawned", slot).totalValue == 3)
            #expect(try metrics.expectCounter("prefork.children.recovered", slot).totalValue == 2)
            let killed = slot + [("reason", "signal 9")]
            #expect(try metrics.expectCounter("prefork.children.exited", killed).totalValue == 3)
            #expect(try metrics.expectMeter("prefork.children.alive", slot).values == [1, 0, 1, 0, 1, 0])
            #expect(metrics.counters(label: "prefork.children.spawn.failed").isEmpty)
        }

        @Test func reasons() throws {
            let observer = MetricsObserver(factory: metrics)
            for event in try RealFleet("exit 3").events { observer.observe(event) }
            for event in try RealFleet("", executable: "/nonexistent/program").events { observer.observe(event) }
            let exited = [("slot", "0"), ("reason", "status 3")]
            #expect(try metrics.expectCounter("prefork.children.exited", exited).totalValue == 1)
            let failed = [("slot", "0"), ("reason", "errno 2")]
            #expect(try metrics.expectCounter("prefork.children.spawn.failed", failed).totalValue == 1)
            #expect(try metrics.expectCounter("prefork.children.start.failed", [("slot", "0")]).totalValue == 2)
        }

        @Test func aReplacedChildLeavesItsSlotAlive() throws {
            let observer = MetricsObserver(factory: metrics)
            observer.observe(.spawned(slot: 0, pid: 7, replaces: nil))
            observer.observe(.spawned(slot: 0, pid: 8, replaces: 7))
            let exit = Prefork.ChildExit(
                slot: 0, pid: 7, reason: .status(0), lifetime: .seconds(1), wasReady: true)
            observer.observe(.exited(exit, .replaced))
            #expect(try metrics.expectMeter("prefork.children.alive", [("slot", "0")]).lastValue == 1)
        }

        @Test func timeToReady() throws {
            let observer = MetricsObserver(factory: metrics)
            observer.observe(.ready(slot: 2, pid: 7, after: .milliseconds(12)))
            observer.observe(.stopped)
            let timer = try metrics.expectTimer("prefork.children.ready.time", [("slot", "2")])
            #expect(timer.values == [12_000_000])
            #expect(metrics.counters.isEmpty && metrics.meters.isEmpty)
        }
    }
}
