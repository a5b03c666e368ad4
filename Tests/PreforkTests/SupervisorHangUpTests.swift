import Testing

@testable import Prefork

extension SupervisorTests {
    @Suite("Channels that hang up")
    struct HangUp {
        @Test("The child leaves rotation at once, and its exit within 100 ms is judged as usual")
        func exit() {
            var bench = Bench.proven()
            #expect(bench.feed(.hungUp(pid: 100)) == [.rotate(slots: [1])])
            #expect(bench.untilDeadline == .milliseconds(100))
            #expect(bench.feed(.timer, after: .milliseconds(100) - .nanoseconds(1)).isEmpty)
            let actions = bench.feed(.exited(pid: 100, .signaled(11, coreDumped: false)))
            #expect(actions.count == 1)
            #expect(actions.consequence == .recovering(after: .zero))
            #expect(bench.timer().spawns == [0])
        }

        @Test("A crash is judged by the time that the child had served, not by the hang-up")
        func judged() {
            var bench = Bench.ready(children: 1)
            bench.feed(.hungUp(pid: 100), after: .milliseconds(950))
            // It would be up by now if it still served.
            bench.feed(.exited(pid: 100, .exited(1)), after: .milliseconds(60))
            #expect(!bench.supervisor.hasBeenUp)
            #expect(bench.supervisor.startFailures.count == 1)
        }

        @Test("A child that lives on gets a replacement beside it after 100 ms, and is killed after its grace period")
        func livesOn() {
            var bench = Bench.proven { $0.grace = .seconds(5) }
            bench.feed(.hungUp(pid: 100))
            #expect(
                bench.timer() == [
                    .report(.draining(slot: 0, pid: 100, .closedChannel)),
                    .spawn(slot: 0, launch: 1, printsBacktrace: true),
                ]
            )
            #expect(bench.now == Bench.begin + .milliseconds(1100))
            bench.feed(.spawned(slot: 0, pid: 200))
            #expect(bench.feed(.ready(pid: 200)).rotation == [0, 1])
            #expect(bench.outgoing(0) == [100])
            #expect(bench.wait(.seconds(7) - .nanoseconds(1)).isEmpty)
            #expect(bench.timer().pids(with: .kill) == [100])
            #expect(bench.feed(.exited(pid: 100, .signaled(9, coreDumped: false))).consequence == .replaced)
        }

        @Test("A second hang-up, or a message after it, changes nothing")
        func twice() {
            var bench = Bench.proven()
            bench.feed(.hungUp(pid: 100))
            #expect(bench.feed(.hungUp(pid: 100), after: .milliseconds(50)).isEmpty)
            #expect(bench.feed(.draining(pid: 100, .program)).isEmpty)
            #expect(bench.untilDeadline == .milliseconds(50))
        }

        @Test("The hang-up of a child that drains changes nothing")
        func afterDrain() {
            var bench = Bench.proven()
            bench.feed(.draining(pid: 100, .program))
            bench.replace(slot: 0, by: 200)
            #expect(bench.feed(.hungUp(pid: 100)).isEmpty)
            #expect(bench.untilDeadline == .seconds(7))
        }

        @Test("If the only child hangs up, all slots stay in rotation and connections wait for its replacement")
        func only() {
            var bench = Bench.ready()
            #expect(bench.feed(.exited(pid: 101, .exited(1))).rotation == [0])
            #expect(bench.feed(.hungUp(pid: 100)).rotation == [0, 1])
        }

        @Test("A starting child that hangs up is asked to exit after 100 ms, because it can no longer become ready")
        func starting() {
            var bench = Bench.filled { $0.readinessTimeout = .seconds(60) }
            #expect(bench.feed(.hungUp(pid: 100), after: .seconds(1)).isEmpty)
            #expect(bench.untilDeadline == .milliseconds(100))
            #expect(
                bench.timer() == [
                    .report(.notReady(slot: 0, pid: 100, after: .milliseconds(1100))), .signal(pid: 100, .terminate),
                ]
            )
            // It still runs, so it is not replaced yet.
            #expect(bench.untilDeadline == .seconds(5))
            #expect(bench.timer().pids(with: .kill) == [100])
            let exit = bench.feed(.exited(pid: 100, .signaled(9, coreDumped: false)))
            #expect(exit.consequence == .recovering(after: .zero))
            #expect(bench.supervisor.slots[0].failures == 1)
        }

        @Test("A starting child that hangs up and exits has failed its start")
        func startingExits() {
            var bench = Bench.filled()
            bench.feed(.hungUp(pid: 100))
            let exit = bench.feed(.exited(pid: 100, .exited(1)), after: .milliseconds(5))
            #expect(exit.consequence == .recovering(after: .zero))
            #expect(exit.exit?.wasReady == false)
            #expect(bench.supervisor.slots[0].failures == 1)
        }

        @Test("Without recovery a child that lives on is reported, but not replaced")
        func never() {
            var bench = Bench.proven { $0.recovery = .never }
            bench.feed(.hungUp(pid: 100))
            #expect(bench.timer() == [.report(.draining(slot: 0, pid: 100, .closedChannel))])
            #expect(bench.untilDeadline == .seconds(7), "the grace period and two seconds, then it is killed")
            #expect(bench.feed(.exited(pid: 100, .exited(0))).consequence == .givingUp)
        }

        @Test("After a suspension, the exit gets its whole time again")
        func suspended() {
            var bench = Bench.proven()
            bench.feed(.hungUp(pid: 100))
            #expect(bench.timer(late: .seconds(10)) == [.report(.suspended(.seconds(10)))])
            #expect(bench.untilDeadline == .milliseconds(100))
            #expect(bench.timer().reports == [.draining(slot: 0, pid: 100, .closedChannel)])
        }

        @Test("At a stop, a child that has hung up is waited for no longer than the others")
        func stop() {
            var bench = Bench.proven { $0.queueDrain = .seconds(1) }
            bench.feed(.hungUp(pid: 100))
            #expect(bench.stop().last == .closeAdmission)
            #expect(bench.timer() == [.report(.draining(slot: 0, pid: 100, .closedChannel))])
            // It is the last one that accepts.
            #expect(bench.feed(.hungUp(pid: 101)).pids(with: .terminate) == [100, 101])
        }
    }
}
