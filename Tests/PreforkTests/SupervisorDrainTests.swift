import Testing

@testable import Prefork

extension SupervisorTests {
    @Suite("Unasked drains")
    struct UnrequestedDrain {
        private static let stranger = Prefork.DrainOrigin.signal(sender: 4711, user: 1000)

        @Test("The child leaves rotation first, and its replacement is started beside it and takes its place")
        func order() {
            var bench = Bench.proven(children: 3)
            #expect(
                bench.feed(.draining(pid: 101, Self.stranger)) == [
                    .rotate(slots: [0, 2]), .report(.draining(slot: 1, pid: 101, Self.stranger)),
                ]
            )
            #expect(bench.current(1) == nil)
            #expect(bench.outgoing(1) == [101])
            #expect(bench.untilDeadline == .zero)
            #expect(bench.feed(.timer) == [.spawn(slot: 1, launch: 1, printsBacktrace: true)])
            #expect(
                bench.feed(.spawned(slot: 1, pid: 201)) == [
                    .report(.spawned(slot: 1, pid: 201, replaces: 101)), .announce(pid: 201, replaces: 101),
                ]
            )
            let ready = bench.feed(.ready(pid: 201), after: .milliseconds(30))
            #expect(ready.rotation == [0, 1, 2])
            // Both generations are there, and the old one has been sent nothing.
            #expect(bench.supervisor.slots[1].children.map(\.pid) == [201, 101])
            #expect(bench.wait(.seconds(3)).isEmpty)
            let exit = bench.feed(.exited(pid: 101, .exited(0)))
            #expect(exit.count == 1)
            #expect(exit.consequence == .replaced)
            #expect(exit.exit?.wasReady == true)
            #expect(bench.supervisor.slots[1].lastExit == exit.exit)
            #expect(bench.current(1)?.pid == 201)
            #expect(bench.outgoing(1).isEmpty)
        }

        @Test("The exit of a child that was already replaced starts nothing, however it ends, even with a fatal status")
        func exitStartsNothing() {
            for status: WaitStatus in [.exited(0), .exited(1), .exited(78), .signaled(11, coreDumped: true), .lost] {
                var bench = Bench.proven()
                bench.feed(.draining(pid: 100, .program))
                bench.replace(slot: 0, by: 200)
                #expect(bench.feed(.exited(pid: 100, status)).consequence == .replaced)
                #expect(bench.timer().spawns.isEmpty)
                #expect(!bench.supervisor.isStopping)
            }
        }

        @Test("The exit of the old child does not affect a replacement that is not ready yet")
        func exitBeforeReplacement() {
            var bench = Bench.proven { $0.delays = .constant(.seconds(3)) }
            bench.feed(.draining(pid: 100, .program))
            #expect(bench.untilTry(0) == .seconds(3))
            #expect(bench.feed(.exited(pid: 100, .exited(0)), after: .seconds(1)).consequence == .replaced)
            #expect(bench.untilTry(0) == .seconds(2))
            bench.replace(slot: 0, by: 200)
            #expect(bench.current(0)?.pid == 200)
        }

        @Test("A replacement that fails is judged like any other child, while the old one drains on")
        func replacementFails() {
            var bench = Bench.proven()
            bench.feed(.draining(pid: 100, .program))
            bench.replace(slot: 0, by: 200)
            #expect(bench.feed(.exited(pid: 200, .exited(1))).consequence == .recovering(after: .zero))
            #expect(bench.outgoing(0) == [100])
            bench.replace(slot: 0, by: 201)
            #expect(
                bench.feed(.exited(pid: 201, .exited(1))).consequence == .recovering(after: .milliseconds(100))
            )
        }

        @Test("A second message, or one after the request to exit, changes nothing")
        func twice() {
            var bench = Bench.proven()
            bench.feed(.draining(pid: 100, Self.stranger))
            #expect(bench.feed(.draining(pid: 100, .program)).isEmpty)
            bench.stop()
            #expect(bench.feed(.draining(pid: 101, .program)).isEmpty)
        }

        @Test("A child that does not end by itself is killed two seconds after its grace period")
        func killed() {
            var bench = Bench.proven { $0.grace = .seconds(5) }
            bench.feed(.draining(pid: 100, .program))
            bench.replace(slot: 0, by: 200)
            bench.feed(.ready(pid: 200))
            #expect(bench.wait(.seconds(7) - .nanoseconds(1)).isEmpty)
            #expect(
                bench.timer() == [
                    .report(.killing(slot: 0, pid: 100, .notDrained, after: .seconds(7))), .signal(pid: 100, .kill),
                ]
            )
            #expect(bench.supervisor.nextDeadline == nil)
        }

        @Test("At most one child of a slot is replaced during its drain, and the next one after its exit")
        func onePerCause() {
            var bench = Bench.proven()
            bench.feed(.draining(pid: 100, .program))
            bench.replace(slot: 0, by: 200)
            bench.feed(.ready(pid: 200))
            #expect(
                bench.feed(.draining(pid: 200, .program)) == [
                    .rotate(slots: [1]), .report(.draining(slot: 0, pid: 200, .program)),
                ]
            )
            #expect(bench.outgoing(0) == [100, 200])
            #expect(bench.current(0) == nil)
            #expect(bench.supervisor.slots[0].nextTry == nil)
            #expect(bench.feed(.exited(pid: 200, .exited(0))).consequence == .recovering(after: .zero))
            bench.replace(slot: 0, by: 201)
            #expect(bench.outgoing(0) == [100])
        }

        @Test("Children of several slots drain at the same time, and all are replaced")
        func several() {
            var bench = Bench.proven(children: 3)
            for pid: Int32 in 100..<103 { bench.feed(.draining(pid: pid, Self.stranger)) }
            // No child accepts, so connections wait in all slots.
            #expect(bench.supervisor.rotation == [0, 1, 2])
            for slot in 0..<3 { bench.replace(slot: slot, by: 200 + Int32(slot)) }
            #expect(bench.feed(.ready(pid: 201)).rotation == [1])
            #expect(bench.supervisor.slots.flatMap(\.children).count == 6)
        }

        @Test("A child that drains early in its life is judged as if it had crashed")
        func early() {
            var bench = Bench.ready(children: 1)
            bench.feed(.draining(pid: 100, .program))
            #expect(bench.supervisor.startFailures.count == 1)
            bench.replace(slot: 0, by: 101)
            bench.feed(.ready(pid: 101))
            bench.feed(.draining(pid: 101, .program))
            // The first one has not exited yet, so this exit decides.
            #expect(
                bench.feed(.exited(pid: 101, .exited(0))).consequence == .recovering(after: .milliseconds(100))
            )
        }

        @Test("While slots are filled, a replacement waits until all slots had their first try")
        func whileFilling() {
            var bench = Bench(children: 2)
            bench.feed(.timer)
            bench.feed(.spawned(slot: 0, pid: 100))
            bench.feed(.ready(pid: 100))
            #expect(bench.feed(.draining(pid: 100, .program)).rotation == [0, 1])
            #expect(bench.feed(.timer).spawns == [1])
            #expect(bench.feed(.spawned(slot: 1, pid: 101)).last == .announceMaster(pids: [101]))
            #expect(bench.feed(.timer).spawns == [0])
        }

        @Test("A fleet that was never up gives up after drains, too")
        func givesUp() {
            var bench = Bench.filled(children: 1) { $0.delays = .constant(.seconds(4)) }
            for pid: Int32 in 100..<105 {
                #expect(bench.feed(.exited(pid: pid, .exited(1))).consequence == .recovering(after: .seconds(4)))
                bench.replace(slot: 0, by: pid + 1)
            }
            bench.feed(.ready(pid: 105))
            bench.feed(.draining(pid: 105, .program))
            #expect(bench.supervisor.isStopping)
            #expect(bench.supervisor.failure.overRecovery?.count == 5)
            #expect(bench.feed(.exited(pid: 105, .exited(0))).last == .finish)
        }

        // MARK: Starting children

        @Test("A child that drains before it is ready gets no replacement beside it, and its exit decides")
        func starting() {
            var bench = Bench.filled()
            #expect(
                bench.feed(.draining(pid: 100, Self.stranger)) == [
                    .report(.draining(slot: 0, pid: 100, Self.stranger))
                ]
            )
            #expect(bench.current(0)?.pid == 100)
            #expect(bench.timer().pids(with: .terminate) == [100, 101])
            #expect(bench.feed(.exited(pid: 100, .exited(0))).consequence == .recovering(after: .zero))
            #expect(bench.supervisor.slots[0].failures == 1)
        }

        @Test("A child that says that it is ready after it has begun to drain gets no connections and is replaced")
        func readyTooLate() {
            var bench = Bench.filled()
            bench.feed(.draining(pid: 100, Self.stranger))
            #expect(
                bench.feed(.ready(pid: 100)) == [.report(.ready(slot: 0, pid: 100, after: .zero))]
            )
            #expect(bench.outgoing(0) == [100])
            #expect(bench.timer().spawns == [0])
        }

        // MARK: Strict modes

        @Test("An unasked drain counts at its exit, even if the child was already replaced")
        func threshold() {
            var bench = Bench.proven { $0.recovery = .upTo(exits: 1) }
            for (pid, next) in [(100, 200), (200, 300)] as [(Int32, Int32)] {
                bench.feed(.draining(pid: pid, .program))
                bench.replace(slot: 0, by: next)
                bench.feed(.ready(pid: next))
                bench.wait(.seconds(1))
                let actions = bench.feed(.exited(pid: pid, .exited(0)))
                #expect(actions.consequence == (pid == 100 ? .replaced : .givingUp))
                #expect(actions.pids(with: .terminate) == (pid == 100 ? [] : [300, 101]))
            }
            #expect(bench.supervisor.failure.overRecovery == [100, 200])
        }

        @Test("Without recovery the child is not replaced, and its exit ends the fleet")
        func never() {
            var bench = Bench.proven { $0.recovery = .never }
            #expect(bench.feed(.draining(pid: 100, .program)).rotation == [1])
            #expect(bench.timer().spawns.isEmpty)
            #expect(!bench.supervisor.isStopping)
            #expect(bench.feed(.exited(pid: 100, .exited(0))).consequence == .givingUp)
        }

        @Test("A drain uses up one recovery of its slot, and the exit ends the fleet if none is left")
        func limit() {
            var bench = Bench.proven { $0.limitPerSlot = 1 }
            bench.feed(.draining(pid: 100, .program))
            bench.replace(slot: 0, by: 200)
            bench.feed(.ready(pid: 200))
            bench.feed(.exited(pid: 100, .exited(0)))
            #expect(bench.feed(.draining(pid: 200, .program)).rotation == [1])
            #expect(bench.timer().spawns.isEmpty)
            #expect(bench.feed(.exited(pid: 200, .exited(0))).consequence == .givingUp)
        }
    }
}
