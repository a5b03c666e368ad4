import Testing

@testable import Prefork

extension SupervisorTests {
    /// Children that were ready, but not proven. A client crashes them, or the program is broken.
    @Suite("Early crashes")
    struct EarlyCrashes {
        private static let trap = WaitStatus.signaled(4, coreDumped: false)

        /// Slot 1 of two is proven and stays so. The child of slot 0 was just started.
        private static func bench(_ change: (inout Supervisor.Rules) -> Void = { _ in }) -> Bench {
            var bench = Bench.proven(children: 2, change)
            bench.feed(.exited(pid: 100, .exited(1)))
            bench.replace(slot: 0, by: 200)
            return bench
        }

        /// The child of slot 0 becomes ready after `start`, serves for `service` and crashes. Its replacement starts.
        /// - Returns: the delay before the replacement.
        @discardableResult
        private static func crash(
            _ bench: inout Bench,
            start: Duration,
            service: Duration,
            cost: Duration? = nil,
            processorTime: Duration? = nil
        ) -> Duration? {
            let pid = bench.current(0)?.pid ?? 0
            bench.wait(start)
            bench.feed(.ready(pid: pid, startCost: cost))
            bench.wait(service)
            let end = Supervisor.End(status: trap, processorTime: processorTime)
            let consequence = bench.feed(.exited(pid: pid, end)).consequence
            guard let delay = consequence?.delay else { return nil }
            bench.replace(slot: 0, by: pid + 1)
            return delay
        }

        @Test("In a fleet that has been up, a child that crashed early is replaced at once within the budget")
        func atOnce() {
            var bench = Self.bench()
            // A quarter of a processor for ten seconds.
            for _ in 0..<25 {
                #expect(Self.crash(&bench, start: .zero, service: .zero, cost: .milliseconds(100)) == .zero)
            }
            #expect(
                Self.crash(&bench, start: .zero, service: .zero, cost: .milliseconds(100)) == .milliseconds(400)
            )
            #expect(bench.supervisor.slots[0].failures == 0)
        }

        @Test("The budget grows with the processors that the fleet may use")
        func processors() {
            for processors in [1, 4, 16] {
                var bench = Self.bench { $0.processors = processors }
                let cost = Duration.milliseconds(1250 * processors)
                #expect(Self.crash(&bench, start: .zero, service: .milliseconds(1), cost: cost) == .zero)
                #expect(Self.crash(&bench, start: .zero, service: .milliseconds(2), cost: cost) == .zero)
                let delay = Self.crash(&bench, start: .zero, service: .milliseconds(3), cost: cost)
                #expect(delay.map { $0 > .milliseconds(4980) && $0 < .seconds(5) } == true)
            }
        }

        @Test("A child that does not say what its start cost is charged for the time that it took")
        func startTime() {
            var bench = Self.bench()
            #expect(Self.crash(&bench, start: .seconds(2), service: .milliseconds(600)) == .zero)
            // The bucket was full, and 650 ms came in.
            #expect(Self.crash(&bench, start: .seconds(2), service: .milliseconds(600)) == .milliseconds(3400))
        }

        @Test("No wait is longer than the maximum, and none is shorter than the delay before the first try")
        func bounds() {
            var bench = Self.bench { $0.delays = .init(first: .milliseconds(20), maximum: .seconds(2)) }
            let cheap = Self.crash(&bench, start: .zero, service: .zero, cost: .zero)
            #expect(cheap == .milliseconds(20))
            for _ in 0..<3 { Self.crash(&bench, start: .zero, service: .milliseconds(1), cost: .seconds(9)) }
            #expect(
                Self.crash(&bench, start: .zero, service: .milliseconds(1), cost: .seconds(9)) == .seconds(2)
            )
        }

        @Test("In a fleet that has never been up, it counts as a failed start")
        func neverUp() {
            var bench = Bench.filled(children: 1)
            for delay in [0, 100, 200] {
                #expect(
                    Self.crash(&bench, start: .milliseconds(5), service: .milliseconds(5)) == .milliseconds(delay)
                )
            }
            #expect(bench.supervisor.startFailures.count == 3)
        }

        @Test("Children that serve for random times count as victims of a client, even if none was ever up")
        func poisonFromTheBegin() {
            var bench = Bench.filled(children: 1)
            for service in [10, 200, 35] {
                Self.crash(&bench, start: .milliseconds(20), service: .milliseconds(service))
            }
            #expect(bench.supervisor.startFailures.count == 3)
            for service in [70, 5, 300, 12, 25, 80, 40, 9] {
                let delay = Self.crash(&bench, start: .milliseconds(20), service: .milliseconds(service))
                #expect(delay == .zero, "after \(service) ms")
            }
            #expect(bench.supervisor.startFailures.count == 3)
        }

        @Test("A program that ends as soon as it is ready is restarted within a twelfth of one processor")
        func brokenProgram() {
            var bench = Self.bench { $0.processors = 64 }
            let begin = bench.now
            let cost = Duration.milliseconds(200)
            var restarts = 0
            while bench.now - begin < .seconds(600) {
                Self.crash(&bench, start: .milliseconds(300), service: .milliseconds(1), processorTime: cost)
                restarts += 1
            }
            #expect(bench.supervisor.slots[0].crashes.suspicion == .brokenProgram)
            let share = cost * restarts / (bench.now - begin)
            #expect(share > 0.075 && share < 0.085, "\(share)")
        }

        @Test("A broken program is charged for its whole life, or the time of its start if that is unknown")
        func costOfABrokenProgram() {
            var bench = Self.bench { $0.processors = 64 }
            for _ in 0..<4 { Self.crash(&bench, start: .milliseconds(800), service: .zero) }
            #expect(bench.supervisor.slots[0].crashes.suspicion == .brokenProgram)
            // The fourth has emptied the bucket. 64 ms come in during the next start, and 800 ms are spent.
            #expect(bench.supervisor.brokenBudget != RestartBudget(perMille: 80))
            #expect(Self.crash(&bench, start: .milliseconds(800), service: .zero) == .milliseconds(9200))
            let free = Self.crash(&bench, start: .milliseconds(800), service: .zero, processorTime: .zero)
            #expect(free == .zero)
        }

        @Test("A proven child clears the suspicion against its slot")
        func provenForgets() {
            var bench = Self.bench()
            for _ in 0..<5 { Self.crash(&bench, start: .milliseconds(10), service: .zero) }
            #expect(bench.supervisor.slots[0].crashes.suspicion == .brokenProgram)
            bench.feed(.ready(pid: bench.current(0)?.pid ?? 0))
            bench.wait(.seconds(1))
            #expect(bench.supervisor.slots[0].crashes == Crashes())
        }

        // MARK: Backtraces

        @Test("The first five crashes within a minute print a backtrace, and the children after them do not")
        func backtraces() {
            var bench = Bench.proven(children: 8)
            for pid: Int32 in 100..<104 {
                #expect(bench.feed(.exited(pid: pid, Self.trap)).reports.contains(.backtracesSuppressed) == false)
                bench.wait(.seconds(1))
                bench.feed(.spawned(slot: Int(pid) - 100, pid: pid + 100))
            }
            let fifth = bench.feed(.exited(pid: 104, Self.trap)).reports
            #expect(fifth.first == .backtracesSuppressed)
            #expect(fifth.count == 2)
            #expect(bench.timer() == [.spawn(slot: 4, launch: 1, printsBacktrace: false)])
            bench.feed(.spawned(slot: 4, pid: 204))
            #expect(bench.feed(.exited(pid: 105, Self.trap)).reports.contains(.backtracesSuppressed) == false)
        }

        @Test("A minute without a crash lets new children print backtraces again")
        func backtracesResume() {
            var bench = Bench.proven(children: 8)
            for pid: Int32 in 100..<105 {
                bench.feed(.exited(pid: pid, Self.trap))
                bench.timer()
                bench.feed(.spawned(slot: Int(pid) - 100, pid: pid + 100))
                bench.feed(.ready(pid: pid + 100))
            }
            bench.wait(.seconds(60) - .nanoseconds(1))
            bench.feed(.exited(pid: 105, .exited(1)))
            #expect(bench.feed(.timer) == [.spawn(slot: 5, launch: 1, printsBacktrace: false)])
            bench.feed(.spawned(slot: 5, pid: 205))
            bench.feed(.exited(pid: 106, .exited(1)), after: .nanoseconds(1))
            #expect(
                bench.feed(.timer) == [
                    .report(.backtracesResumed), .spawn(slot: 6, launch: 1, printsBacktrace: true),
                ]
            )
        }

        @Test("Crashes during a stop change nothing")
        func backtracesAtStop() {
            var bench = Bench.proven(children: 8)
            bench.stop()
            for pid: Int32 in 100..<108 {
                #expect(bench.feed(.exited(pid: pid, Self.trap)).reports.contains(.backtracesSuppressed) == false)
            }
        }
    }
}
