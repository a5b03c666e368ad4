import Testing

@testable import Prefork

/// How an upgrade follows a restart.
@Suite struct SupervisorUpgradeTests {
    /// A fleet of one whose new child has taken the place of the old one. The master's program follows.
    private func upgrading() -> (Bench, [Supervisor.Action]) {
        var bench = Bench.proven(children: 1) { $0.settleTime = .zero }
        #expect(bench.feed(.upgrade) == [.prepareRestart(generation: 2)])
        bench.feed(.restartPrepared(generation: 2))
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        let actions = bench.feed(.ready(pid: 200))
        return (bench, actions)
    }

    @Test func theProgramFollowsTheChildren() {
        var (bench, actions) = upgrading()
        #expect(actions.reports.map(\.code) == [.ready, .retiring, .restarted])
        #expect(actions.last == .handOver(generation: 2))
        let done = bench.feed(.handedOver, after: .seconds(1))
        #expect(done.reports.map(\.code) == [.upgraded])
        #expect(done.reports.first?.generation == 2)
        #expect(bench.feed(.handedOver) == [], "once")
    }

    @Test func aFailureLeavesTheChildren() {
        var (bench, _) = upgrading()
        let actions = bench.feed(.handoverFailed(reason: "execve"))
        #expect(actions == [.report(.upgradeFailed(generation: 2, reason: "execve"))])
        #expect(bench.current(0)?.pid == 200)
        #expect(bench.feed(.handoverFailed(reason: "execve")) == [], "once")
    }

    /// The state that is handed over contains no restart, so the next one waits.
    @Test(arguments: [true, false])
    func aRestartWaitsForTheAnswer(isUpgrade: Bool) {
        var (bench, _) = upgrading()
        #expect(bench.feed(isUpgrade ? .upgrade : .restart) == [])
        let actions = bench.feed(.handedOver)
        #expect(actions.last == .prepareRestart(generation: 3))
        #expect(bench.supervisor.restart?.isUpgrade == isUpgrade)
    }

    @Test func aRestartThatFailsEndsIt() {
        var bench = Bench.proven(children: 1) { $0.settleTime = .zero }
        bench.feed(.upgrade)
        bench.feed(.restartPrepared(generation: 2))
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        let actions = bench.feed(.exited(pid: 200, .exited(3)))
        #expect(actions.reports.map(\.code) == [.exited, .restartFailed, .rolledBack])
        #expect(!actions.contains(.handOver(generation: 1)))
    }

    /// A request during a restart makes the next one an upgrade.
    @Test func duringARestart() {
        var bench = Bench.proven(children: 1) { $0.settleTime = .zero }
        bench.feed(.restart)
        bench.feed(.restartPrepared(generation: 2))
        bench.feed(.upgrade)
        bench.feed(.restart)
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        let actions = bench.feed(.ready(pid: 200))
        #expect(!actions.contains(.handOver(generation: 2)), "it was a restart")
        #expect(actions.contains(.prepareRestart(generation: 3)))
        #expect(bench.supervisor.restart?.isUpgrade == true)
    }

    @Test(arguments: [true, false])
    func aStopOrARollbackEndsIt(isStop: Bool) {
        var (bench, _) = upgrading()
        let actions = isStop ? bench.stop() : bench.feed(.rollback)
        #expect(actions.reports.contains { $0.code == .upgradeFailed })
        #expect(bench.supervisor.handingOverSince == nil)
        #expect(bench.feed(.handedOver).reports.allSatisfy { $0.code != .upgraded })
    }

    @Test func notInAStop() {
        var bench = Bench.proven(children: 1)
        bench.stop()
        #expect(bench.feed(.upgrade) == [])
    }
}
