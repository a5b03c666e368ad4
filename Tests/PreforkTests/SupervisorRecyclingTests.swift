import Testing

@testable import Prefork

/// How children that serve are replaced.
@Suite struct SupervisorRecyclingTests {
    @Test func newFirstAndOneAtATime() {
        var bench = Bench.proven { $0.settleTime = .zero }
        var actions = bench.feed(.recycle(pid: 101, .memory(300 << 20)))
        #expect(actions == [.report(.recycling(slot: 1, pid: 101, .memory(300 << 20)))])
        #expect(bench.feed(.recycle(pid: 100, .child)) == [], "one slot at a time")
        #expect(bench.feed(.recycle(pid: 101, .child)) == [], "asked already")
        #expect(bench.timer() == [.spawn(slot: 1, launch: 1, printsBacktrace: true)])
        bench.feed(.spawned(slot: 1, pid: 201))
        actions = bench.feed(.ready(pid: 201))
        #expect(actions.pids(with: .terminate) == [101])
        #expect(actions.last == .report(.recycling(slot: 0, pid: 100, .child)))
        #expect(bench.feed(.exited(pid: 101, .exited(0))).reports.first?.consequence == .expected)
        #expect(bench.supervisor.counters.total == 0)
    }

    /// Children that were started together are not replaced together.
    @Test func byAge() {
        var bench = Bench.filled(children: 3) {
            $0.settleTime = .zero
            $0.recycleAfter = .seconds(1000)
        }
        let start = bench.now
        for pid in Int32(100)...102 { bench.feed(.ready(pid: pid)) }
        var ages: [Duration] = []
        while ages.count < 3, bench.now - start < .seconds(2000) {
            let actions = bench.timer()
            for report in actions.reports where report.code == .recycling {
                #expect(report.reason == "it is old enough (recycling.after)")
                ages.append(bench.now - start)
            }
            for slot in actions.spawns {
                bench.feed(.spawned(slot: slot, pid: 200 + Int32(slot)))
                bench.feed(.ready(pid: 200 + Int32(slot)))
                bench.feed(.exited(pid: 100 + Int32(slot), .exited(0)))
            }
        }
        #expect(ages.count == 3)
        #expect(ages.allSatisfy { .seconds(1000) <= $0 && $0 <= .seconds(1101) })
        #expect(Set(ages).count == 3)
    }

    /// If the new child fails, the old one serves on, and the next try waits longer each time.
    @Test func aFailureLeavesTheOldChild() {
        var bench = Bench.proven { $0.settleTime = .zero }
        bench.feed(.recycle(pid: 100, .request))
        for delay in [Duration.zero, .zero, .milliseconds(100), .milliseconds(200)] {
            let before = bench.now
            #expect(bench.timer().spawns == [0])
            #expect(bench.now - before == delay)
            bench.feed(.spawned(slot: 0, pid: 200))
            let actions = bench.feed(.exited(pid: 200, .exited(1)))
            #expect(actions.reports.first?.consequence == .predecessorStays)
            #expect(actions.pids(with: .terminate) == [])
        }
        #expect(bench.supervisor.slots[0].current?.pid == 100)
        #expect(!bench.supervisor.isStopping)
    }

    @Test func aChildThatExitsMeanwhileIsRecoveredAsAlways() {
        var bench = Bench.proven { $0.settleTime = .zero }
        bench.feed(.recycle(pid: 100, .request))
        bench.feed(.exited(pid: 100, .signaled(11, coreDumped: false)))
        #expect(bench.timer().spawns == [0])
        bench.feed(.spawned(slot: 0, pid: 200))
        bench.feed(.ready(pid: 200))
        #expect(bench.supervisor.slots[0].recycling == nil)
        #expect(bench.timer().spawns == [], "it is new")
    }

    /// A restart replaces all children anyway.
    @Test func notDuringARestart() {
        var bench = Bench.proven { $0.settleTime = .zero }
        bench.feed(.restart)
        bench.feed(.restartPrepared(generation: 2))
        #expect(bench.feed(.recycle(pid: 101, .request)) == [])
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        bench.feed(.ready(pid: 200))
        bench.timer()
        bench.feed(.spawned(slot: 1, pid: 201))
        #expect(!bench.feed(.ready(pid: 201)).reports.contains { $0.code == .recycling })
        #expect(bench.supervisor.slots[1].recycling == nil)
    }

    /// A restart that fails takes a slot's turn to be recycled, and the slot gets another one.
    @Test func afterARestartThatFails() {
        var bench = Bench.proven { $0.settleTime = .zero }
        bench.feed(.recycle(pid: 100, .request))
        for pid in Int32(200)...201 {
            bench.timer()
            bench.feed(.spawned(slot: 0, pid: pid))
            bench.feed(.exited(pid: pid, .exited(1)))
        }
        bench.feed(.restart)
        bench.feed(.restartPrepared(generation: 2))
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 300))
        let actions = bench.feed(.exited(pid: 300, .exited(1)))
        #expect(actions.reports.map(\.code).contains(.rolledBack))
        #expect(actions.reports.last?.code == .recycling, "its turn again")
        #expect(bench.timer().spawns == [0])
    }

    /// A successor that ignores its signal goes before the next one comes.
    @Test func oneSuccessorAtATime() {
        var bench = Bench.proven {
            $0.readinessTimeout = .seconds(1)
            $0.grace = .seconds(30)
        }
        bench.feed(.recycle(pid: 100, .request))
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        #expect(bench.timer().pids(with: .terminate) == [200])
        let actions = bench.timer()
        #expect(actions.pids(with: .kill) == [200])
        #expect(actions.spawns == [])
        bench.feed(.exited(pid: 200, .signaled(9, coreDumped: false)))
        #expect(bench.timer().spawns == [0])
    }
}
