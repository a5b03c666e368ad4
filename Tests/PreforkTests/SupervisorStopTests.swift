import Testing

@testable import Prefork

extension SupervisorTests {
    @Suite("Stopping")
    struct Stopping {
        @Test("All children get TERM, then the listeners are closed, and the last exit ends the fleet")
        func order() {
            var bench = Bench.ready(children: 3)
            #expect(
                bench.stop(.signal(15)) == [
                    .report(.stopping(.signal(15), grace: .seconds(5))), .signal(pid: 100, .terminate),
                    .signal(pid: 101, .terminate), .signal(pid: 102, .terminate), .closeListeners,
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

        @Test("The grace period begins when the children are asked, however long the signal has waited to be read")
        func graceOfALateRequest() {
            var bench = Bench.proven { $0.grace = .seconds(5) }
            bench.stop(.signal(15), after: .seconds(8), arrivedAgo: .seconds(6))
            #expect(bench.untilDeadline == .seconds(5))

            // The same holds for the admission, and for a child that is not ready.
            bench = Bench.filled { $0.queueDrain = .seconds(1) }
            bench.feed(.ready(pid: 100))
            bench.wait(.seconds(8))
            bench.stop(.signal(15), arrivedAgo: .seconds(6))
            #expect(bench.untilDeadline == .seconds(1))
            #expect(bench.timer().pids(with: .terminate) == [100])
            #expect(bench.untilDeadline == .seconds(4))
        }

        @Test("A child that is left after the grace period gets KILL, once")
        func grace() {
            var bench = Bench.ready { $0.grace = .seconds(5) }
            bench.stop()
            #expect(bench.untilDeadline == .seconds(5))
            bench.feed(.exited(pid: 100, .exited(0)), after: .seconds(1))
            #expect(bench.feed(.timer, after: .seconds(4) - .nanoseconds(1)).isEmpty)
            #expect(
                bench.timer() == [
                    .report(.killing(slot: 1, pid: 101, .notDrained, after: .seconds(5))), .signal(pid: 101, .kill),
                ]
            )
            #expect(bench.supervisor.nextDeadline == nil)
            #expect(bench.feed(.timer, after: .seconds(60)).isEmpty)
            let end = bench.feed(.exited(pid: 101, .signaled(9, coreDumped: false)))
            #expect(end.consequence == .expected)
            #expect(end.last == .finish)
        }

        @Test("Without a grace period KILL follows at once, but in a batch of its own")
        func noGrace() {
            var bench = Bench.ready(children: 1) { $0.grace = .zero }
            #expect(bench.stop().pids(with: .terminate) == [100])
            #expect(bench.untilDeadline == .zero)
            #expect(bench.feed(.timer).pids(with: .kill) == [100])
        }

        @Test("KILL also has a batch of its own after a child was not ready in time, or after a slow admission")
        func noGraceByTimer() {
            var bench = Bench.filled(children: 1) { $0.grace = .zero }
            let late = bench.timer()
            #expect(late.pids(with: .terminate) == [100])
            #expect(late.pids(with: .kill).isEmpty)
            #expect(bench.timer().pids(with: .kill) == [100])

            bench = Bench.proven {
                $0.grace = .zero
                $0.queueDrain = .seconds(1)
            }
            bench.stop()
            let admission = bench.timer()
            #expect(admission.pids(with: .terminate) == [100, 101])
            #expect(admission.pids(with: .kill).isEmpty)
            #expect(bench.timer().pids(with: .kill) == [100, 101])
        }

        @Test("A grace period without an end does not overflow")
        func endlessGrace() {
            var bench = Bench.proven(children: 1) { $0.grace = .seconds(Int64.max) }
            bench.stop()
            #expect(bench.supervisor.nextDeadline == Instant(nanoseconds: .max))
            #expect(bench.feed(.timer, after: .seconds(1_000_000)).isEmpty)
        }

        @Test("A child that was already asked to exit keeps its earlier end")
        func askedBefore() {
            var bench = Bench.filled {
                $0.readinessTimeout = .seconds(10)
                $0.grace = .seconds(5)
            }
            bench.feed(.ready(pid: 100))
            bench.wait(.seconds(10) - .nanoseconds(1))
            #expect(bench.timer().pids(with: .terminate) == [101])
            #expect(bench.stop(after: .seconds(3)).pids(with: .terminate) == [100])
            #expect(bench.untilDeadline == .seconds(2))
            #expect(bench.timer().pids(with: .kill) == [101])
            #expect(bench.timer().pids(with: .kill) == [100])
        }

        @Test("A child that drains unasked gets TERM like the others, and the same time from then on")
        func draining() {
            var bench = Bench.proven { $0.grace = .seconds(5) }
            bench.feed(.draining(pid: 100, .program))
            bench.replace(slot: 0, by: 200)
            bench.feed(.ready(pid: 200))
            bench.wait(.seconds(4))
            #expect(bench.stop().pids(with: .terminate) == [100, 200, 101])
            #expect(bench.untilDeadline == .seconds(5))
            let kills = bench.timer()
            #expect(kills.pids(with: .kill) == [100, 200, 101])
            #expect(kills.first == .report(.killing(slot: 0, pid: 100, .notDrained, after: .seconds(9))))
            for pid: Int32 in [100, 200, 101] {
                #expect(bench.feed(.exited(pid: pid, .signaled(9, coreDumped: false))).consequence == .expected)
            }
            #expect(bench.supervisor.phase == .finished)
        }

        @Test("A stop only waits for a child that was already killed")
        func killedBefore() {
            var bench = Bench.proven()
            bench.feed(.draining(pid: 100, .program))
            bench.replace(slot: 0, by: 200)
            bench.feed(.ready(pid: 200))
            #expect(bench.wait(.seconds(7)).pids(with: .kill) == [100])
            #expect(bench.stop().pids(with: .terminate) == [200, 101])
            #expect(bench.timer().pids(with: .kill) == [200, 101])
            bench.feed(.exited(pid: 200, .exited(0)))
            #expect(bench.feed(.exited(pid: 101, .exited(0))).last != .finish)
            #expect(bench.feed(.exited(pid: 100, .signaled(9, coreDumped: false))).last == .finish)
        }

        @Test("A slot in back-off gives up its next try, and no child is started")
        func dropsTries() {
            var bench = Bench.proven { $0.delays.first = .seconds(1) }
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.stop()
            #expect(bench.supervisor.slots[0].isEmpty)
            #expect(bench.feed(.timer, after: .seconds(2)).spawns.isEmpty)
            #expect(bench.feed(.exited(pid: 101, .exited(0))).last == .finish)
            #expect(bench.feed(.timer, after: .seconds(2)).isEmpty)
        }

        @Test("A stop without any child ends at once")
        func onlyTries() {
            var bench = Bench.proven(children: 1) { $0.delays.first = .seconds(1) }
            bench.feed(.exited(pid: 100, .exited(1)))
            #expect(bench.stop().last == .finish)
        }

        @Test("Exits of any kind are expected while stopping")
        func expected() {
            var bench = Bench.ready { $0.recovery = .never }
            bench.stop()
            #expect(bench.feed(.exited(pid: 100, .exited(78))).consequence == .expected)
            #expect(bench.feed(.exited(pid: 101, .signaled(11, coreDumped: true))).consequence == .expected)
            #expect(bench.supervisor.failure == nil)
            #expect(bench.supervisor.phase == .finished)
        }

        @Test("After the end nothing happens")
        func afterTheEnd() {
            var bench = Bench.ready(children: 1)
            bench.stop(.signal(15))
            bench.feed(.exited(pid: 100, .exited(0)))
            #expect(bench.stop(.signal(15), after: .seconds(1)).isEmpty)
            #expect(bench.stop(.signal(2), after: .seconds(1)).isEmpty)
            #expect(bench.stop(.signal(2), after: .seconds(1)).isEmpty)
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
            #expect(bench.stop().reports == [.alreadyStopping(.request, remaining: .seconds(5))])
            bench.feed(.exited(pid: 102, .exited(0)))
            guard case .childRefused(let exit) = bench.supervisor.failure?.payload else {
                Issue.record("\(String(describing: bench.supervisor.failure))")
                return
            }
            #expect(exit.pid == 100)
        }

        @Test("An orderly stop stays orderly, even if something fails after it")
        func orderly() {
            var bench = Bench.ready()
            bench.stop()
            bench.feed(.fail(description: "no"))
            bench.feed(.exited(pid: 100, .exited(78)))
            #expect(bench.supervisor.failure == nil)
        }

        @Test("A hook's failure stops the fleet and is reported as the reason")
        func hookFailure() {
            var bench = Bench.ready()
            let actions = bench.feed(.fail(description: "a hook failed: no"))
            #expect(actions.first == .report(.stopping(.failure("a hook failed: no"), grace: .seconds(5))))
            #expect(actions.pids(with: .terminate) == [100, 101])
            #expect(actions.last == .closeListeners)
        }
    }

    @Suite("Asked to stop again")
    struct AskedAgain {
        private static let interrupt = Prefork.StopReason.signal(2)
        private static let terminate = Prefork.StopReason.signal(15)

        @Test("Any number of TERMs and requests is one request, and each event reports how much time is left")
        func idempotent() {
            var bench = Bench.proven { $0.grace = .seconds(5) }
            bench.stop(Self.terminate)
            for (second, reason) in [Self.terminate, .request, Self.terminate, .request].enumerated() {
                #expect(
                    bench.stop(reason, after: .seconds(1)) == [
                        .report(.alreadyStopping(reason, remaining: .seconds(4 - second)))
                    ]
                )
            }
            #expect(bench.timer().pids(with: .kill) == [100, 101])
            #expect(
                bench.stop(Self.terminate, after: .seconds(1)).reports == [
                    .alreadyStopping(Self.terminate, remaining: .zero)
                ]
            )
        }

        @Test("A second INT after a second kills at once, and the event reports how long the drain has lasted")
        func secondInterrupt() {
            var bench = Bench.proven()
            bench.stop(Self.interrupt)
            bench.feed(.exited(pid: 100, .exited(0)), after: .milliseconds(300))
            #expect(
                bench.stop(Self.interrupt, after: .milliseconds(700)) == [
                    .report(.killing(slot: 1, pid: 101, .secondInterrupt, after: .seconds(1))),
                    .signal(pid: 101, .kill),
                ]
            )
            #expect(bench.supervisor.nextDeadline == nil)
            #expect(bench.stop(Self.interrupt, after: .seconds(1)).isEmpty)
            #expect(bench.feed(.exited(pid: 101, .signaled(9, coreDumped: false))).last == .finish)
        }

        @Test("A held Ctrl-C is one request")
        func held() {
            var bench = Bench.proven()
            bench.stop(Self.interrupt)
            for _ in 0..<30 {
                let actions = bench.stop(Self.interrupt, after: .milliseconds(33))
                #expect(actions.pids(with: .kill).isEmpty)
                #expect(actions.reports.count == 1)
            }
            #expect(bench.stop(Self.interrupt, after: .milliseconds(10)).pids(with: .kill) == [100, 101])
        }

        @Test("Two INTs are distinguished by the times of their arrival, not by the times at which they are read")
        func arrival() {
            var bench = Bench.proven()
            bench.stop(Self.interrupt, arrivedAgo: .seconds(1))
            let early = bench.stop(Self.interrupt, after: .seconds(1), arrivedAgo: .milliseconds(1001))
            #expect(early.pids(with: .kill).isEmpty)
            let late = bench.stop(Self.interrupt, after: .seconds(1), arrivedAgo: .seconds(2))
            #expect(late.pids(with: .kill) == [100, 101])
        }

        @Test("An INT after a TERM or a request counts as first", arguments: [Prefork.StopReason.signal(15), .request])
        func afterOther(reason: Prefork.StopReason) {
            var bench = Bench.proven()
            bench.stop(reason)
            #expect(bench.stop(Self.interrupt, after: .seconds(2)).pids(with: .kill).isEmpty)
            #expect(bench.stop(reason, after: .seconds(1)).pids(with: .kill).isEmpty)
            #expect(bench.stop(Self.interrupt, after: .milliseconds(1)).pids(with: .kill) == [100, 101])
        }
    }
}
