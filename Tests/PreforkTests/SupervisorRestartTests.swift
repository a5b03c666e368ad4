import Testing

@testable import Prefork

/// How the children of a new build replace those of the old one.
@Suite struct SupervisorRestartTests {
    /// A restart of a fleet whose children have the pids 100, 101 ….
    private func restarting(
        children: Int = 2, settle: Duration = .zero, _ change: (inout Supervisor.Rules) -> Void = { _ in }
    ) -> Bench {
        var bench = Bench.proven(children: children) { rules in
            rules.settleTime = settle
            change(&rules)
        }
        bench.feed(.restart)
        bench.feed(.restartPrepared(generation: 2))
        return bench
    }

    /// The new child is up before the old one is asked to exit, one slot after another.
    @Test func newFirst() {
        var bench = restarting(settle: .seconds(1))
        #expect(bench.timer() == [.spawn(slot: 0, launch: 1, generation: 2, printsBacktrace: true)])
        var actions = bench.feed(.spawned(slot: 0, pid: 200))
        #expect(actions.contains(.announce(pid: 200, replaces: nil)), "no recovery")
        #expect(bench.feed(.ready(pid: 200)).pids(with: .terminate) == [], "not up yet")
        actions = bench.timer()
        #expect(actions.contains(.report(.retiring(slot: 0, pid: 100, successor: 200))))
        #expect(actions.pids(with: .terminate) == [100])
        #expect(bench.supervisor.slots[0].current?.pid == 200)
        #expect(actions.spawns == [1])
        bench.feed(.exited(pid: 100, .exited(0)))
        bench.feed(.spawned(slot: 1, pid: 201))
        bench.feed(.ready(pid: 201))
        actions = bench.timer()
        #expect(actions.pids(with: .terminate) == [101])
        #expect(actions.reports.contains { $0.code == .restarted && $0.generation == 2 })
        #expect(actions.contains(.keepPrograms(generations: [2, 1])))
        #expect(bench.supervisor.generation == 2)
        #expect(bench.supervisor.counters.total == 0, "nothing went wrong")
    }

    @Test func asManySlotsAtATimeAsConfigured() {
        var bench = restarting(children: 4) { $0.restartConcurrency = 3 }
        var spawned: [Int] = []
        while let slot = bench.timer().spawns.first {
            spawned.append(slot)
            bench.feed(.spawned(slot: slot, pid: 200 + Int32(slot)))
        }
        #expect(spawned == [0, 1, 2])
    }

    /// A child of the new build that ends before it is up takes all slots back.
    @Test(arguments: [WaitStatus.exited(3), .signaled(11, coreDumped: false), .exited(78)])
    func aCrashGoesBack(status: WaitStatus) {
        var bench = restarting(children: 3)
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        bench.feed(.ready(pid: 200))
        bench.feed(.exited(pid: 100, .exited(0)))
        bench.timer()
        bench.feed(.spawned(slot: 1, pid: 201))
        let actions = bench.feed(.exited(pid: 201, status))
        let failed = actions.reports.first { $0.code == .restartFailed }
        #expect(failed?.generation == 2)
        #expect(failed?.servingGeneration == 1)
        #expect(failed?.exit?.pid == 201)
        #expect(actions.reports.first { $0.code == .exited }?.consequence?.code == .predecessorStays)
        #expect(actions.pids(with: .terminate) == [], "those that serve stay")
        #expect(bench.timer() == [.spawn(slot: 0, launch: 2, generation: 1, printsBacktrace: true)])
        bench.feed(.spawned(slot: 0, pid: 300))
        let last = bench.feed(.ready(pid: 300))
        #expect(last.pids(with: .terminate) == [200])
        #expect(last.reports.contains { $0.code == .rolledBack && $0.generation == 1 })
        #expect(bench.supervisor.slots.map { $0.current?.pid } == [300, 101, 102])
        #expect(bench.supervisor.generation == 1)
        #expect(!bench.supervisor.isStopping)
    }

    @Test func aChildThatIsNotReadyInTimeGoesBack() {
        var bench = restarting { $0.readinessTimeout = .seconds(5) }
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        let actions = bench.timer()
        #expect(actions.pids(with: .terminate) == [200])
        #expect(actions.reports.map(\.code) == [.notReady, .restartFailed, .rolledBack])
        #expect(bench.feed(.exited(pid: 200, .exited(1))).reports.first?.consequence == .expected)
        #expect(bench.supervisor.nextDeadline == nil, "nothing follows")
    }

    @Test func aStartThatFailsGoesBack() {
        var bench = restarting()
        bench.timer()
        let error = SystemError(call: "posix_spawn", code: 2, context: "", message: "no such file")
        let actions = bench.feed(.spawnFailed(slot: 0, error))
        #expect(actions.reports.map(\.code) == [.spawnFailed, .restartFailed, .rolledBack])
        #expect(bench.supervisor.slots[0].current?.pid == 100)
    }

    /// The master may be short of processes for a moment.
    @Test func aShortageIsTriedAgain() {
        var bench = restarting()
        let error = SystemError(call: "posix_spawn", code: 11, context: "", message: "no more processes")
        for _ in 0..<Supervisor.mostShortages {
            #expect(bench.timer().spawns == [0])
            #expect(bench.feed(.spawnFailed(slot: 0, error)).reports.map(\.code) == [.spawnFailed])
        }
        bench.timer()
        #expect(bench.feed(.spawnFailed(slot: 0, error)).reports.map(\.code).contains(.restartFailed))
    }

    /// The first new child serves alone for a while. Whatever ends it in this time ends the restart.
    @Test func theCanaryServesAlone() {
        var bench = restarting { $0.restartBake = .seconds(10) }
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        bench.feed(.ready(pid: 200))
        bench.feed(.exited(pid: 100, .exited(0)))
        bench.now = bench.now + .seconds(9)
        #expect(bench.feed(.timer).spawns == [])
        let actions = bench.feed(.exited(pid: 200, .exited(0)), after: .milliseconds(500))
        #expect(actions.reports.map(\.code) == [.exited, .restartFailed, .rolledBack])
        #expect(bench.timer() == [.spawn(slot: 0, launch: 2, generation: 1, printsBacktrace: true)])
    }

    @Test func theOthersFollowTheCanary() {
        var bench = restarting { $0.restartBake = .seconds(10) }
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        bench.feed(.ready(pid: 200))
        let ready = bench.now
        bench.feed(.exited(pid: 100, .exited(0)))
        var spawns: [Int] = []
        while spawns.isEmpty, bench.now - ready < .seconds(20) { spawns = bench.timer().spawns }
        #expect(spawns == [1])
        #expect(bench.now - ready == .seconds(10))
    }

    @Test func aRollbackDuringARestart() {
        var bench = restarting { $0.restartBake = .seconds(10) }
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        bench.feed(.ready(pid: 200))
        let actions = bench.feed(.rollback)
        #expect(actions.reports.first?.reason == "a rollback was requested")
        // The old child still drains. Going back does not wait for it.
        #expect(bench.timer() == [.spawn(slot: 0, launch: 2, generation: 1, printsBacktrace: true)])
    }

    @Test func aRollbackAfterARestart() {
        var bench = restarting(children: 1)
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        bench.feed(.ready(pid: 200))
        bench.feed(.exited(pid: 100, .exited(0)))
        #expect(bench.feed(.rollback).reports.first?.generation == 1)
        #expect(bench.timer() == [.spawn(slot: 0, launch: 2, generation: 1, printsBacktrace: true)])
        bench.feed(.spawned(slot: 0, pid: 300))
        #expect(bench.feed(.ready(pid: 300)).reports.contains { $0.code == .restarted && $0.generation == 1 })
        bench.feed(.exited(pid: 200, .exited(0)))
        #expect(bench.feed(.restart) == [.prepareRestart(generation: 3)], "a number is never used again")
    }

    /// A rollback does not wait for the last requests of the children that the restart has replaced.
    @Test func aRollbackDoesNotWait() {
        var bench = restarting(children: 1)
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        bench.feed(.ready(pid: 200))
        #expect(bench.supervisor.generation == 2)
        bench.feed(.rollback)
        #expect(bench.timer() == [.spawn(slot: 0, launch: 2, generation: 1, printsBacktrace: true)])
        bench.feed(.spawned(slot: 0, pid: 300))
        #expect(bench.feed(.ready(pid: 300)).pids(with: .terminate) == [200])
        #expect(bench.supervisor.slots[0].outgoing.map(\.cause) == [.restart, .rollback])
    }

    @Test func withoutABuildBeforeThereIsNoRollback() {
        var bench = Bench.proven()
        let actions = bench.feed(.rollback)
        #expect(actions.reports.map(\.code) == [.restartFailed])
        #expect(actions.reports.first?.description == "cannot roll back: there is no build before")
    }

    /// Any number of requests during a restart is one more.
    @Test func aSecondRestartFollows() {
        var bench = restarting(children: 1)
        #expect(bench.feed(.restart) == [])
        #expect(bench.feed(.restart) == [])
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        let actions = bench.feed(.ready(pid: 200))
        #expect(actions.last == .prepareRestart(generation: 3))
        bench.feed(.restartPrepared(generation: 3))
        #expect(bench.supervisor.nextDeadline.map { $0 > bench.now } == true, "the old child must exit first")
        bench.feed(.exited(pid: 100, .exited(0)))
        #expect(bench.timer() == [.spawn(slot: 0, launch: 2, generation: 3, printsBacktrace: true)])
        #expect(!bench.supervisor.isRestartQueued)
    }

    @Test func aRestartDuringTheStartFollowsIt() {
        var bench = Bench(children: 2)
        bench.feed(.timer)
        bench.feed(.spawned(slot: 0, pid: 100))
        #expect(bench.feed(.restart) == [])
        bench.feed(.timer)
        #expect(bench.feed(.spawned(slot: 1, pid: 101)).last == .prepareRestart(generation: 2))
    }

    /// The slot of a child that crashes again and again gets the new build at once.
    @Test func aRestartDuringABackOff() {
        var bench = Bench.proven(children: 1)
        bench.feed(.exited(pid: 100, .exited(1)))
        for pid in Int32(101)...105 {
            bench.timer()
            bench.feed(.spawned(slot: 0, pid: pid))
            bench.feed(.exited(pid: pid, .exited(1)))
        }
        #expect(bench.supervisor.nextDeadline.map { $0 > bench.now + .milliseconds(500) } == true)
        bench.feed(.restart)
        bench.feed(.restartPrepared(generation: 2))
        #expect(bench.supervisor.nextDeadline == bench.now)
        #expect(bench.timer() == [.spawn(slot: 0, launch: 6, generation: 2, printsBacktrace: true)])
    }

    @Test func aStopEndsARestart() {
        var bench = restarting()
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        #expect(Set(bench.stop().pids(with: .terminate)) == [100, 101, 200])
        #expect(bench.feed(.restart) == [])
        for pid in [Int32(100), 101] { bench.feed(.exited(pid: pid, .exited(0))) }
        #expect(bench.feed(.exited(pid: 200, .exited(0))).contains(.finish))
    }

    /// The old child crashes while its successor starts. Nothing else is started for it.
    @Test func aSuccessorTakesThePlaceOfACrashedChild() {
        var bench = restarting()
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        let actions = bench.feed(.exited(pid: 100, .signaled(11, coreDumped: false)))
        #expect(actions.reports.first?.consequence == .replaced)
        #expect(bench.supervisor.slots[0].current?.pid == 200)
        #expect(bench.feed(.timer).spawns == [])
        // If it fails, the slot gets the build before at once.
        #expect(bench.feed(.exited(pid: 200, .exited(1))).reports.map(\.code).contains(.restartFailed))
        #expect(bench.timer() == [.spawn(slot: 0, launch: 2, generation: 1, printsBacktrace: true)])
    }

    /// A build that drains as soon as it is ready has failed, too.
    @Test func aSuccessorThatDrainsGoesBack() {
        var bench = restarting(settle: .seconds(1))
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        bench.feed(.draining(pid: 200, .program))
        let actions = bench.feed(.ready(pid: 200))
        #expect(actions.reports.map(\.code) == [.ready, .restartFailed, .rolledBack])
        #expect(actions.pids(with: .terminate) == [200])
    }
}
