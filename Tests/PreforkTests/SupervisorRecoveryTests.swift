import Testing

@testable import Prefork

extension SupervisorTests {
    /// What an exit, or a failed start, leads to.
    @Suite("Recovery")
    struct Recovery {
        @Test("At once, then after 100 ms, doubled to the maximum")
        func doubling() {
            var bench = Bench.filled(children: 1) { $0.interval.maximum = .milliseconds(700) }
            var pid: Int32 = 100
            for delay in [0, 100, 200, 400, 700, 700] {
                let actions = bench.feed(.exited(pid: pid, .exited(1)), after: .milliseconds(5))
                #expect(actions.consequence == .recovering(after: .milliseconds(delay)))
                #expect(bench.untilDeadline == .milliseconds(delay))
                if delay > 0 {
                    #expect(bench.feed(.timer, after: .milliseconds(delay) - .nanoseconds(1)).isEmpty)
                }
                #expect(bench.timer().spawns == [0])
                pid += 1
                bench.feed(.spawned(slot: 0, pid: pid))
            }
        }

        @Test("The delays of one slot are not another's")
        func perSlot() {
            var bench = Bench.filled()
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.replace(slot: 0, by: 200)
            #expect(bench.feed(.exited(pid: 101, .exited(1))).consequence == .recovering(after: .zero))
            #expect(
                bench.feed(.exited(pid: 200, .exited(1))).consequence == .recovering(after: .milliseconds(100))
            )
        }

        @Test("Ready for long enough sets them back; alive for long enough does not")
        func healthy() {
            func delay(readyAfter: Duration?, then rest: Duration) -> Prefork.Event.Consequence? {
                var bench = Bench.filled(children: 1) {
                    $0.healthyAfter = .seconds(10)
                    $0.readinessTimeout = .seconds(100)
                }
                bench.feed(.exited(pid: 100, .exited(1)))
                bench.replace(slot: 0, by: 101)
                if let readyAfter { bench.feed(.ready(pid: 101), after: readyAfter) }
                return bench.feed(.exited(pid: 101, .exited(1)), after: rest).consequence
            }
            let failing = Prefork.Event.Consequence.recovering(after: .milliseconds(100))
            #expect(delay(readyAfter: .zero, then: .seconds(10)) == .recovering(after: .zero))
            #expect(delay(readyAfter: .zero, then: .seconds(10) - .nanoseconds(1)) == failing)
            #expect(delay(readyAfter: .seconds(50), then: .seconds(9)) == failing)
            #expect(delay(readyAfter: nil, then: .seconds(59)) == failing)
        }

        @Test("Slots that are due together are started one at a time, the longest waiting first")
        func due() {
            var bench = Bench.filled(children: 3) { $0.interval.first = .milliseconds(50) }
            bench.feed(.exited(pid: 102, .exited(1)))
            bench.feed(.exited(pid: 100, .exited(1)), after: .milliseconds(1))
            bench.feed(.exited(pid: 101, .exited(1)), after: .milliseconds(1))
            #expect(bench.feed(.timer, after: .milliseconds(500)).spawns == [2])
            #expect(bench.feed(.spawned(slot: 2, pid: 202)).spawns.isEmpty)
            #expect(bench.untilDeadline ?? .seconds(1) <= .zero)
            #expect(bench.feed(.timer).spawns == [0])
            bench.feed(.spawned(slot: 0, pid: 200))
            #expect(bench.feed(.timer).spawns == [1])
        }

        @Test("An exit tells how it came")
        func reasons() {
            func reason(_ status: WaitStatus) -> Prefork.ChildExit? {
                var bench = Bench.ready(children: 1)
                let exit = bench.feed(.exited(pid: 100, status), after: .seconds(3)).exit
                #expect(bench.supervisor.slots[0].lastExit == exit)
                return exit
            }
            func exit(_ reason: Prefork.ChildExit.Reason) -> Prefork.ChildExit {
                .init(slot: 0, pid: 100, reason: reason, lifetime: .seconds(3), wasReady: true)
            }
            #expect(reason(.exited(3)) == exit(.status(3)))
            #expect(reason(.signaled(11, coreDumped: true)) == exit(.signal(11, coreDumped: true)))
            #expect(reason(.lost) == exit(.unknown))
        }

        // MARK: Giving up

        @Test("More exits within the window than the threshold")
        func threshold() {
            var bench = Bench.filled(children: 3) { $0.recovery = .upTo(exits: 2) }
            #expect(bench.feed(.exited(pid: 100, .exited(1))).consequence == .recovering(after: .zero))
            #expect(bench.feed(.exited(pid: 101, .exited(0))).consequence == .recovering(after: .zero))
            #expect(bench.feed(.exited(pid: 102, .exited(1))).consequence == .givingUp)
            guard case .overRecovery(let exits) = bench.supervisor.failure?.payload else {
                Issue.record("\(String(describing: bench.supervisor.failure))")
                return
            }
            #expect(exits.map(\.pid) == [100, 101, 102])
        }

        @Test("What is older than the window does not count")
        func window() {
            func third(after delay: Duration) -> Prefork.Event.Consequence? {
                var bench = Bench.ready(children: 3) {
                    $0.recovery = .upTo(exits: 2)
                    $0.window = .seconds(60)
                }
                bench.feed(.exited(pid: 100, .exited(1)))
                bench.feed(.exited(pid: 101, .exited(1)), after: .seconds(1))
                return bench.feed(.exited(pid: 102, .exited(1)), after: delay).consequence
            }
            #expect(third(after: .seconds(59)) == .givingUp)
            #expect(third(after: .seconds(59) + .nanoseconds(1)) == .recovering(after: .zero))
        }

        @Test("Without a window all exits of the whole life count")
        func wholeLife() {
            var bench = Bench.ready(children: 3) {
                $0.recovery = .upTo(exits: 2)
                $0.window = nil
            }
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.feed(.exited(pid: 101, .exited(1)), after: .seconds(1_000_000))
            let actions = bench.feed(.exited(pid: 102, .exited(1)), after: .seconds(1_000_000))
            #expect(actions.consequence == .givingUp)
        }

        @Test("The error has the last 32 exits in order")
        func lastExits() {
            var bench = Bench.filled(children: 1) {
                $0.recovery = .upTo(exits: 40)
                $0.window = nil
            }
            for pid: Int32 in 100..<140 {
                #expect(bench.feed(.exited(pid: pid, .exited(1))).consequence != .givingUp)
                bench.replace(slot: 0, by: pid + 1)
            }
            #expect(bench.feed(.exited(pid: 140, .exited(1))).consequence == .givingUp)
            guard case .overRecovery(let exits) = bench.supervisor.failure?.payload else {
                Issue.record("\(String(describing: bench.supervisor.failure))")
                return
            }
            #expect(exits.map(\.pid) == Array(109...140))
        }

        @Test("A limit for each slot", arguments: [0, 1, 3])
        func limit(limit: Int) {
            var bench = Bench.filled {
                $0.limitPerSlot = limit
                $0.recovery = .unlimited
            }
            // The other slot's recoveries do not count.
            if limit > 0 {
                bench.feed(.exited(pid: 101, .exited(1)))
                bench.replace(slot: 1, by: 201)
            }
            var pid: Int32 = 100
            for _ in 0..<limit {
                let consequence = bench.feed(.exited(pid: pid, .exited(1))).consequence
                #expect(consequence != .givingUp)
                pid += 200
                bench.replace(slot: 0, by: pid)
            }
            #expect(bench.feed(.exited(pid: pid, .exited(1))).consequence == .givingUp)
            guard case .overRecovery = bench.supervisor.failure?.payload else {
                Issue.record("\(String(describing: bench.supervisor.failure))")
                return
            }
        }

        @Test("Without recovery the first exit ends the fleet with its reason")
        func never() {
            var bench = Bench.ready { $0.recovery = .never }
            let actions = bench.feed(.exited(pid: 101, .exited(0)))
            #expect(actions.consequence == .givingUp)
            #expect(actions.pids(with: .terminate) == [100])
            guard case .childExited(let exit) = bench.supervisor.failure?.payload else {
                Issue.record("\(String(describing: bench.supervisor.failure))")
                return
            }
            #expect(exit == actions.exit)
        }

        @Test("Unlimited never gives up, in no time")
        func unlimited() {
            var bench = Bench.filled(children: 1) { $0.recovery = .unlimited }
            var pid: Int32 = 100
            for _ in 0..<200 {
                bench.feed(.exited(pid: pid, .exited(1)))
                pid += 1
                bench.replace(slot: 0, by: pid)
            }
            #expect(!bench.supervisor.isStopping)
            // 0.1 s … 25.6 s, then 30 s each.
            #expect(bench.now - Instant(nanoseconds: 1_000_000_000_000) > .seconds(190 * 30))
        }

        @Test("A final status ends the fleet at once, whatever is allowed")
        func finalStatus() {
            var bench = Bench.ready {
                $0.recovery = .unlimited
                $0.fatalExitStatuses = [78, 3]
            }
            #expect(bench.feed(.exited(pid: 100, .exited(1))).consequence == .recovering(after: .zero))
            // A signal's number is no status.
            bench.replace(slot: 0, by: 200)
            #expect(bench.feed(.exited(pid: 200, .signaled(3, coreDumped: false))).consequence != .givingUp)
            let actions = bench.feed(.exited(pid: 101, .exited(78)))
            #expect(actions.consequence == .givingUp)
            guard case .childRefused(let exit) = bench.supervisor.failure?.payload else {
                Issue.record("\(String(describing: bench.supervisor.failure))")
                return
            }
            #expect(exit == actions.exit)
            #expect(actions.last == .finish)
        }

        @Test("A final status is an exit like others while another child has been ready for a while")
        func finalBesideHealthy() {
            var bench = Bench.ready { $0.healthyAfter = .seconds(10) }
            bench.feed(.exited(pid: 100, .exited(1)), after: .seconds(9))
            bench.replace(slot: 0, by: 200)
            let actions = bench.feed(.exited(pid: 200, .exited(78)), after: .seconds(2))
            #expect(actions.consequence == .recovering(after: .milliseconds(100)))
            // The last of the old ones has gone; those that are new are nobody's proof.
            bench.replace(slot: 0, by: 201)
            bench.feed(.exited(pid: 101, .exited(1)))
            #expect(bench.feed(.exited(pid: 201, .exited(78))).consequence == .givingUp)
        }

        @Test("Status 78 is an exit like others where it is not final")
        func notFinal() {
            var bench = Bench.ready { $0.fatalExitStatuses = [] }
            #expect(bench.feed(.exited(pid: 100, .exited(78))).consequence == .recovering(after: .zero))
        }

        // MARK: Starts that fail

        @Test("A failed start counts as an exit of its slot and is tried again, with delays; the others go on")
        func failedStart() {
            var bench = Bench.ready { $0.recovery = .upTo(exits: 3) }
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.timer()
            let actions = bench.feed(.spawnFailed(slot: 0, .noProcess))
            let exit = Prefork.ChildExit(
                slot: 0,
                pid: 0,
                reason: .notSpawned(.noProcess),
                lifetime: .zero,
                wasReady: false
            )
            #expect(actions == [.report(.spawnFailed(exit, .recovering(after: .milliseconds(100))))])
            #expect(bench.supervisor.slots[0].lastExit == exit)
            // The other slot's child goes, and comes again, meanwhile.
            bench.feed(.exited(pid: 101, .exited(1)))
            bench.replace(slot: 1, by: 201)
            #expect(bench.timer() == [.spawn(slot: 0, launch: 2)])
            #expect(bench.feed(.spawnFailed(slot: 0, .noProcess)).consequence == .givingUp)
        }

        @Test("A start that succeeds after others failed replaces the last child that there was")
        func replaces() {
            var bench = Bench.ready()
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.timer()
            bench.feed(.spawnFailed(slot: 0, .noProcess))
            bench.timer()
            #expect(bench.feed(.spawned(slot: 0, pid: 200)).last == .announce(pid: 200, replaces: 100))
        }

        @Test("A start that another try would not mend ends the fleet")
        func refusedStart() {
            var bench = Bench.ready { $0.recovery = .unlimited }
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.timer()
            let actions = bench.feed(.spawnRefused(slot: 0, .spawnedStranger(slot: 0, pid: 1)))
            #expect(actions.pids(with: .terminate) == [101])
            guard case .spawnedStranger(slot: 0, pid: 1) = bench.supervisor.failure?.payload else {
                Issue.record("\(String(describing: bench.supervisor.failure))")
                return
            }
            #expect(bench.feed(.exited(pid: 101, .exited(0))).last == .finish)
        }

        // MARK: Delays

        @Test("Delays at the extremes")
        func extremes() {
            typealias Interval = Prefork.Configuration.Recovery.Delays
            let usual = Interval()
            let many = 50_000_000
            #expect((0...4).map(usual.delay) == [0, 100, 200, 400, 800].map { .milliseconds($0) })
            #expect(usual.delay(afterFailures: 9) == .milliseconds(25600))
            #expect(usual.delay(afterFailures: 10) == .seconds(30))
            let longest = Duration.seconds(Int64.max) * 18
            let time = ContinuousClock().measure {
                // A slot that fails a thousand times a second does so within a day.
                #expect(usual.delay(afterFailures: many) == .seconds(30))
                #expect(Interval.constant(.milliseconds(1)).delay(afterFailures: many) == .milliseconds(1))
                #expect(Interval.constant(.zero).delay(afterFailures: many) == .zero)
                #expect(Interval(next: .zero).delay(afterFailures: many) == .zero)
                #expect(Interval(next: .seconds(1), maximum: longest).delay(afterFailures: many) == longest)
            }
            #expect(time < .seconds(1))
            #expect(Interval(first: .seconds(2), maximum: .seconds(1)).delay(afterFailures: 0) == .seconds(1))
            #expect(Interval(next: .seconds(2), maximum: .seconds(1)).delay(afterFailures: 1) == .seconds(1))
        }
    }
}
