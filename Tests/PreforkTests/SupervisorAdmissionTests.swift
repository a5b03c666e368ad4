import Testing

@testable import Prefork

extension SupervisorTests {
    /// Slots 0 and 1 ready, 2 and 3 starting. A stop waits for the queues for up to a second.
    private static func half(_ change: (inout Supervisor.Rules) -> Void = { _ in }) -> Bench {
        var bench = Bench.filled(children: 4) { rules in
            rules.queueDrain = .seconds(1)
            change(&rules)
        }
        bench.feed(.ready(pid: 100))
        bench.feed(.ready(pid: 101))
        return bench
    }

    @Suite("Rotation")
    struct Rotation {
        @Test("All slots are in rotation while no child is ready")
        func nobody() {
            var bench = Bench.filled(children: 3)
            #expect(bench.supervisor.rotation == [0, 1, 2])
            #expect(bench.feed(.ready(pid: 101)).first == .rotate(slots: [1]))
            let exit = bench.feed(.exited(pid: 101, .exited(1)))
            #expect(exit.first == .rotate(slots: [0, 1, 2]))
            #expect(bench.supervisor.rotation == [0, 1, 2])
        }

        @Test("Each change is made once, in order, before all other actions")
        func changes() {
            var bench = Bench.filled(children: 3)
            #expect(bench.feed(.ready(pid: 102)).rotation == [2])
            #expect(bench.feed(.ready(pid: 100)).rotation == [0, 2])
            #expect(bench.feed(.ready(pid: 100)).rotation == nil)
            #expect(bench.feed(.ready(pid: 101)).rotation == [0, 1, 2])
            let exit = bench.feed(.exited(pid: 100, .exited(1)))
            #expect(exit.first == .rotate(slots: [1, 2]))
            bench.replace(slot: 0, by: 200)
            #expect(bench.supervisor.rotation == [1, 2])
            #expect(bench.feed(.ready(pid: 200)).rotation == [0, 1, 2])
        }

        @Test("The exit of a child that was never ready changes nothing")
        func neverReady() {
            var bench = Bench.filled(children: 2)
            bench.feed(.ready(pid: 100))
            #expect(bench.feed(.exited(pid: 101, .exited(1))).rotation == nil)
            #expect(bench.timer().rotation == nil)
            #expect(bench.feed(.spawned(slot: 1, pid: 200)).rotation == nil)
            #expect(bench.supervisor.rotation == [0])
        }

        @Test("The rotation does not change after a stop has begun")
        func stop() {
            var bench = half()
            #expect(bench.stop().rotation == nil)
            #expect(bench.feed(.draining(pid: 101, .program)).rotation == nil)
            #expect(bench.feed(.exited(pid: 100, .exited(0))).rotation == nil)
            #expect(bench.supervisor.rotation == [0, 1])
        }
    }

    @Suite("The admission")
    struct Admission {
        private let both: [Supervisor.Action] = [
            .signal(pid: 100, .terminate), .signal(pid: 101, .terminate), .closeListeners,
        ]

        @Test("Children that are not ready get TERM at once, and the others when nothing is queued any more")
        func order() {
            var bench = half { $0.grace = .seconds(5) }
            #expect(
                bench.stop(.signal(15)) == [
                    .report(.stopping(.signal(15), grace: .seconds(5))), .signal(pid: 102, .terminate),
                    .signal(pid: 103, .terminate), .closeAdmission,
                ]
            )
            #expect(bench.supervisor.isStopping)
            #expect(bench.untilDeadline == .seconds(1))
            #expect(bench.feed(.admissionClosed, after: .milliseconds(10)) == both)
            // Their time begins now. The time of the others has begun before.
            #expect(bench.untilDeadline == .milliseconds(4990))
            #expect(bench.feed(.admissionClosed).isEmpty)
            #expect(bench.timer().pids(with: .kill) == [102, 103])
            #expect(bench.untilDeadline == .milliseconds(10))
        }

        @Test("A stop waits until queueDrain is over for queues that do not become empty")
        func deadline() {
            var bench = half()
            bench.stop()
            #expect(bench.feed(.timer, after: .seconds(1) - .nanoseconds(1)).isEmpty)
            #expect(bench.timer() == both)
            #expect(bench.feed(.admissionClosed).isEmpty)
        }

        @Test("If the last child that could accept is gone, there is nothing to wait for")
        func deserted() {
            var bench = half()
            bench.stop()
            #expect(bench.feed(.exited(pid: 100, .exited(0))).count == 1)
            #expect(bench.feed(.exited(pid: 101, .exited(0))).last == .closeListeners)
            #expect(bench.supervisor.phase == .stopping)
            #expect(bench.feed(.exited(pid: 102, .exited(0))).last != .finish)
            #expect(bench.feed(.exited(pid: 103, .exited(0))).last == .finish)
        }

        @Test("A stop does not wait for children that drain by themselves, because they no longer accept")
        func draining() {
            var bench = half()
            bench.stop()
            #expect(
                bench.feed(.draining(pid: 100, .program)) == [.report(.draining(slot: 0, pid: 100, .program))]
            )
            #expect(
                bench.feed(.draining(pid: 101, .program)) == [
                    .report(.draining(slot: 1, pid: 101, .program))
                ] + both
            )
        }

        @Test("If no child is ready, or waiting is off, a stop takes one step", arguments: [true, false])
        func oneStep(isReady: Bool) {
            var bench = isReady ? Bench.ready { $0.queueDrain = .zero } : Bench.filled { $0.queueDrain = .seconds(1) }
            #expect(bench.stop() == [.report(.stopping(.request, grace: .seconds(5)))] + both)
        }

        @Test("A second INT does not wait, and the children are asked and killed in one batch")
        func secondInterrupt() {
            var bench = half { $0.queueDrain = .seconds(10) }
            bench.stop(.signal(2))
            let actions = bench.stop(.signal(2), after: .seconds(1))
            #expect(Array(actions.prefix(3)) == both)
            #expect(actions.pids(with: .kill) == [100, 101, 102, 103])
            let kills = actions.reports.map { report -> Duration? in
                report.killReason == .secondInterrupt ? report.duration : nil
            }
            #expect(kills == [.zero, .zero, .seconds(1), .seconds(1)])
        }

        @Test("A second TERM, a request, a hook's failure and a held Ctrl-C do not shorten the wait")
        func patience() {
            var bench = half { $0.grace = .seconds(5) }
            bench.stop(.signal(15))
            for reason: Prefork.StopReason in [.signal(15), .request, .signal(2), .signal(2)] {
                #expect(
                    bench.stop(reason, after: .milliseconds(100)) == [
                        .report(.alreadyStopping(reason, remaining: bench.remaining))
                    ]
                )
            }
            #expect(bench.feed(.fail(description: "late")).isEmpty)
            #expect(bench.untilDeadline == .milliseconds(600))
        }

        @Test("A fleet that gives up lets its healthy children finish, too")
        func failure() {
            var bench = half { $0.recovery = .never }
            let actions = bench.feed(.exited(pid: 102, .exited(1)))
            #expect(actions.pids(with: .terminate) == [103])
            #expect(actions.last == .closeAdmission)
            #expect(bench.feed(.admissionClosed) == both)
        }

        @Test("An admissionClosed without a stop is ignored")
        func stray() {
            var bench = half()
            #expect(bench.feed(.admissionClosed).isEmpty)
            #expect(!bench.supervisor.isStopping)
        }

        @Test("A child that was asked to exit can no longer become ready")
        func lateReady() {
            var bench = half()
            bench.stop()
            #expect(bench.feed(.ready(pid: 102)).isEmpty)
            #expect(bench.supervisor.acceptingSlots == [0, 1])
        }
    }
}

extension Bench {
    /// The time that the log must report for the children, which is the rest of the admission and the grace period.
    fileprivate var remaining: Duration { (untilDeadline ?? .zero) + .seconds(5) }
}
