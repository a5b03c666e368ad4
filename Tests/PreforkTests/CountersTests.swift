import Testing

@testable import Prefork

@Suite struct CountersTests {
    private static func exit(
        _ reason: Prefork.ChildExit.Reason, wasReady: Bool = true, isOutOfMemory: Bool = false
    ) -> Prefork.ChildExit {
        Prefork.ChildExit(
            slot: 0, pid: 7, reason: reason, lifetime: .seconds(1), wasReady: wasReady,
            isProbablyOutOfMemory: isOutOfMemory)
    }

    @Test func countByReason() {
        var counters = Prefork.Status.Counters()
        #expect(counters.description == "none")
        #expect(counters.total == 0)
        for _ in 0..<2 { counters.note(Self.exit(.signal(4, coreDumped: false))) }
        counters.note(Self.exit(.signal(9, coreDumped: false), isOutOfMemory: true))
        counters.note(Self.exit(.status(70), wasReady: false))
        counters.note(Self.exit(.status(0)))
        counters.note(Self.exit(.unknown))
        counters.note(Self.exit(.notSpawned(.init(call: "posix_spawn", code: 11)), wasReady: false))
        #expect(counters.signals == [4: 2, 9: 1])
        #expect(counters.statuses == [0: 1, 70: 1])
        #expect(counters.unknown == 1)
        #expect(counters.notSpawned == 1)
        #expect(counters.outOfMemory == 1)
        #expect(counters.failedStarts == 2)
        #expect(counters.lostWhileReady == 5)
        #expect(counters.total == 7)
        #expect(
            counters.description
                == "2 by signal 4 (ILL), 1 by signal 9 (KILL), 1 with status 0, 1 with status 70, "
                + "1 with a lost status, 1 not started; 1 probably out of memory; 2 failed starts")
    }
}

extension SupervisorTests {
    @Suite("Counters and causes")
    struct CountersAndCauses {
        private static func exit(in actions: [Supervisor.Action]) -> Prefork.ChildExit? {
            for case .report(let event) in actions { if let exit = event.exit { return exit } }
            return nil
        }

        @Test("An exit says how long the child was ready, and why it drained")
        func causes() throws {
            var bench = Bench.ready(children: 3)
            bench.wait(.seconds(3))
            let crash = try #require(Self.exit(in: bench.feed(.exited(pid: 100, .signaled(9, coreDumped: false)))))
            #expect(crash.readyTime == .seconds(3))
            #expect(crash.drainOrigin == nil)
            bench.feed(.draining(pid: 101, .signal(sender: 1, user: 2)))
            let drained = try #require(Self.exit(in: bench.feed(.exited(pid: 101, .exited(0)))))
            #expect(drained.drainOrigin == .signal(sender: 1, user: 2))
            bench.feed(.stop(.request, at: bench.now))
            bench.feed(.admissionClosed)
            let asked = try #require(Self.exit(in: bench.feed(.exited(pid: 102, .exited(0)))))
            #expect(asked.drainOrigin == .master)
            #expect(bench.supervisor.counters.signals == [9: 1])
            #expect(bench.supervisor.counters.statuses == [0: 1])
        }

        @Test("A child that was not ready in time is a failed start that the master asked to exit")
        func notReady() throws {
            var bench = Bench.filled(children: 1)
            bench.wait(.seconds(60))
            let exit = try #require(Self.exit(in: bench.feed(.exited(pid: 100, .signaled(15, coreDumped: false)))))
            #expect(exit.drainOrigin == .master)
            #expect(exit.readyTime == nil)
            #expect(bench.supervisor.counters.failedStarts == 1)
        }
    }
}
