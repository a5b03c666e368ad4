import Testing

@testable import Prefork

extension SupervisorTests {
    /// Slots 0 and 1 ready, 2 and 3 starting; a stop waits for the queues for at most a second.
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
        @Test("All slots are in it while no child is ready")
        func nobody() {
            var bench = Bench.filled(children: 3)
            #expect(bench.supervisor.rotation == [0, 1, 2])
            #expect(bench.feed(.ready(pid: 101)).first == .rotate(slots: [1]))
            let exit = bench.feed(.exited(pid: 101, .exited(1)))
            #expect(exit.first == .rotate(slots: [0, 1, 2]))
            #expect(bench.supervisor.rotation == [0, 1, 2])
        }

        @Test("Each change is told once, in order, before everything else")
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

        @Test("A child that was never ready changes nothing by its end")
        func neverReady() {
            var bench = Bench.filled(children: 2)
            bench.feed(.ready(pid: 100))
            #expect(bench.feed(.exited(pid: 101, .exited(1))).rotation == nil)
            #expect(bench.timer().rotation == nil)
            #expect(bench.feed(.spawned(slot: 1, pid: 200)).rotation == nil)
            #expect(bench.supervisor.rotation == [0])
        }

        @Test("From the beginning of a stop on it stays")
        func stop() {
            var bench = half()
            #expect(bench.feed(.stop(.request)).rotation == nil)
            #expect(bench.feed(.exited(pid: 100, .exited(0))).rotation == nil)
            #expect(bench.supervisor.rotation == [0, 1])
        }
    }

    @Suite("The admission")
    struct Admission {
        private let both: [Supervisor.Action] = [
            .signal(pid: 100, .terminate), .signal(pid: 101, .terminate), .closeListeners,
        ]

        @Test("Who is not ready leaves at once; the others when nothing is queued any more")
        func order() {
            var bench = half { $0.grace = .seconds(5) }
            #expect(
                bench.feed(.stop(.signal(15))) == [
                    .report(.stopping(.signal(15))), .signal(pid: 102, .terminate), .signal(pid: 103, .terminate),
                    .closeAdmission,
                ]
            )
            #expect(bench.supervisor.isStopping)
            #expect(bench.untilDeadline == .seconds(1))
            #expect(bench.feed(.admissionClosed, after: .milliseconds(10)) == both)
            // Their time begins now; the others' has begun before.
            #expect(bench.untilDeadline == .milliseconds(4990))
            #expect(bench.feed(.admissionClosed).isEmpty)
            #expect(bench.timer().pids(with: .kill) == [102, 103])
            #expect(bench.untilDeadline == .milliseconds(10))
        }

        @Test("Queues that are not emptied are waited for no longer than that")
        func deadline() {
            var bench = half()
            bench.feed(.stop(.request))
            #expect(bench.feed(.timer, after: .seconds(1) - .nanoseconds(1)).isEmpty)
            #expect(bench.timer() == both)
            #expect(bench.feed(.admissionClosed).isEmpty)
        }

        @Test("The last who could accept is gone: nothing to wait for")
        func deserted() {
            var bench = half()
            bench.feed(.stop(.request))
            #expect(bench.feed(.exited(pid: 100, .exited(0))).count == 1)
            #expect(bench.feed(.exited(pid: 101, .exited(0))).last == .closeListeners)
            #expect(bench.supervisor.phase == .stopping)
            #expect(bench.feed(.exited(pid: 102, .exited(0))).last != .finish)
            #expect(bench.feed(.exited(pid: 103, .exited(0))).last == .finish)
        }

        @Test("Nobody is ready, or nobody is to wait: one step", arguments: [true, false])
        func oneStep(isReady: Bool) {
            var bench = isReady ? Bench.ready { $0.queueDrain = .zero } : Bench.filled { $0.queueDrain = .seconds(1) }
            #expect(bench.feed(.stop(.request)) == [.report(.stopping(.request))] + both)
        }

        @Test("A second signal does not wait")
        func secondSignal() {
            var bench = half()
            bench.feed(.stop(.signal(15)))
            let actions = bench.feed(.stop(.signal(15)), after: .milliseconds(200))
            #expect(actions.pids(with: .terminate) == [100, 101])
            #expect(actions.pids(with: .kill) == [100, 101, 102, 103])
            #expect(actions.contains(.closeListeners))
        }

        @Test("A second request, a hook's failure and a signal of the same burst change nothing")
        func patience() {
            var bench = half()
            bench.feed(.stop(.signal(15)))
            #expect(bench.feed(.stop(.request), after: .milliseconds(200)).isEmpty)
            #expect(bench.feed(.fail(description: "late")).isEmpty)
            #expect(bench.feed(.stop(.signal(2)), arrivedAgo: .milliseconds(150)).isEmpty)
        }

        @Test("A fleet that gives up lets its healthy children finish, too")
        func failure() {
            var bench = half { $0.recovery = .never }
            let actions = bench.feed(.exited(pid: 102, .exited(1)))
            #expect(actions.pids(with: .terminate) == [103])
            #expect(actions.last == .closeAdmission)
            #expect(bench.feed(.admissionClosed) == both)
        }

        @Test("A word that nobody waits for is nothing")
        func stray() {
            var bench = half()
            #expect(bench.feed(.admissionClosed).isEmpty)
            #expect(!bench.supervisor.isStopping)
        }

        @Test("Late words of a child that was told to leave do not make it ready")
        func lateReady() {
            var bench = half()
            bench.feed(.stop(.request))
            #expect(bench.feed(.ready(pid: 102)).isEmpty)
            #expect(bench.supervisor.readySlots == [0, 1])
        }
    }
}
