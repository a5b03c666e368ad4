import Testing

@testable import Prefork

extension SupervisorTests {
    /// The consequences of exits and failed starts.
    @Suite("Recovery")
    struct Recovery {
        @Test("Failed starts are tried again at once, then after 100 ms, doubled to the maximum")
        func doubling() {
            var bench = Bench.filled(children: 1) { $0.delays.maximum = .milliseconds(700) }
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

        @Test("The delays of one slot do not affect another slot")
        func perSlot() {
            var bench = Bench.filled()
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.replace(slot: 0, by: 200)
            #expect(bench.feed(.exited(pid: 101, .exited(1))).consequence == .recovering(after: .zero))
            #expect(
                bench.feed(.exited(pid: 200, .exited(1))).consequence == .recovering(after: .milliseconds(100))
            )
        }

        @Test("A proven child is replaced at once, any number of times, and its exits do not count")
        func proven() {
            var bench = Bench.proven(children: 1)
            var pid: Int32 = 100
            for _ in 0..<100 {
                let actions = bench.feed(.exited(pid: pid, .signaled(11, coreDumped: false)))
                #expect(actions.consequence == .recovering(after: .zero))
                pid += 1
                bench.replace(slot: 0, by: pid)
                bench.feed(.ready(pid: pid))
                bench.wait(.seconds(1))
            }
            #expect(bench.supervisor.slots[0].failures == 0)
            #expect(bench.supervisor.slots[0].crashes == Crashes())
            #expect(bench.supervisor.startFailures == StartFailures())
        }

        @Test("A proven child is replaced after the delay before the first try, if there is one")
        func firstDelay() {
            var bench = Bench.proven { $0.delays = .constant(.seconds(3)) }
            #expect(bench.feed(.exited(pid: 100, .exited(1))).consequence == .recovering(after: .seconds(3)))
        }

        @Test("Slots that are due together are started one at a time, the longest waiting first")
        func due() {
            var bench = Bench.filled(children: 3) { $0.delays.first = .milliseconds(50) }
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

        @Test("An exit reports its cause")
        func reasons() {
            func reason(_ status: WaitStatus) -> Prefork.ChildExit? {
                var bench = Bench.ready(children: 1)
                bench.wait(.seconds(3))
                let exit = bench.feed(.exited(pid: 100, status)).exit
                #expect(bench.supervisor.slots[0].lastExit == exit)
                return exit
            }
            func exit(_ reason: Prefork.ChildExit.Reason) -> Prefork.ChildExit {
                .init(slot: 0, pid: 100, reason: reason, lifetime: .seconds(3), wasReady: true, readyTime: .seconds(3))
            }
            #expect(reason(.exited(3)) == exit(.status(3)))
            #expect(reason(.signaled(11, coreDumped: true)) == exit(.signal(11, coreDumped: true)))
            #expect(reason(.lost) == exit(.unknown))
        }

        @Test("The event says that the kernel's out-of-memory killer ended the child")
        func outOfMemory() {
            var bench = Bench.filled(children: 1)
            let end = Supervisor.End(status: .signaled(9, coreDumped: false), isOutOfMemory: true)
            #expect(bench.feed(.exited(pid: 100, end)).exit?.isProbablyOutOfMemory == true)
            #expect(bench.supervisor.slots[0].lastExit?.isProbablyOutOfMemory == true)
        }

        // MARK: Starts that fail

        @Test("A start that fails is tried again after a delay, and the others go on")
        func failedStart() {
            var bench = Bench.proven()
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.timer()
            let exit = Prefork.ChildExit(
                slot: 0,
                pid: 0,
                reason: .notSpawned(.noProgram),
                lifetime: .zero,
                wasReady: false
            )
            #expect(
                bench.feed(.spawnFailed(slot: 0, .noProgram)) == [
                    .report(.spawnFailed(exit, .recovering(after: .zero)))
                ]
            )
            #expect(bench.supervisor.slots[0].lastExit == exit)
            #expect(bench.timer().spawns == [0])
            #expect(
                bench.feed(.spawnFailed(slot: 0, .noProgram)).consequence == .recovering(after: .milliseconds(100))
            )
            // The other slot's child goes, and comes again, meanwhile.
            bench.feed(.exited(pid: 101, .exited(1)))
            bench.replace(slot: 1, by: 201)
            #expect(bench.timer() == [.spawn(slot: 0, launch: 3, printsBacktrace: true)])
        }

        @Test("A start that succeeds after others failed replaces the last child that there was")
        func replaces() {
            var bench = Bench.proven()
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.timer()
            bench.feed(.spawnFailed(slot: 0, .noProgram))
            bench.timer()
            #expect(bench.feed(.spawned(slot: 0, pid: 200)).last == .announce(pid: 200, replaces: 100))
        }

        @Test("A start that the program's closure refuses is a failed start while others serve")
        func refusedStartBesideOthers() {
            var bench = Bench.proven()
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.timer()
            for delay in [Duration.zero, .milliseconds(100), .milliseconds(200)] {
                let actions = bench.feed(.spawnRefused(slot: 0, .spawnedStranger(slot: 0, pid: 1)))
                #expect(actions.consequence == .recovering(after: delay))
                #expect(actions.pids(with: .terminate) == [])
                #expect(
                    bench.timer() == [
                        .spawn(slot: 0, launch: bench.supervisor.slots[0].launches - 1, printsBacktrace: true)
                    ])
            }
            #expect(bench.supervisor.failure == nil)
            // A strict mode counts it.
            var strict = Bench.proven { $0.recovery = .upTo(exits: 1) }
            strict.feed(.exited(pid: 100, .exited(1)))
            strict.timer()
            #expect(
                strict.feed(.spawnRefused(slot: 0, .spawnedStranger(slot: 0, pid: 1))).consequence == .givingUp)
        }

        @Test("A start that the program's closure refuses ends a fleet that has never been up")
        func refusedStart() {
            var bench = Bench.filled { $0.recovery = .unlimited }
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

        @Test(
            "A shortage is tried again after the same delays and never counts towards giving up",
            arguments: [Supervisor.Rules.Recovery.automatic, .upTo(exits: 0), .never, .unlimited]
        )
        func shortage(recovery: Supervisor.Rules.Recovery) {
            var bench = Bench(children: 1) {
                $0.recovery = recovery
                $0.limitPerSlot = 1
            }
            var delays: [Duration?] = []
            for _ in 0..<200 {
                #expect(bench.timer().spawns == [0])
                bench.feed(.spawnFailed(slot: 0, .noProcess))
                delays.append(bench.untilTry(0))
            }
            #expect(delays.prefix(4) == [.zero, .milliseconds(100), .milliseconds(200), .milliseconds(400)])
            #expect(delays.last == .seconds(25))
            #expect(!bench.supervisor.isStopping)
            #expect(bench.supervisor.startFailures == StartFailures())
            // It has not used up what the slot's limit allows.
            bench.timer()
            bench.feed(.spawned(slot: 0, pid: 100))
            let actions = bench.feed(.exited(pid: 100, .exited(1)))
            switch recovery {
            case .automatic, .unlimited: #expect(actions.consequence == .recovering(after: .seconds(25)))
            case .upTo, .never: #expect(actions.consequence == .givingUp)
            }
        }

        // MARK: Fatal statuses

        @Test("A fatal status ends the fleet while no other child is up, even if exits are allowed")
        func fatalStatus() {
            var bench = Bench.ready {
                $0.recovery = .unlimited
                $0.fatalExitStatuses = [78, 3]
            }
            #expect(bench.feed(.exited(pid: 100, .exited(1))).consequence == .recovering(after: .zero))
            // A signal's number is not a status.
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

        @Test("A fatal status beside a child that is up counts as a failed start")
        func fatalBesideUp() {
            var bench = Bench.proven()
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.replace(slot: 0, by: 200)
            #expect(bench.feed(.exited(pid: 200, .exited(78))).consequence == .recovering(after: .zero))
            bench.replace(slot: 0, by: 201)
            bench.feed(.ready(pid: 201))
            // This holds even if it had served.
            bench.wait(.seconds(5))
            #expect(bench.feed(.exited(pid: 201, .exited(78))).consequence == .recovering(after: .zero))
            bench.replace(slot: 0, by: 202)
            #expect(
                bench.feed(.exited(pid: 202, .exited(78))).consequence == .recovering(after: .milliseconds(100))
            )
            #expect(!bench.supervisor.isStopping)
        }

        @Test("A child that is only ready does not save the fleet from a fatal status")
        func fatalBesideReady() {
            var bench = Bench.ready()
            #expect(bench.feed(.exited(pid: 101, .exited(78))).consequence == .givingUp)
        }

        @Test("A child that no longer accepts does not save it either")
        func fatalBesideDraining() {
            for input: Supervisor.Input in [.draining(pid: 100, .program), .hungUp(pid: 100)] {
                var bench = Bench.proven()
                bench.feed(input)
                #expect(bench.feed(.exited(pid: 101, .exited(78))).consequence == .givingUp, "\(input)")
            }
        }

        @Test("Status 78 is an exit like others if it is not fatal")
        func notFatal() {
            var bench = Bench.ready { $0.fatalExitStatuses = [] }
            #expect(bench.feed(.exited(pid: 100, .exited(78))).consequence == .recovering(after: .zero))
        }
    }
}
