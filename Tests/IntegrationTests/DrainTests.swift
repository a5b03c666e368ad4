// The async form, and what a child sees of a drain.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Drain {
            /// `main` does not return, so no run is behind it, whatever the master has run before.
            @Test func mainAfterARunOfTheMaster() throws {
                let subject = try Subject.role("mainAfterRun")
                try subject.eventually("two children serve") { subject.told("serving").count == 2 }
                try subject.require(subject.told("first") == ["ended"], "the master's own run: \(subject.told)")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test func asyncStopBySignal() throws {
                let subject = try Subject.role("fleet", "async;children=2")
                _ = try subject.waitForReady(2)
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
                try subject.require(
                    subject.told("stopRequested") == ["cancelled false", "cancelled false"],
                    "a drain is no cancel"
                )
                try subject.require(subject.told.contains("childless"), "no child left")
                try subject.wait()
            }

            @Test func asyncRunsAgainAndLeavesNothing() throws {
                let subject = try Subject.role("fleet", "async;children=2;runs=3;serve=stop")
                for run in 1...3 {
                    try subject.eventually("run \(run)") { subject.readyPIDs.count == 2 * run }
                    subject.signal(SIGTERM)
                    try subject.eventually("the end of run \(run)") { subject.told("returned").count == run }
                }
                // The pool opens what it needs with the first task that waits; after that nothing may be added.
                try subject.require(subject.told("clean").count >= 2, "nothing left: \(subject.told("left"))")
                try subject.wait()
            }

            /// A second task is cancelled before its run can begin: it ends at once, and takes no other run with it.
            @Test func cancellationBeforeTheRunBegins() throws {
                let subject = try Subject.role("cancellations")
                try subject.waitForTold("second ended")
                try subject.waitForTold("refused a master is already running in this process")
                try subject.waitForTold("third still runs")
                subject.signal(SIGTERM)
                try subject.waitForTold("third ended")
                try subject.wait()
                try subject.waitUntilAlone()
            }

            @Test func asyncStopByCancellation() throws {
                let subject = try Subject.role("fleet", "async;children=2;cancelWhenReady")
                try subject.waitForTold("returned")
                try subject.require(subject.told.contains("childless"), "no child left")
                try subject.wait()
                try subject.waitUntilAlone()
            }

            @Test func serveIsCancelledShortlyBeforeTheEnd() throws {
                let subject = try Subject.role("fleet", "async;children=1;grace=2000;serve=cancelled")
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
                // Its exit has the last tenth of the grace period; a sanitizer takes longer to end a process.
                if !isSanitized { try subject.require(!subject.errors.contains("killing it"), "it left by itself") }
                let after = Double(subject.told("cancelled").first?.split(separator: " ").last ?? "")
                try subject.require(after.map { $0 >= 1500 } == true, "late in the 2 s: \(subject.told)")
                try subject.wait()
            }

            @Test func drainThatCancels() throws {
                let subject = try Subject.role("fleet", "async;children=1;grace=60000;serve=cancelled;cancelOnDrain")
                _ = try subject.waitForReady(1)
                let start = ContinuousClock.now
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
                try subject.require(ContinuousClock.now - start < .seconds(10), "at once")
                try subject.require(subject.told("cancelled").count == 1, "it was cancelled")
                try subject.waitForError("exited: status 0")
                try subject.wait()
            }

            @Test func callbacksOfADrain() throws {
                let subject = try Subject.role("fleet", "children=1;serve=callbacks")
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
                try subject.require(subject.told.contains("stopping true"), "isStopping")
                let calls = subject.told("onStop")
                try subject.require(calls.filter { $0 != "late" } == ["1", "2"], "each once, in order: \(calls)")
                try subject.require(calls.contains("late"), "a late one at once")
                try subject.wait()
            }

            @Test func childSignalsUnhandled() throws {
                // The program handles TERM itself in the child; here it does not, so TERM's default ends it.
                let subject = try Subject.role("fleet", "children=1;childUnhandled")
                let child = try subject.waitForReady(1)[0]
                try subject.require(
                    UInt64(statusField("SigCgt", of: "/proc/\(child)/status"), radix: 16).map { $0 & (1 << 14) == 0 }
                        == true,
                    "TERM is not caught in the child"
                )
                subject.signal(SIGTERM)
                try subject.waitForError("signal 15 (TERM)")
                try subject.require(subject.wait() == 0, "status 0")
            }
        }
    }
#endif
