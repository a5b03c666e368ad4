import Testing

@testable import Prefork

/// Children that do not respond.
@Suite struct SupervisorHealthTests {
    private func fleet(_ change: (inout Supervisor.Rules) -> Void = { _ in }) -> Bench {
        Bench.ready {
            $0.settleTime = .zero
            $0.heartbeatTimeout = .seconds(4)
            $0.abortGrace = .seconds(10)
            change(&$0)
        }
    }

    @Test func aChildWithoutABeatIsReplacedAtOnce() {
        var bench = fleet()
        bench.wait(.seconds(3))
        bench.feed(.beat(pid: 101))
        var actions = bench.wait(.seconds(2))
        #expect(actions.reports.filter { $0.code == .unresponsive }.map(\.pid) == [100])
        #expect(actions.pids(with: .abort) == [100])
        #expect(actions.rotation == [1])
        #expect(actions.spawns == [0], "beside it")
        #expect(bench.supervisor.counters.unresponsive == 1)
        bench.feed(.spawned(slot: 0, pid: 200))
        bench.feed(.ready(pid: 200))
        for _ in 0..<4 {
            bench.feed(.beat(pid: 101))
            bench.feed(.beat(pid: 200))
            actions = bench.wait(.seconds(3))
        }
        #expect(!bench.supervisor.isStopping)
        #expect(bench.feed(.exited(pid: 100, .signaled(9, coreDumped: false))).reports.first?.consequence == .replaced)
        #expect(bench.supervisor.slots.map { $0.current?.pid } == [200, 101])
    }

    @Test func itIsKilledAfterTheAbort() {
        var bench = fleet()
        bench.wait(.seconds(3))
        bench.feed(.beat(pid: 101))
        bench.wait(.seconds(2))
        bench.feed(.spawned(slot: 0, pid: 200))
        var killed: [Int32] = []
        for _ in 0..<14 {
            bench.feed(.beat(pid: 101))
            killed += bench.wait(.seconds(1)).pids(with: .kill)
        }
        #expect(killed == [100])
    }

    /// The master, or the whole machine, did not run.
    @Test func aSuspensionIsNoSilence() {
        var bench = fleet()
        let actions = bench.timer(late: .seconds(60))
        #expect(actions.reports.map(\.code) == [])
        #expect(actions.pids(with: .abort) == [])
        #expect(bench.untilDeadline == .seconds(1), "proven a second after it")
    }

    @Test func withoutTheSettingNoBeatIsExpected() {
        var bench = Bench.ready { $0.settleTime = .zero }
        #expect(bench.wait(.seconds(1000)).reports == [])
        #expect(bench.supervisor.nextDeadline == nil, "no wakeup")
    }

    @Test func aStalledChild() {
        var bench = Bench.proven()
        let actions = bench.feed(.stalled(pid: 101, .stall(waiting: 3, .seconds(2))))
        #expect(actions.pids(with: .abort) == [101])
        #expect(
            actions.reports.first?.reason
                == "3 connections in its queue, and no processor time for 2 s (health.queueStallTimeout)")
        #expect(bench.timer().spawns == [1])
    }

    /// A build that does not respond has failed.
    @Test func aNewBuildThatDoesNotRespondGoesBack() {
        var bench = fleet { $0.restartBake = .seconds(60) }
        bench.feed(.restart)
        bench.feed(.restartPrepared(generation: 2))
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        bench.feed(.ready(pid: 200))
        bench.feed(.exited(pid: 100, .exited(0)))
        bench.wait(.seconds(3))
        bench.feed(.beat(pid: 101))
        let actions = bench.wait(.seconds(2))
        #expect(actions.reports.map(\.code).prefix(2) == [.unresponsive, .restartFailed])
        #expect(actions.reports.contains { $0.reason == "child 200 (slot 0) did not respond" })
    }

    @Test func aStopShortensTheAbort() {
        var bench = fleet { $0.grace = .seconds(2) }
        bench.wait(.seconds(3))
        bench.feed(.beat(pid: 101))
        bench.wait(.seconds(2))
        bench.stop()
        #expect(bench.wait(.milliseconds(2100)).pids(with: .kill).contains(100))
    }
}
