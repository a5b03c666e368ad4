import Testing

@testable import Prefork

extension SupervisorTests {
    /// When a ready child counts as up, and when as proven.
    @Suite("Up")
    struct Up {
        /// The outcome for slot 0, which has failed once and whose next child was ready for `time` when it exits.
        private static func afterService(
            _ time: Duration, _ change: (inout Supervisor.Rules) -> Void = { _ in }
        ) -> (consequence: Prefork.Event.Consequence?, hasBeenUp: Bool) {
            var bench = Bench.filled(children: 1, change)
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.replace(slot: 0, by: 101)
            bench.feed(.ready(pid: 101))
            bench.now = bench.now + time
            let actions = bench.feed(.exited(pid: 101, .exited(1)))
            return (actions.consequence, bench.supervisor.hasBeenUp)
        }

        @Test("A child is up when it has been ready for settleTime, and not a moment earlier")
        func border() {
            let early = Self.afterService(.seconds(1) - .nanoseconds(1))
            #expect(!early.hasBeenUp)
            #expect(early.consequence == .recovering(after: .milliseconds(100)))
            let late = Self.afterService(.seconds(1))
            #expect(late.hasBeenUp)
            #expect(late.consequence == .recovering(after: .zero))
        }

        @Test("A longer settleTime asks for more")
        func settleTime() {
            #expect(!Self.afterService(.seconds(3) - .nanoseconds(1)) { $0.settleTime = .seconds(3) }.hasBeenUp)
            #expect(Self.afterService(.seconds(3)) { $0.settleTime = .seconds(3) }.hasBeenUp)
        }

        @Test("Without a settleTime a child is up as soon as it is ready, but proven a second later")
        func noSettleTime() {
            var bench = Bench.filled(children: 1) { $0.settleTime = .zero }
            bench.feed(.ready(pid: 100))
            #expect(bench.supervisor.hasBeenUp)
            #expect(bench.current(0)?.isUp == true)
            #expect(bench.current(0)?.isProven == false)
            #expect(bench.untilDeadline == .seconds(1))
            bench.timer()
            #expect(bench.current(0)?.isProven == true)
        }

        @Test("A ready child is not up before its settle time has passed")
        func timers() {
            var bench = Bench.ready()
            #expect(bench.current(0)?.isUp == false)
            #expect(!bench.supervisor.isAnyUp)
            #expect(bench.untilDeadline == .seconds(1))
            #expect(bench.timer().isEmpty)
            #expect(bench.current(0)?.isUp == true)
            #expect(bench.current(1)?.isUp == true)
            #expect(bench.supervisor.isAnyUp)
            #expect(bench.supervisor.nextDeadline == nil)
        }

        @Test("A child that was never ready fails its start, however long it lived")
        func neverReady() {
            var bench = Bench.filled(children: 1)
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.replace(slot: 0, by: 101)
            bench.wait(.seconds(59))
            let actions = bench.feed(.exited(pid: 101, .exited(1)))
            #expect(actions.consequence == .recovering(after: .milliseconds(100)))
            #expect(!bench.supervisor.hasBeenUp)
        }

        @Test("A child that is up resets the delays of its own slot and of no other")
        func delays() {
            var bench = Bench.filled()
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.replace(slot: 0, by: 200)
            bench.feed(.exited(pid: 101, .exited(1)))
            bench.replace(slot: 1, by: 201)
            bench.feed(.ready(pid: 200))
            bench.wait(.seconds(2))
            #expect(bench.feed(.exited(pid: 201, .exited(1))).consequence == .recovering(after: .milliseconds(100)))
            #expect(bench.feed(.exited(pid: 200, .exited(1))).consequence == .recovering(after: .zero))
            bench.replace(slot: 0, by: 202)
            #expect(bench.feed(.exited(pid: 202, .exited(1))).consequence == .recovering(after: .zero))
        }

        @Test("A child that drains never becomes up")
        func draining() {
            var bench = Bench.ready(children: 1)
            bench.feed(.draining(pid: 100, .program), after: .milliseconds(900))
            bench.wait(.seconds(3))
            #expect(!bench.supervisor.hasBeenUp)
        }

        @Test("The first proven child lets all waiting slots try soon")
        func retry() {
            var bench = Bench.filled(children: 3)
            var pid: Int32 = 200
            for _ in 0..<5 {
                for slot in [1, 2] {
                    let child = bench.current(slot)?.pid ?? 0
                    bench.feed(.exited(pid: child, .exited(1)))
                }
                for slot in [1, 2] {
                    pid += 1
                    bench.replace(slot: slot, by: pid)
                }
            }
            for slot in [1, 2] { bench.feed(.exited(pid: bench.current(slot)?.pid ?? 0, .exited(1))) }
            #expect(bench.untilTry(1) == .milliseconds(1600))
            bench.feed(.ready(pid: 100))
            bench.wait(.seconds(1) - .nanoseconds(1))
            #expect(bench.untilTry(1) == .milliseconds(600) + .nanoseconds(1))
            #expect(bench.timer().spawns == [])
            #expect(bench.untilTry(1) == .milliseconds(100))
            #expect(bench.timer().spawns == [1])
            bench.feed(.spawned(slot: 1, pid: 301))
            #expect(bench.feed(.timer).spawns == [2])
        }

        @Test("A second proven child does not shorten the delay of any slot")
        func noRetry() {
            var bench = Bench.proven(children: 3) { $0.delays = .init(first: .seconds(20)) }
            bench.feed(.exited(pid: 102, .exited(1)))
            bench.feed(.exited(pid: 101, .exited(1)), after: .seconds(15))
            bench.replace(slot: 2, by: 202)
            bench.feed(.ready(pid: 202))
            bench.wait(.seconds(2))
            #expect(bench.current(2)?.isProven == true)
            #expect(bench.untilTry(1) == .seconds(13))
        }
    }
}
