import Testing

@testable import Prefork

extension SupervisorTests {
    @Suite("A suspended master")
    struct Suspension {
        @Test("Children get their whole time to become ready again, and an event reports the suspension")
        func readiness() {
            var bench = Bench.filled(children: 1) { $0.readinessTimeout = .seconds(60) }
            #expect(bench.timer(late: .seconds(2)) == [.report(.suspended(.seconds(2)))])
            #expect(bench.untilDeadline == .seconds(60))
            #expect(
                bench.timer() == [
                    .report(.notReady(slot: 0, pid: 100, after: .seconds(122))), .signal(pid: 100, .terminate),
                ]
            )
        }

        @Test("The grace period starts again", arguments: [false, true])
        func grace(stops: Bool) {
            var bench = Bench.filled(children: 1) { $0.grace = .seconds(5) }
            if stops { bench.stop() } else { bench.timer() }
            let actions = bench.timer(late: .seconds(3600))
            #expect(actions.suspension == .seconds(3600))
            #expect(actions.pids(with: .kill).isEmpty)
            #expect(bench.untilDeadline == .seconds(5))
            #expect(bench.timer().pids(with: .kill) == [100])
        }

        @Test("A child that drains unasked gets its whole time again")
        func draining() {
            var bench = Bench.proven(children: 1)
            bench.feed(.draining(pid: 100, .program))
            bench.replace(slot: 0, by: 200)
            bench.feed(.ready(pid: 200))
            bench.timer()
            #expect(bench.timer(late: .seconds(10)) == [.report(.suspended(.seconds(10)))])
            #expect(bench.untilDeadline == .seconds(7))
        }

        @Test("Children that accept queued connections get their whole time again")
        func admission() {
            var bench = Bench.ready { $0.queueDrain = .seconds(1) }
            bench.stop()
            let actions = bench.timer(late: .seconds(60))
            #expect(actions == [.report(.suspended(.seconds(60)))])
            #expect(bench.untilDeadline == .seconds(1))
            #expect(bench.timer().pids(with: .terminate) == [100, 101])
        }

        @Test("A delay of a second is not a suspension, but a longer one is")
        func border() {
            var late = Bench.filled(children: 1)
            #expect(late.timer(late: .seconds(1)).pids(with: .terminate) == [100])
            var suspended = Bench.filled(children: 1)
            let actions = suspended.timer(late: .seconds(1) + .nanoseconds(1))
            #expect(actions == [.report(.suspended(.seconds(1) + .nanoseconds(1)))])
        }

        @Test("The first input after a suspension reports it once")
        func anyInput() {
            var bench = Bench.filled(children: 3) { $0.readinessTimeout = .seconds(60) }
            let late = Duration.seconds(70)
            #expect(bench.feed(.ready(pid: 100), after: late).suspension == .seconds(10))
            #expect(bench.feed(.ready(pid: 101)).suspension == nil)
            #expect(bench.feed(.timer).isEmpty)
            bench.wait(.seconds(1))
            #expect(bench.untilDeadline == .seconds(59))
        }

        @Test("A child that may have come up during a suspension must stay alive for the whole time again")
        func settling() {
            var bench = Bench.ready(children: 1)
            #expect(bench.timer(late: .seconds(10)).isEmpty)
            #expect(bench.current(0)?.isUp == false)
            #expect(bench.untilDeadline == .seconds(1))
            bench.feed(.exited(pid: 100, .exited(1)), after: .seconds(1) - .nanoseconds(1))
            #expect(!bench.supervisor.hasBeenUp)
        }

        @Test("A replacement that is due and a child that was already killed have no timer that could start again")
        func nothingToRestart() {
            var bench = Bench.proven { $0.delays.first = .seconds(1) }
            bench.feed(.exited(pid: 100, .exited(1)))
            #expect(bench.timer(late: .seconds(100)) == [.spawn(slot: 0, launch: 1, printsBacktrace: true)])

            bench = Bench.ready(children: 1)
            bench.stop()
            #expect(bench.timer().pids(with: .kill) == [100])
            #expect(bench.feed(.timer, after: .seconds(100)).isEmpty)
        }

        @Test("A late timer for one slot restarts the timers of all others")
        func others() {
            var bench = Bench.filled {
                $0.readinessTimeout = .seconds(60)
                $0.delays.first = .seconds(10)
            }
            bench.feed(.exited(pid: 100, .exited(1)))
            let actions = bench.timer(late: .seconds(49))
            #expect(
                actions == [
                    .report(.suspended(.seconds(49))), .spawn(slot: 0, launch: 1, printsBacktrace: true),
                ]
            )
            bench.feed(.spawned(slot: 0, pid: 200))
            #expect(bench.untilDeadline == .seconds(60))
        }

        @Test("A long sleep with nothing to wait for is not a suspension")
        func idle() {
            var bench = Bench.proven()
            #expect(bench.feed(.exited(pid: 100, .exited(1)), after: .seconds(100_000)).suspension == nil)
        }
    }
}
