import Testing

@testable import Prefork

extension SupervisorTests {
    @Suite("Stopping")
    struct Stopping {
        @Test("All get TERM, then the listeners are closed, and the last exit is the end")
        func order() {
            var bench = Bench.ready(children: 3)
            #expect(
                bench.feed(.stop(.signal(15))) == [
                    .report(.stopping(.signal(15))), .signal(pid: 100, .terminate), .signal(pid: 101, .terminate),
                    .signal(pid: 102, .terminate), .closeListeners,
                ]
            )
            for pid: Int32 in [101, 100] {
                let actions = bench.feed(.exited(pid: pid, .exited(0)))
                #expect(actions.count == 1)
                #expect(actions.consequence == .expected)
            }
            let last = bench.feed(.exited(pid: 102, .exited(0)))
            #expect(last.consequence == .expected)
            #expect(last.suffix(2) == [.report(.stopped), .finish])
            #expect(bench.supervisor.phase == .finished)
            #expect(bench.supervisor.failure == nil)
        }

        @Test("The grace period begins when the children are told, however long the signal has waited to be read")
        func graceOfALateRequest() {
            var bench = Bench.ready { $0.grace = .seconds(5) }
            bench.feed(.stop(.signal(15)), after: .seconds(8), arrivedAgo: .seconds(6))
            #expect(bench.untilDeadline == .seconds(5))
        }

        @Test("Signals are one burst by the moments of their arrival, not of their reading")
        func burstByArrival() {
            var bench = Bench.ready()
            bench.feed(.stop(.signal(15)), arrivedAgo: .seconds(1))
            #expect(bench.feed(.stop(.signal(2)), after: .seconds(1), arrivedAgo: .milliseconds(1901)).isEmpty)
            #expect(bench.feed(.stop(.signal(2)), after: .seconds(1), arrivedAgo: .milliseconds(2900)).count == 4)
        }

        @Test("Who is left after the grace gets KILL, once")
        func grace() {
            var bench = Bench.ready { $0.grace = .seconds(5) }
            bench.feed(.stop(.request))
            #expect(bench.untilDeadline == .seconds(5))
            bench.feed(.exited(pid: 100, .exited(0)), after: .seconds(1))
            #expect(bench.feed(.timer, after: .seconds(4) - .nanoseconds(1)).isEmpty)
            #expect(bench.timer() == [.report(.killing(slot: 1, pid: 101)), .signal(pid: 101, .kill)])
            #expect(bench.supervisor.nextDeadline == nil)
            #expect(bench.feed(.timer, after: .seconds(60)).isEmpty)
            let end = bench.feed(.exited(pid: 101, .signaled(9, coreDumped: false)))
            #expect(end.consequence == .expected)
            #expect(end.last == .finish)
        }

        @Test("Without a grace KILL follows at once")
        func noGrace() {
            var bench = Bench.ready(children: 1) { $0.grace = .zero }
            #expect(bench.feed(.stop(.request)).pids(with: .terminate) == [100])
            #expect(bench.untilDeadline == .zero)
            #expect(bench.feed(.timer).pids(with: .kill) == [100])
        }

        @Test("A grace without an end does not overflow")
        func endlessGrace() {
            var bench = Bench.ready(children: 1) { $0.grace = .seconds(Int64.max) }
            bench.feed(.stop(.request))
            #expect(bench.supervisor.nextDeadline == Instant(nanoseconds: .max))
            #expect(bench.feed(.timer, after: .seconds(1_000_000)).isEmpty)
        }

        @Test("A child that was already told to leave keeps its earlier end")
        func toldBefore() {
            var bench = Bench.filled {
                $0.readinessTimeout = .seconds(10)
                $0.grace = .seconds(5)
            }
            bench.feed(.ready(pid: 100))
            #expect(bench.timer().pids(with: .terminate) == [101])
            #expect(bench.feed(.stop(.request), after: .seconds(3)).pids(with: .terminate) == [100])
            #expect(bench.untilDeadline == .seconds(2))
            #expect(bench.timer().pids(with: .kill) == [101])
            #expect(bench.timer().pids(with: .kill) == [100])
        }

        @Test("What waits for its next try is dropped, and nothing is started any more")
        func dropsWaits() {
            var bench = Bench.ready { $0.interval.first = .seconds(1) }
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.feed(.stop(.request))
            #expect(bench.state(0) == .empty)
            #expect(bench.feed(.timer, after: .seconds(2)).spawns.isEmpty)
            #expect(bench.feed(.exited(pid: 101, .exited(0))).last == .finish)
            #expect(bench.feed(.timer, after: .seconds(2)).isEmpty)
        }

        @Test("A stop with nobody there ends at once")
        func onlyWaits() {
            var bench = Bench.ready(children: 1) { $0.interval.first = .seconds(1) }
            bench.feed(.exited(pid: 100, .exited(1)))
            #expect(bench.feed(.stop(.request)).last == .finish)
        }

        @Test("Exits while stopping are expected, whatever they are")
        func expected() {
            var bench = Bench.ready { $0.recovery = .never }
            bench.feed(.stop(.request))
            #expect(bench.feed(.exited(pid: 100, .exited(78))).consequence == .expected)
            #expect(bench.feed(.exited(pid: 101, .signaled(11, coreDumped: true))).consequence == .expected)
            #expect(bench.supervisor.failure == nil)
            #expect(bench.supervisor.phase == .finished)
        }

        // MARK: Asked again

        @Test("A second signal kills at once")
        func secondSignal() {
            var bench = Bench.ready()
            bench.feed(.stop(.signal(15)))
            #expect(
                bench.feed(.stop(.signal(2)), after: .milliseconds(100)) == [
                    .report(.killing(slot: 0, pid: 100)), .signal(pid: 100, .kill),
                    .report(.killing(slot: 1, pid: 101)), .signal(pid: 101, .kill),
                ]
            )
            #expect(bench.feed(.stop(.signal(2)), after: .seconds(1)).isEmpty)
        }

        @Test("Signals of one burst are one")
        func burst() {
            var bench = Bench.ready()
            bench.feed(.stop(.signal(2)))
            for _ in 0..<3 { #expect(bench.feed(.stop(.signal(2)), after: .milliseconds(33)).isEmpty) }
            #expect(bench.feed(.stop(.signal(2)), after: .milliseconds(1)).pids(with: .kill) == [100, 101])
        }

        @Test("A second request does not kill")
        func secondRequest() {
            var bench = Bench.ready()
            bench.feed(.stop(.signal(15)))
            #expect(bench.feed(.stop(.request), after: .seconds(1)).isEmpty)
            #expect(bench.feed(.stop(.request), after: .seconds(1)).isEmpty)
        }

        @Test("After the end nothing happens")
        func afterTheEnd() {
            var bench = Bench.ready(children: 1)
            bench.feed(.stop(.signal(15)))
            bench.feed(.exited(pid: 100, .exited(0)))
            #expect(bench.feed(.stop(.signal(15)), after: .seconds(1)).isEmpty)
            #expect(bench.feed(.fail(description: "no")).isEmpty)
            #expect(bench.feed(.exited(pid: 100, .exited(0))).isEmpty)
            #expect(bench.feed(.timer).isEmpty)
            #expect(bench.supervisor.nextDeadline == nil)
        }

        // MARK: Failures

        @Test("The first failure is the reason")
        func firstFailure() {
            var bench = Bench.ready(children: 3)
            bench.feed(.exited(pid: 100, .exited(78)))
            #expect(bench.feed(.exited(pid: 101, .exited(78))).consequence == .expected)
            #expect(bench.feed(.fail(description: "no")).isEmpty)
            #expect(bench.feed(.stop(.request)).isEmpty)
            bench.feed(.exited(pid: 102, .exited(0)))
            guard case .childRefused(let exit) = bench.supervisor.failure?.payload else {
                Issue.record("\(String(describing: bench.supervisor.failure))")
                return
            }
            #expect(exit.pid == 100)
        }

        @Test("An orderly stop stays one, whatever fails after it")
        func orderly() {
            var bench = Bench.ready()
            bench.feed(.stop(.request))
            bench.feed(.fail(description: "no"))
            bench.feed(.exited(pid: 100, .exited(78)))
            #expect(bench.supervisor.failure == nil)
        }

        @Test("A hook's failure stops the fleet and says so")
        func hookFailure() {
            var bench = Bench.ready()
            let actions = bench.feed(.fail(description: "a hook failed: no"))
            #expect(actions.first == .report(.stopping(.failure("a hook failed: no"))))
            #expect(actions.pids(with: .terminate) == [100, 101])
            #expect(actions.last == .closeListeners)
        }
    }

    @Suite("A suspended master")
    struct Suspension {
        @Test("Readiness is waited for anew, and it is said")
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

        @Test("The grace begins anew", arguments: [false, true])
        func grace(stops: Bool) {
            var bench = Bench.filled(children: 1) { $0.grace = .seconds(5) }
            if stops { bench.feed(.stop(.request)) } else { bench.timer() }
            let actions = bench.timer(late: .seconds(3600))
            #expect(actions.suspension == .seconds(3600))
            #expect(actions.pids(with: .kill).isEmpty)
            #expect(bench.untilDeadline == .seconds(5))
            #expect(bench.timer().pids(with: .kill) == [100])
        }

        @Test("Those who accept what had come in get their time anew")
        func admission() {
            var bench = Bench.ready { $0.queueDrain = .seconds(1) }
            bench.feed(.stop(.request))
            let actions = bench.timer(late: .seconds(60))
            #expect(actions == [.report(.suspended(.seconds(60)))])
            #expect(bench.untilDeadline == .seconds(1))
            #expect(bench.timer().pids(with: .terminate) == [100, 101])
        }

        @Test("A second late is late; more is a suspension")
        func border() {
            var late = Bench.filled(children: 1)
            #expect(late.timer(late: .seconds(1)).pids(with: .terminate) == [100])
            var suspended = Bench.filled(children: 1)
            let actions = suspended.timer(late: .seconds(1) + .nanoseconds(1))
            #expect(actions == [.report(.suspended(.seconds(1) + .nanoseconds(1)))])
        }

        @Test("Whatever comes first after it says so, once")
        func anyInput() {
            var bench = Bench.filled(children: 3) { $0.readinessTimeout = .seconds(60) }
            let late = Duration.seconds(70)
            #expect(bench.feed(.ready(pid: 100), after: late).suspension == .seconds(10))
            #expect(bench.feed(.ready(pid: 101)).suspension == nil)
            #expect(bench.feed(.timer).isEmpty)
            #expect(bench.untilDeadline == .seconds(60))
        }

        @Test("A replacement that is due, and a child that is killed already, wait for nothing that could begin anew")
        func nothingToRestart() {
            var bench = Bench.ready { $0.interval.first = .seconds(1) }
            bench.feed(.exited(pid: 100, .exited(1)))
            #expect(bench.timer(late: .seconds(100)) == [.spawn(slot: 0, launch: 1)])

            bench = Bench.ready(children: 1)
            bench.feed(.stop(.request))
            #expect(bench.timer().pids(with: .kill) == [100])
            #expect(bench.feed(.timer, after: .seconds(100)).isEmpty)
        }

        @Test("A late timer for one slot lets all others wait anew")
        func others() {
            var bench = Bench.filled {
                $0.readinessTimeout = .seconds(60)
                $0.interval.first = .seconds(10)
            }
            bench.feed(.exited(pid: 100, .exited(1)))
            let actions = bench.timer(late: .seconds(49))
            #expect(actions == [.report(.suspended(.seconds(49))), .spawn(slot: 0, launch: 1)])
            bench.feed(.spawned(slot: 0, pid: 200))
            #expect(bench.untilDeadline == .seconds(60))
        }

        @Test("A long sleep with nothing to wait for is no suspension")
        func idle() {
            var bench = Bench.ready()
            #expect(bench.feed(.exited(pid: 100, .exited(1)), after: .seconds(100_000)).suspension == nil)
        }
    }
}
