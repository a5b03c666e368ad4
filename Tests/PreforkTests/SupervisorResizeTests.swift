import Testing

@testable import Prefork

/// How slots join and leave the fleet.
@Suite struct SupervisorResizeTests {
    @Test func newSlotsGetChildren() {
        var bench = Bench.proven()
        #expect(bench.feed(.resize(to: 4)) == [.report(.resized(from: 2, to: 4))])
        #expect(bench.timer().spawns == [2])
        bench.feed(.spawned(slot: 2, pid: 102))
        #expect(bench.timer().spawns == [3])
        bench.feed(.spawned(slot: 3, pid: 103))
        #expect(bench.feed(.ready(pid: 103)).rotation == [0, 1, 3])
    }

    /// The child gets no new connections, accepts what is queued, and is asked to exit then.
    @Test func aSlotThatLeavesAcceptsWhatIsQueued() {
        var bench = Bench.proven(children: 3) { $0.queueDrain = .seconds(1) }
        let actions = bench.feed(.resize(to: 1))
        #expect(
            actions == [
                .rotate(slots: [0]), .report(.resized(from: 3, to: 1)), .awaitEmptyQueue(slot: 1),
                .awaitEmptyQueue(slot: 2),
            ])
        #expect(bench.feed(.queueEmpty(slot: 2)).pids(with: .terminate) == [102])
        #expect(bench.timer().pids(with: .terminate) == [101], "its time is over")
        #expect(bench.feed(.exited(pid: 102, .exited(0))).reports.first?.consequence == .expected)
        #expect(bench.feed(.exited(pid: 101, .exited(1))).reports.first?.consequence == .expected)
        #expect(bench.supervisor.nextDeadline == nil)
    }

    @Test func aSlotThatComesBackKeepsItsChild() {
        var bench = Bench.proven { $0.queueDrain = .seconds(1) }
        bench.feed(.resize(to: 1))
        #expect(bench.feed(.resize(to: 2)).rotation == [0, 1])
        #expect(bench.feed(.queueEmpty(slot: 1)) == [], "it is no longer asked")
        #expect(bench.supervisor.slots[1].current?.pid == 101)
    }

    /// A child that drained unasked while its slot was out is replaced when the slot is back.
    @Test func aSlotThatComesBackWithADrainingChild() {
        var bench = Bench.proven(children: 2)
        bench.feed(.resize(to: 1))
        bench.feed(.resize(to: 2))
        bench.timer()
        bench.feed(.spawned(slot: 1, pid: 201))
        bench.feed(.ready(pid: 201))
        // The child that the first resize has asked to exit is still there, so the second one waits.
        bench.feed(.resize(to: 1))
        bench.feed(.draining(pid: 201, .program))
        bench.feed(.resize(to: 2))
        #expect(bench.supervisor.slots[1].outgoing.map(\.cause) == [.resize, .unrequested])
        #expect(bench.timer().spawns == [1])
    }

    @Test func aSlotThatComesBackLateGetsAnotherChild() {
        var bench = Bench.proven()
        #expect(bench.feed(.resize(to: 1)).pids(with: .terminate) == [101])
        bench.feed(.resize(to: 2))
        #expect(bench.timer() == [.spawn(slot: 1, launch: 1, printsBacktrace: true)], "beside the old one")
        bench.feed(.spawned(slot: 1, pid: 201))
        // The one before it drains yet. Only one at a time is asked to exit.
        #expect(bench.feed(.resize(to: 1)).pids(with: .terminate) == [])
        #expect(bench.feed(.exited(pid: 101, .exited(0))).pids(with: .terminate) == [201])
    }

    @Test func aCrashInASlotThatLeavesIsNotRecovered() {
        var bench = Bench.proven { $0.queueDrain = .seconds(1) }
        bench.feed(.resize(to: 1))
        let actions = bench.feed(.exited(pid: 101, .signaled(11, coreDumped: false)))
        #expect(actions.reports.first?.consequence == .expected)
        #expect(bench.supervisor.nextDeadline == nil)
    }

    @Test func aResizeDuringTheStartFollowsIt() {
        var bench = Bench(children: 2)
        bench.feed(.timer)
        bench.feed(.spawned(slot: 0, pid: 100))
        #expect(bench.feed(.resize(to: 5)) == [])
        #expect(bench.feed(.resize(to: 1)) == [])
        bench.feed(.timer)
        let actions = bench.feed(.spawned(slot: 1, pid: 101))
        #expect(actions.contains(.report(.resized(from: 2, to: 1))), "only the last request counts")
        #expect(actions.pids(with: .terminate) == [101])
    }

    /// A new slot has nothing to lose, and gets the new build at once.
    @Test func aResizeDuringARestart() {
        var bench = Bench.proven { $0.settleTime = .zero }
        bench.feed(.restart)
        bench.feed(.restartPrepared(generation: 2))
        bench.timer()
        bench.feed(.spawned(slot: 0, pid: 200))
        bench.feed(.resize(to: 3))
        #expect(bench.timer() == [.spawn(slot: 2, launch: 0, generation: 2, printsBacktrace: true)])
        bench.feed(.spawned(slot: 2, pid: 202))
        #expect(bench.feed(.resize(to: 1)).pids(with: .terminate) == [101, 202])
        let actions = bench.feed(.ready(pid: 200))
        #expect(actions.reports.contains { $0.code == .restarted }, "the slots that left need no new child")
    }

    @Test func aStopDuringAResize() {
        var bench = Bench.proven(children: 3) { $0.queueDrain = .seconds(1) }
        bench.feed(.resize(to: 1))
        #expect(bench.stop().contains(.closeAdmission))
        #expect(Set(bench.feed(.admissionClosed).pids(with: .terminate)) == [100, 101, 102])
    }
}
