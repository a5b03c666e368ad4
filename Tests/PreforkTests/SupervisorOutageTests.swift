import Testing

@testable import Prefork

extension SupervisorTests {
    /// A program that needs something which goes away for a while, such as a database.
    @Suite("Outages")
    struct Outages {
        /// Serves for a minute, then each start fails after `startTime` for ten minutes.
        private static func outage(startTime: Duration) -> (bench: Bench, starts: Int) {
            var bench = Bench.ready(children: 4)
            bench.wait(.seconds(60))
            // The connections to the database break, and the program ends.
            for pid in Int32(100)..<104 { bench.feed(.exited(pid: pid, .exited(1))) }
            let end = bench.now + .seconds(600)
            var pid: Int32 = 200
            var failing: [(pid: Int32, at: Instant)] = []
            var starts = 0
            while bench.now < end {
                let next = [bench.supervisor.nextDeadline, failing.first?.at].compactMap { $0 }.min() ?? end
                bench.now = max(bench.now, next)
                if let first = failing.first, first.at <= bench.now {
                    failing.removeFirst()
                    bench.feed(.exited(pid: first.pid, .exited(1)))
                }
                for slot in bench.feed(.timer).spawns {
                    pid += 1
                    starts += 1
                    bench.feed(.spawned(slot: slot, pid: pid))
                    failing.append((pid, bench.now + startTime))
                }
            }
            for (pid, _) in failing { bench.feed(.exited(pid: pid, .exited(1))) }
            return (bench, starts)
        }

        @Test(
            "A fleet that has served outlives ten minutes without its database, and is back within 30 s",
            arguments: [Duration.milliseconds(5), .milliseconds(300), .seconds(3)])
        func database(startTime: Duration) {
            var (bench, starts) = Self.outage(startTime: startTime)
            #expect(!bench.supervisor.isStopping)
            // Ten minutes by delays of up to 30 s, and the first ones: few starts, which cost little.
            #expect(starts < 4 * 40)
            let back = bench.now
            var pid: Int32 = 10_000
            var ready = 0
            while ready < 4, bench.now <= back + .seconds(31) {
                bench.now = max(bench.now, bench.supervisor.nextDeadline ?? bench.now + .seconds(1))
                for slot in bench.feed(.timer).spawns {
                    pid += 1
                    bench.feed(.spawned(slot: slot, pid: pid))
                    bench.feed(.ready(pid: pid))
                    ready += 1
                }
            }
            #expect(ready == 4)
            #expect(bench.now - back <= .seconds(30))
        }
    }
}
