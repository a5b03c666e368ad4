import Testing

@testable import Prefork

extension SupervisorTests {
    /// When a fleet ends because of its children's exits.
    @Suite("Giving up")
    struct GivingUp {
        /// Lets the children of all slots exit until the fleet gives up, at most `most` times.
        /// - Returns: how many exits there were, and how long it took. `nil` if the fleet did not give up.
        private static func giveUp(_ bench: inout Bench, most: Int) -> (exits: Int, time: Duration)? {
            let begin = bench.now
            var pid: Int32 = 1000
            for exits in 1...most {
                guard let slot = bench.supervisor.slots.firstIndex(where: { $0.current != nil }),
                    let child = bench.current(slot)?.pid
                else { return nil }
                let actions = bench.feed(.exited(pid: child, .exited(1)))
                if actions.consequence == .givingUp { return (exits, bench.now - begin) }
                pid += 1
                bench.replace(slot: slot, by: pid)
            }
            return nil
        }

        @Test("A fleet that was never up gives up, but not before 15 seconds have passed")
        func time() {
            // 0, 0.1, 0.3, … 12.7 s: the tenth try is not left for 25.5 s.
            var bench = Bench.filled(children: 1)
            let end = Self.giveUp(&bench, most: 100)
            #expect(end?.time == .seconds(15))
            #expect(end?.exits == 10)
            #expect(bench.supervisor.failure.overRecovery?.count == 10)
        }

        @Test("A fleet that was never up survives 5 failed starts for each child, however long it takes")
        func count() {
            var bench = Bench.filled(children: 1) { $0.delays = .constant(.seconds(10)) }
            let end = Self.giveUp(&bench, most: 100)
            #expect(end?.exits == 6)
            #expect(end?.time == .seconds(50))
            bench = Bench.filled(children: 3) { $0.delays = .constant(.seconds(10)) }
            #expect(Self.giveUp(&bench, most: 100)?.exits == 16)
        }

        @Test("Starts that fail and children that were not ready in time count, too")
        func kinds() {
            var bench = Bench(children: 1)
            for _ in 0..<9 {
                #expect(bench.timer().spawns == [0])
                #expect(bench.feed(.spawnFailed(slot: 0, .noProgram)).consequence != .givingUp)
            }
            bench.timer()
            #expect(bench.feed(.spawnFailed(slot: 0, .noProgram)).consequence == .givingUp)

            bench = Bench.filled(children: 1)
            for pid: Int32 in 100..<105 {
                #expect(bench.timer().pids(with: .terminate) == [pid])
                #expect(bench.feed(.exited(pid: pid, .exited(0))).consequence != .givingUp)
                bench.replace(slot: 0, by: pid + 1)
            }
            bench.timer()
            #expect(bench.feed(.exited(pid: 105, .exited(0))).consequence == .givingUp)
        }

        @Test("Children that were ready, but never up, count as failed starts")
        func neverUp() {
            var bench = Bench.filled(children: 1)
            var exits = 0
            for pid: Int32 in 100..<200 {
                bench.feed(.ready(pid: pid), after: .milliseconds(500))
                exits += 1
                if bench.feed(.exited(pid: pid, .exited(1))).consequence == .givingUp { break }
                bench.replace(slot: 0, by: pid + 1)
            }
            #expect(exits == 9)
            #expect(bench.supervisor.isStopping)
        }

        @Test("Once any child was up, the fleet never gives up")
        func onceUp() {
            var bench = Bench.filled()
            bench.feed(.ready(pid: 101))
            bench.wait(.seconds(1))
            bench.feed(.exited(pid: 101, .exited(1)))
            bench.replace(slot: 1, by: 900)
            #expect(Self.giveUp(&bench, most: 1000) == nil)
            #expect(!bench.supervisor.isStopping)
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
            #expect(bench.supervisor.failure.overRecovery == Array(109...140))
        }

        // MARK: Strict modes

        @Test("More exits than the threshold end the fleet, even if other children serve")
        func threshold() {
            var bench = Bench.proven(children: 4) { $0.recovery = .upTo(exits: 2) }
            #expect(bench.feed(.exited(pid: 100, .exited(1))).consequence == .recovering(after: .zero))
            #expect(bench.feed(.exited(pid: 101, .exited(0))).consequence == .recovering(after: .zero))
            let actions = bench.feed(.exited(pid: 102, .exited(1)))
            #expect(actions.consequence == .givingUp)
            #expect(actions.pids(with: .terminate) == [103])
            #expect(bench.supervisor.failure.overRecovery == [100, 101, 102])
        }

        @Test("An exit that is older than the window does not count")
        func window() {
            func third(after delay: Duration) -> Prefork.Event.Consequence? {
                var bench = Bench.proven(children: 3) {
                    $0.recovery = .upTo(exits: 2)
                    $0.window = .seconds(60)
                    $0.delays = .constant(.seconds(100))
                    $0.readinessTimeout = .seconds(1000)
                }
                bench.feed(.exited(pid: 100, .exited(1)))
                bench.feed(.exited(pid: 101, .exited(1)), after: .seconds(1))
                return bench.feed(.exited(pid: 102, .exited(1)), after: delay).consequence
            }
            #expect(third(after: .seconds(59)) == .givingUp)
            #expect(third(after: .seconds(59) + .nanoseconds(1)) == .recovering(after: .seconds(100)))
        }

        @Test("Without a window all exits of the fleet's life count")
        func wholeLife() {
            var bench = Bench.proven(children: 3) {
                $0.recovery = .upTo(exits: 2)
                $0.window = nil
            }
            for pid: Int32 in [100, 101] {
                bench.feed(.exited(pid: pid, .exited(1)))
                bench.replace(slot: Int(pid) - 100, by: pid + 100)
                bench.feed(.ready(pid: pid + 100))
                bench.wait(.seconds(1_000_000))
            }
            #expect(bench.feed(.exited(pid: 102, .exited(1))).consequence == .givingUp)
        }

        @Test("The limit for each slot ends the fleet", arguments: [0, 1, 3])
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
                #expect(bench.feed(.exited(pid: pid, .exited(1))).consequence != .givingUp)
                pid += 200
                bench.replace(slot: 0, by: pid)
            }
            #expect(bench.feed(.exited(pid: pid, .exited(1))).consequence == .givingUp)
            #expect(bench.supervisor.failure.overRecovery != nil)
        }

        @Test("Without recovery the first exit ends the fleet with its reason")
        func never() {
            var bench = Bench.proven { $0.recovery = .never }
            let actions = bench.feed(.exited(pid: 101, .exited(0)))
            #expect(actions.consequence == .givingUp)
            #expect(actions.pids(with: .terminate) == [100])
            guard case .childExited(let exit) = bench.supervisor.failure?.payload else {
                Issue.record("\(String(describing: bench.supervisor.failure))")
                return
            }
            #expect(exit == actions.exit)
        }

        @Test("Unlimited never gives up, and its delays grow")
        func unlimited() {
            var bench = Bench.filled(children: 1) { $0.recovery = .unlimited }
            #expect(Self.giveUp(&bench, most: 200) == nil)
            #expect(!bench.supervisor.isStopping)
            // 0.1 s … 12.8 s, then 25 s each.
            #expect(bench.now - Bench.begin > .seconds(190 * 25))
        }
    }
}
