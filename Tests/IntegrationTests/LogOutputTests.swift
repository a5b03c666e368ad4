// The texts on standard error and in ps(1).
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    extension Integration {
        @Suite struct LogOutputTests {
            @Test func linesHaveATimeStamp() throws {
                let subject = try Subject.hello()
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.logLines.count > 3, subject.log)
                for line in subject.logLines {
                    let parts = line.split(separator: " ", maxSplits: 1)
                    #expect(parts[0].count == "2026-11-27T14:22:30.123Z".count, subject.log)
                    #expect(parts[0].hasPrefix("20") && parts[0].hasSuffix("Z"), subject.log)
                    #expect(parts[1].hasPrefix("prefork[\(subject.pid)]: "), subject.log)
                }
            }

            /// The journal has a time of its own for each entry.
            @Test func linesForTheJournalHaveNone() throws {
                let script = "JOURNAL_STREAM=$(stat -Lc %d:%i /dev/stderr) exec \"$0\" \"$@\""
                let subject = try Subject.hello(under: ["/bin/sh", "-c", script])
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                for line in subject.logLines { #expect(line.hasPrefix("prefork[\(subject.pid)]: "), subject.log) }
            }

            @Test func linesNameTheSendersOfSignals() throws {
                let subject = try Subject.hello(["--children", "2"])
                let children = try subject.waitForReady(2)
                let sender = "from process \(getpid()) (user \(getuid()))"
                kill(children[0], SIGTERM)
                try subject.waitForLog("drained after SIGTERM \(sender); already replaced")
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.logLines("stopping: signal 15 (TERM) \(sender); ").count == 1, subject.log)
                #expect(subject.logLines(", asked to exit").count == 2, subject.log)
                #expect(subject.logLines("as when serve returns") == [], subject.log)
            }

            @Test func processesHaveNames() throws {
                let subject = try Subject.hello(["--children", "2"])
                let children = try subject.waitForReady(2)
                let names = Set(children.compactMap { readText("/proc/\($0)/comm") })
                #expect(names == ["hello-prefork:0\n", "hello-prefork:1\n"], subject.log)
                #expect(readText("/proc/\(subject.pid)/comm") == "hello-pr:master\n", subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// The first exits line by line, then counts: after ten seconds, and at the stop.
            @Test func aCrashLoopIsSummed() throws {
                let subject = try Subject.hello(["--children", "2"])
                _ = try subject.waitForReady(2)
                let slot = 1
                func child() -> pid_t? {
                    subject.descendants.first { readText("/proc/\($0.pid)/comm") == "hello-prefork:\(slot)\n" }?.pid
                }
                var pid = try #require(child(), subject.log)
                func crash() throws {
                    kill(pid, SIGKILL)
                    try subject.eventually("a replacement of \(pid)") {
                        guard let current = child(), current != pid else { return false }
                        pid = current
                        return true
                    }
                }
                for _ in 0..<(CrashLoopSummary.detailed + 2) { try crash() }
                // A busy machine may take somewhat more than ten seconds.
                let line = try subject.logLine("slot \(slot): 2 exits in 10")
                // A child has its name some moments before it is ready, so it may be killed in between.
                #expect(line.contains(" s: 2 signal 9 (KILL); "), subject.log)
                #expect(line.hasSuffix("; child \(pid) is ready"), subject.log)
                try crash()
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.logLines("slot \(slot): 1 exit in ").count == 1, subject.log)
                let exits = subject.logLines(" exited: signal 9 (KILL)")
                #expect(exits.count == CrashLoopSummary.detailed, subject.log)
            }
        }
    }
#endif
