import Testing

@testable import Prefork

/// How a fleet starts, and when a child counts.
@Suite("Supervisor")
struct SupervisorTests {
    @Suite("Filling")
    struct Filling {
        @Test("Slots are filled in order, one start at a time, and the fleet is announced once")
        func order() {
            var bench = Bench(children: 3)
            #expect(bench.supervisor.nextDeadline == .distantPast)
            for slot in 0..<3 {
                let pid = 100 + Int32(slot)
                #expect(bench.feed(.timer) == [.spawn(slot: slot, launch: 0, printsBacktrace: true)])
                #expect(bench.supervisor.slots[slot].attempt == .spawning(since: bench.now, launch: 0, generation: 1))
                var expected: [Supervisor.Action] = [
                    .report(.spawned(slot: slot, pid: pid, replaces: nil)), .announce(pid: pid, replaces: nil),
                ]
                if slot == 2 { expected.append(.announceMaster(pids: [100, 101, 102])) }
                #expect(bench.feed(.spawned(slot: slot, pid: pid)) == expected)
            }
            #expect(bench.supervisor.phase == .running)
            bench.feed(.exited(pid: 101, .exited(1)))
            #expect(bench.timer() == [.spawn(slot: 1, launch: 1, printsBacktrace: true)])
            #expect(
                bench.feed(.spawned(slot: 1, pid: 200)) == [
                    .report(.spawned(slot: 1, pid: 200, replaces: 101)), .announce(pid: 200, replaces: 101),
                ]
            )
        }

        @Test("A child is ready while other slots are still being filled")
        func readyMeanwhile() {
            var bench = Bench(children: 2)
            bench.feed(.timer)
            bench.feed(.spawned(slot: 0, pid: 100))
            #expect(
                bench.feed(.ready(pid: 100)) == [
                    .rotate(slots: [0]), .report(.ready(slot: 0, pid: 100, after: .zero)),
                ]
            )
            #expect(bench.feed(.timer).spawns == [1])
        }

        @Test("A slot whose start failed waits until the others had their first, and is not among the pids")
        func failedStart() {
            var bench = Bench(children: 3)
            bench.feed(.timer)
            bench.feed(.spawned(slot: 0, pid: 100))
            bench.feed(.timer)
            #expect(bench.feed(.spawnFailed(slot: 1, .noProgram)).consequence == .recovering(after: .zero))
            #expect(bench.feed(.timer).spawns == [2])
            #expect(bench.feed(.spawned(slot: 2, pid: 102)).last == .announceMaster(pids: [100, 102]))
            #expect(bench.feed(.timer) == [.spawn(slot: 1, launch: 1, printsBacktrace: true)])
        }

        @Test("If the start of the last slot fails, the fleet is announced, too")
        func lastFails() {
            var bench = Bench(children: 1)
            bench.feed(.timer)
            #expect(bench.feed(.spawnFailed(slot: 0, .noProgram)).last == .announceMaster(pids: []))
            #expect(bench.supervisor.phase == .running)
        }

        @Test("After a hook throws, no more children start and the fleet is not announced", arguments: 0..<3)
        func hookFailure(failing: Int) {
            var bench = Bench(children: 3)
            var inputs: [Supervisor.Input] = Array(repeating: .timer, count: 5)
            var announcements: [[Int32]] = []
            var hasFailed = false
            var spawns = 0
            // As the master does it, an input that comes from an action waits until the batch is carried out, and once
            // a hook has failed no further hook is called.
            while !inputs.isEmpty {
                var answers: [Supervisor.Input] = []
                for action in bench.feed(inputs.removeFirst()) {
                    switch action {
                    case .spawn(let slot, _, _, _):
                        spawns += 1
                        answers.append(.spawned(slot: slot, pid: 100 + Int32(slot)))
                    case .announce(let pid, _) where !hasFailed && pid == 100 + Int32(failing):
                        hasFailed = true
                        answers.append(.fail(description: "no"))
                    case .announceMaster(let pids) where !hasFailed: announcements.append(pids)
                    default: break
                    }
                }
                inputs = answers + inputs
            }
            #expect(spawns == failing + 1)
            #expect(announcements.isEmpty)
            #expect(bench.supervisor.isStopping)
            for slot in 0...failing { bench.feed(.exited(pid: 100 + Int32(slot), .exited(0))) }
            #expect(bench.supervisor.phase == .finished)
            // The master throws the hook's own error.
            #expect(bench.supervisor.failure == nil)
        }

        @Test("A stop ends the filling")
        func stop() {
            var bench = Bench(children: 3)
            bench.feed(.timer)
            bench.feed(.spawned(slot: 0, pid: 100))
            #expect(bench.stop().pids(with: .terminate) == [100])
            #expect(bench.feed(.timer).spawns.isEmpty)
            let end = bench.feed(.exited(pid: 100, .exited(0)))
            #expect(end.last == .finish)
            #expect(!end.contains { if case .announceMaster = $0 { true } else { false } })
        }

        @Test("A stop before the first start ends at once")
        func stopFirst() {
            var bench = Bench()
            #expect(
                bench.stop(.signal(15)) == [
                    .report(.stopping(.signal(15), grace: .seconds(5))), .closeListeners, .report(.stopped), .finish,
                ]
            )
        }

        @Test("A child whose start was under way when a stop began is asked to exit at once")
        func spawnedAfterStop() {
            var bench = Bench(children: 1)
            bench.feed(.timer)
            #expect(bench.stop().last == .closeListeners)
            #expect(bench.feed(.spawned(slot: 0, pid: 100)).pids(with: .terminate) == [100])
            #expect(bench.untilDeadline == .seconds(5))
            #expect(bench.feed(.exited(pid: 100, .exited(0))).last == .finish)
        }

        @Test("A start that was under way when a stop began ends the stop if it fails")
        func failedAfterStop() {
            var bench = Bench(children: 1)
            bench.feed(.timer)
            bench.stop()
            let actions = bench.feed(.spawnFailed(slot: 0, .noProgram))
            #expect(actions.consequence == .expected)
            #expect(actions.last == .finish)
        }
    }

    @Suite("Readiness")
    struct Readiness {
        @Test("A child is ready when it says so, once")
        func ready() {
            var bench = Bench.filled()
            #expect(bench.current(0)?.pid == 100)
            #expect(bench.current(0)?.readyAt == nil)
            let actions = bench.feed(.ready(pid: 100), after: .seconds(2))
            #expect(actions == [.rotate(slots: [0]), .report(.ready(slot: 0, pid: 100, after: .seconds(2)))])
            #expect(bench.current(0)?.readyAt == bench.now)
            #expect(bench.feed(.ready(pid: 100)).isEmpty)
            #expect(bench.current(1)?.readyAt == nil)
        }

        @Test("A child that is not ready in time gets TERM, after the grace period KILL, and counts as a failed start")
        func deadline() {
            var bench = Bench.filled {
                $0.readinessTimeout = .seconds(60)
                $0.grace = .seconds(5)
            }
            bench.feed(.ready(pid: 100))
            #expect(bench.wait(.seconds(60) - .nanoseconds(1)).isEmpty)
            #expect(
                bench.timer() == [
                    .report(.notReady(slot: 1, pid: 101, after: .seconds(60))), .signal(pid: 101, .terminate),
                ]
            )
            #expect(!bench.supervisor.isStopping)
            #expect(bench.feed(.ready(pid: 101)).isEmpty)
            #expect(bench.untilDeadline == .seconds(5))
            #expect(bench.feed(.timer, after: .seconds(5) - .nanoseconds(1)).isEmpty)
            #expect(
                bench.timer() == [
                    .report(.killing(slot: 1, pid: 101, .notDrained, after: .seconds(5))), .signal(pid: 101, .kill),
                ]
            )
            #expect(bench.supervisor.nextDeadline == nil)
            let actions = bench.feed(.exited(pid: 101, .signaled(9, coreDumped: false)))
            #expect(actions.consequence == .recovering(after: .zero))
            #expect(actions.exit?.wasReady == false)
            #expect(bench.supervisor.slots[1].failures == 1)
            #expect(bench.timer().spawns == [1])
        }

        @Test("A child that is not ready in time counts against a threshold")
        func counts() {
            var bench = Bench.filled(children: 1) { $0.recovery = .upTo(exits: 0) }
            bench.timer()
            #expect(bench.feed(.exited(pid: 100, .exited(0))).consequence == .givingUp)
        }

        @Test("Proven children have no deadline")
        func noDeadline() {
            #expect(Bench.proven().supervisor.nextDeadline == nil)
        }

        @Test("Each child has its own deadline")
        func each() {
            var bench = Bench(children: 2) { $0.readinessTimeout = .seconds(10) }
            bench.feed(.timer)
            bench.feed(.spawned(slot: 0, pid: 100))
            bench.feed(.timer, after: .milliseconds(900))
            bench.feed(.spawned(slot: 1, pid: 101))
            #expect(bench.untilDeadline == .milliseconds(9100))
            #expect(bench.timer().pids(with: .terminate) == [100])
            #expect(bench.untilDeadline == .milliseconds(900))
            #expect(bench.timer().pids(with: .terminate) == [101])
        }
    }

    @Suite("Late messages")
    struct LateMessages {
        @Test("Unknown pids are ignored")
        func unknown() {
            var bench = Bench.filled()
            #expect(bench.feed(.ready(pid: 999)).isEmpty)
            #expect(bench.feed(.draining(pid: 999, .program)).isEmpty)
            #expect(bench.feed(.hungUp(pid: 999)).isEmpty)
            #expect(bench.feed(.exited(pid: 999, .exited(1))).isEmpty)
            #expect(bench.supervisor.slots.allSatisfy { $0.lastExit == nil })
        }

        @Test("Answers to a start that was not requested are ignored")
        func answers() {
            var bench = Bench.filled()
            #expect(bench.feed(.spawned(slot: 0, pid: 999)).isEmpty)
            #expect(bench.feed(.spawnFailed(slot: 0, .noProgram)).isEmpty)
            #expect(bench.current(0)?.pid == 100)
        }

        @Test("An exit is handled once, and its pid is forgotten")
        func twice() {
            var bench = Bench.filled()
            #expect(bench.feed(.exited(pid: 100, .exited(1))).reports.count == 1)
            #expect(bench.feed(.exited(pid: 100, .exited(1))).isEmpty)
            bench.replace(slot: 0, by: 200)
            #expect(bench.feed(.exited(pid: 100, .exited(1))).isEmpty)
            #expect(bench.feed(.ready(pid: 100)).isEmpty)
            #expect(bench.current(0)?.pid == 200)
            #expect(bench.feed(.ready(pid: 200)).reports.count == 1)
        }

        @Test("A pid that comes again is the new child's, in any slot")
        func reused() {
            var bench = Bench.filled(children: 2)
            bench.feed(.exited(pid: 101, .exited(1)))
            bench.feed(.exited(pid: 100, .exited(1)), after: .nanoseconds(1))
            bench.timer()
            bench.feed(.spawned(slot: 1, pid: 100))
            #expect(bench.feed(.exited(pid: 100, .exited(1))).exit?.slot == 1)
        }

        @Test("A child that becomes ready after a stop has begun stays out of rotation")
        func readyAfterStop() {
            var bench = Bench.filled()
            bench.stop()
            #expect(bench.feed(.ready(pid: 100)).isEmpty)
            #expect(bench.current(0) == nil)
            #expect(bench.outgoing(0) == [100])
        }
    }
}
