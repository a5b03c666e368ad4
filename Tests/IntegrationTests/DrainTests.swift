// The async form, and a drain as a child sees it.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Drain {
            /// `main` does not return, so no run precedes it in a child, even if the master has run others before.
            @Test func mainAfterARunOfTheMaster() throws {
                let subject = try Subject.start(MainAfterRunRole())
                try subject.eventually("two children serve") { subject.reports("serving").count == 2 }
                #expect(subject.reports("first") == ["ended"], subject.log("only the master ran it"))
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func asyncStopBySignal() throws {
                let subject = try Subject.start(AsyncFleetRole())
                _ = try subject.waitForReady(2)
                subject.signal(SIGTERM)
                try subject.waitForReport("returned")
                // A drain does not cancel.
                #expect(subject.reports("stopRequested") == ["cancelled false", "cancelled false"], subject.log)
                #expect(subject.reports.contains("childless"), subject.log)
                try subject.wait()
            }

            @Test func asyncRunsAgainAndLeavesNothing() throws {
                let subject = try Subject.start(AsyncFleetRole(runs: 3))
                for run in 1...3 {
                    try subject.eventually("run \(run)") { subject.readyPIDs.count == 2 * run }
                    subject.signal(SIGTERM)
                    try subject.eventually("the end of run \(run)") { subject.reports("returned").count == run }
                }
                // The pool opens what it needs when a task first waits. Later runs must not add anything.
                #expect(subject.reports("clean").count >= 2, subject.log)
                try subject.wait()
            }

            /// A second task is cancelled before its run can begin. It ends at once and does not affect other runs.
            @Test func cancellationBeforeTheRunBegins() throws {
                let subject = try Subject.start(CancellationsRole())
                try subject.waitForReport("second ended")
                try subject.waitForReport("refused a fleet is already running in this process")
                try subject.waitForReport("third still runs")
                subject.signal(SIGTERM)
                try subject.waitForReport("third ended")
                try subject.wait()
                try subject.waitUntilAlone()
            }

            @Test func asyncStopByCancellation() throws {
                let subject = try Subject.start(AsyncFleetRole(cancelsRunWhenReady: true))
                try subject.waitForReport("returned")
                #expect(subject.reports.contains("childless"), subject.log)
                try subject.wait()
                try subject.waitUntilAlone()
            }

            @Test func serveIsCancelledShortlyBeforeTheEnd() throws {
                let subject = try Subject.start(
                    AsyncFleetRole(children: 1, gracePeriod: .seconds(2), serve: .untilCancelled))
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.waitForReport("returned")
                // The last tenth of the grace period is left for its exit. A sanitized process takes longer to end.
                if !isSanitized { #expect(subject.logLines("killing it") == [], subject.log) }
                let milliseconds = subject.reports("cancelled after").compactMap { Double($0) }
                try #require(milliseconds.count == 1, subject.log)
                #expect(milliseconds[0] >= 1500, subject.log)
                try subject.wait()
            }

            @Test func drainThatCancels() throws {
                let subject = try Subject.start(
                    AsyncFleetRole(
                        children: 1, gracePeriod: .seconds(60), cancelsOnDrain: true, serve: .untilCancelled))
                _ = try subject.waitForReady(1)
                let start = ContinuousClock.now
                subject.signal(SIGTERM)
                try subject.waitForReport("returned")
                #expect(ContinuousClock.now - start < .seconds(10), subject.log)
                #expect(subject.reports("cancelled").count == 1, subject.log)
                try subject.waitForLog("exited: status 0")
                try subject.wait()
            }

            @Test func callbacksOfADrain() throws {
                let subject = try Subject.start(FleetRole(children: 1, serve: .handleStop))
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.waitForReport("returned")
                #expect(subject.reports("stopping") == ["true"], subject.log)
                // Each runs once and in order. The late one runs at once, beside the others.
                let calls = subject.reports("onStop")
                #expect(calls.filter { $0 != "late" } == ["1", "2"], subject.log)
                #expect(calls.contains("late"), subject.log)
                try subject.wait()
            }

            /// A program that does not handle TERM in its child gets TERM's default action there.
            @Test func childSignalsUnhandled() throws {
                let subject = try Subject.start(FleetRole(children: 1, childHandlesSignals: false))
                let child = try subject.waitForReady(1)[0]
                let caught = try #require(UInt64(statusField("SigCgt", of: "/proc/\(child)/status"), radix: 16))
                #expect(caught & (1 << UInt64(SIGTERM - 1)) == 0, subject.log)
                subject.signal(SIGTERM)
                try subject.waitForLog("signal 15 (TERM)")
                try subject.expectExit(0)
            }
        }
    }
#endif
