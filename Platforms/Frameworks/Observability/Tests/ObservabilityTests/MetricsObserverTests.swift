import MetricsTestKit
@testable import Prefork  // Only the package makes events.
import PreforkMetrics
import Testing

extension ObservabilityTests {
    @Suite struct MetricsObserverTests {
        let metrics = TestMetrics()
        let observer: MetricsObserver

        init() { observer = MetricsObserver(factory: metrics) }

        @Test func startsExitsAndRecoveries() throws {
            let fleet = try RealFleet("kill -9 $$") { configuration in
                configuration.recovery.threshold = .exits(2)
                configuration.recovery.delays = .constant(.zero)
            }
            for event in fleet.events { observer.observe(event) }
            let slot = [("slot", "0")]
            #expect(try metrics.expectCounter("prefork.children.spawned", slot).totalValue == 3)
            #expect(try metrics.expectCounter("prefork.children.recovered", slot).totalValue == 2)
            let killed = slot + [("reason", "signal 9"), ("expected", "false")]
            #expect(try metrics.expectCounter("prefork.children.exited", killed).totalValue == 3)
            #expect(try metrics.expectMeter("prefork.children.alive", slot).values == [1, 0, 1, 0, 1, 0])
            #expect(metrics.counters(label: "prefork.children.spawn.failed").isEmpty)
        }

        @Test func reasons() throws {
            for event in try RealFleet("exit 3").events { observer.observe(event) }
            for event in try RealFleet("", executable: "/nonexistent/program").events { observer.observe(event) }
            let exited = [("slot", "0"), ("reason", "status 3"), ("expected", "false")]
            #expect(try metrics.expectCounter("prefork.children.exited", exited).totalValue == 1)
            let failed = [("slot", "0"), ("reason", "errno 2")]
            #expect(try metrics.expectCounter("prefork.children.spawn.failed", failed).totalValue == 1)
            #expect(try metrics.expectCounter("prefork.children.start.failed", [("slot", "0")]).totalValue == 2)
        }

        /// In a restart a slot has two children for a while.
        @Test func aReplacedChildLeavesItsSlotAlive() throws {
            observer.observe(.spawned(slot: 0, pid: 7, replaces: nil))
            observer.observe(.spawned(slot: 0, pid: 8, replaces: 7))
            observer.observe(.retiring(slot: 0, pid: 7, successor: 8))
            observer.observe(.exited(exit(7), .expected))
            #expect(try metrics.expectMeter("prefork.children.alive", [("slot", "0")]).values == [1, 2, 1])
            #expect(metrics.counters(label: "prefork.children.recovered").isEmpty)
            let restart = [("slot", "0"), ("reason", "restart")]
            #expect(try metrics.expectCounter("prefork.children.replaced", restart).totalValue == 1)
        }

        @Test func replacementsByReason() throws {
            observer.observe(.unresponsive(slot: 1, pid: 7, .silence(.seconds(1))))
            observer.observe(.draining(slot: 1, pid: 8, .program))
            observer.observe(.recycling(slot: 1, pid: 9, .age))
            observer.observe(.retiring(slot: 1, pid: 9, successor: 10))
            observer.observe(.exited(exit(9), .expected))
            // The number may be that of another child later.
            observer.observe(.retiring(slot: 1, pid: 9, successor: 11))
            for reason in ["unresponsive", "unasked drain", "recycled", "restart"] {
                let dimensions = [("slot", "1"), ("reason", reason)]
                #expect(try metrics.expectCounter("prefork.children.replaced", dimensions).totalValue == 1, "\(reason)")
            }
        }

        @Test func restarts() throws {
            observer.observe(.restarting(generation: 2))
            observer.observe(.restarted(generation: 2, after: .milliseconds(20)))
            observer.observe(.restartFailed(generation: 3, serving: 2, .rollback))
            observer.observe(.rolledBack(generation: 2, after: .seconds(1)))
            for outcome in ["restarted", "failed", "rolled back"] {
                #expect(try metrics.expectCounter("prefork.restarts", [("outcome", outcome)]).totalValue == 1)
            }
            #expect(try metrics.expectTimer("prefork.restart.time").values == [20_000_000])
        }

        @Test func losses() throws {
            observer.observe(.dropped(slot: 3, count: 5))
            observer.observe(.killing(slot: 3, pid: 7, .notDrained, after: .seconds(5)))
            observer.observe(.queueFilling(.unix("/x"), slot: nil, .init(waiting: 5, limit: 9)))
            observer.observe(.systemError(.init(call: "poll", code: 12)))
            #expect(try metrics.expectCounter("prefork.connections.dropped", [("slot", "3")]).totalValue == 5)
            let killed = [("slot", "3"), ("reason", "notDrained")]
            #expect(try metrics.expectCounter("prefork.children.killed", killed).totalValue == 1)
            #expect(try metrics.expectCounter("prefork.queue.alarms", [("slot", "all")]).totalValue == 1)
            #expect(try metrics.expectCounter("prefork.system.errors", [("call", "poll")]).totalValue == 1)
        }

        @Test func times() throws {
            observer.observe(.ready(slot: 2, pid: 7, after: .milliseconds(12)))
            observer.observe(.fleetReady(children: 3, after: .milliseconds(30)))
            observer.observe(.stopped)
            #expect(try metrics.expectTimer("prefork.children.ready.time", [("slot", "2")]).values == [12_000_000])
            #expect(try metrics.expectTimer("prefork.fleet.ready.time").values == [30_000_000])
            #expect(metrics.counters.isEmpty && metrics.meters.isEmpty)
        }

        @Test func gaugesOfAStatus() throws {
            let address = Prefork.Address.tcp("127.0.0.1", port: 80)
            func status(_ slots: [Prefork.Status.Slot], _ queues: [Prefork.Status.Queue?], generation: Int)
                -> Prefork.Status
            {
                Prefork.Status(
                    masterPID: 1, addresses: [address], isStopping: false, slots: slots,
                    listeners: [.init(address: address, mode: .sharded, ownership: .bound, queues: queues)],
                    generation: generation)
            }
            func slot(_ number: Int, _ state: Prefork.Status.State, _ generation: Int?) -> Prefork.Status.Slot {
                .init(
                    slot: number, state: state, since: .zero, spawns: 1, generation: generation, lastExit: nil,
                    isInRotation: true, waiting: nil)
            }
            func slots(_ state: String, _ generation: String) throws -> Double? {
                try metrics.expectMeter("prefork.slots", [("state", state), ("generation", generation)]).lastValue
            }
            let queue = [("address", "127.0.0.1:80"), ("slot", "1")]

            observer.record(
                status(
                    [slot(0, .ready(pid: 7), 1), slot(1, .ready(pid: 8), 1), slot(2, .backingOff(.seconds(1)), nil)],
                    [.init(waiting: 0, limit: 9), .init(waiting: 4, limit: 9), nil], generation: 1))
            #expect(try slots("ready", "1") == 2)
            #expect(try slots("backingOff", "none") == 1)
            #expect(try metrics.expectMeter("prefork.queue.waiting", queue).lastValue == 4)
            #expect(try metrics.expectMeter("prefork.queue.limit", queue).lastValue == 9)
            #expect(metrics.meters(label: "prefork.queue.waiting").count == 2)

            // After a restart and a resize to one slot, what is gone leaves no gauge behind.
            observer.record(status([slot(0, .ready(pid: 9), 2)], [.init(waiting: 0, limit: 9)], generation: 2))
            #expect(try slots("ready", "2") == 1)
            #expect(metrics.meters(label: "prefork.slots").count == 1)
            #expect(metrics.meters(label: "prefork.queue.waiting").count == 1)
            #expect(try metrics.expectMeter("prefork.generation").lastValue == 2)
        }

        /// The new program of a master has not seen the start of the children that it takes over.
        @Test func childrenOfAnEarlierProgram() throws {
            observer.observe(.upgraded(generation: 2, after: .seconds(1)))
            observer.record(
                Prefork.Status(
                    masterPID: 1, addresses: [], isStopping: false,
                    slots: [
                        .init(
                            slot: 0, state: .ready(pid: 7), since: .zero, spawns: 1, lastExit: nil, isInRotation: true,
                            waiting: nil)
                    ], listeners: []))
            observer.observe(.spawned(slot: 0, pid: 8, replaces: 7))
            observer.observe(.exited(exit(7), .expected))
            #expect(try metrics.expectMeter("prefork.children.alive", [("slot", "0")]).values == [1, 2, 1])
            #expect(metrics.counters(label: "prefork.children.recovered").isEmpty)
            #expect(try metrics.expectCounter("prefork.upgrades", [("outcome", "upgraded")]).totalValue == 1)
        }

        private func exit(_ pid: Int32) -> Prefork.ChildExit {
            Prefork.ChildExit(slot: 0, pid: pid, reason: .status(0), lifetime: .seconds(1), wasReady: true)
        }
    }
}
