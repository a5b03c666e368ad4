// The requests of programs that bind by themselves: waits, many of them, and the end of the master.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    extension Integration {
        @Suite struct TakeoverRequestTests {
            // MARK: A wait for the master

            /// Starts a child, suspends the master, and lets the child bind.
            private static func waiting() throws -> (subject: Subject, child: pid_t) {
                let subject = try Subject.takeover(
                    "children:1", "grace:500", "ignore-term", "await", "bind:127.0.0.1:0", "idle")
                try subject.waitForReport("awaiting")
                let child = try #require(subject.descendants.first, subject.log).pid
                subject.signal(SIGSTOP)
                try subject.eventually("a suspended master") { ProcessState(subject.pid)?.state == "T" }
                kill(child, SIGUSR1)
                try subject.waitForReport("awaited")
                // Nothing but bind(2) can hold it from now on.
                try subject.eventually("a child that waits") { ProcessState(child)?.state == "S" }
                return (subject, child)
            }

            @Test("A signal does not end the wait for the master's answer")
            func interrupted() throws {
                let (subject, child) = try Self.waiting()
                kill(child, SIGUSR2)
                try subject.waitForReport("interrupted")
                try subject.eventually("a child that waits again") { ProcessState(child)?.state == "S" }
                #expect(subject.reports("bind") == [], subject.log)
                subject.signal(SIGCONT)
                try subject.waitForReport("bind 127.0.0.1:0 0")
                #expect(try subject.waitForReady(1) == [child], subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// The program goes on after the error and ignores SIGTERM, so only the child's own thread can end it.
            @Test("The master's death ends the wait, and a program that ignores SIGTERM ends with the grace period")
            func masterDeathDuringTheWait() throws {
                let (subject, _) = try Self.waiting()
                subject.signal(SIGKILL)
                try subject.wait()
                try subject.waitForReport("bind 127.0.0.1:0 errno \(EADDRNOTAVAIL)")
                try subject.waitUntilAlone()
                #expect(subject.logLines("not drained within 0.5 s; exiting").count == 1, subject.log)
            }

            @Test("A signal that the program blocks waits for the program")
            func blockedSignal() throws {
                let subject = try Subject.takeover("children:1", "bind:127.0.0.1:0", "sigwait")
                let child = try subject.waitForReady(1)[0]
                try subject.waitForReport("blocked")
                kill(child, SIGTERM)
                try subject.waitForReport("took \(SIGTERM)")
                try subject.waitForLog("child \(child) (slot 0) exited: status 0")
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test("A child that dies while it waits is no error of the master")
            func deathDuringTheWait() throws {
                let (subject, child) = try Self.waiting()
                kill(child, SIGKILL)
                subject.signal(SIGCONT)
                try subject.waitForLog("child \(child) (slot 0) exited: signal 9")
                #expect(subject.logLines("sendmsg").isEmpty, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            // MARK: Many requests

            @Test("A program that binds in a loop gets all answers, and the log says once why they fail")
            func loop() throws {
                let subject = try Subject.takeover(
                    "children:1", "give:127.0.0.1:0", "bind:127.0.0.1:0", "repeat:3000,127.0.0.1:0", "serve")
                try subject.waitForReport("serving")
                let port = try subject.port()
                #expect(subject.reports("repeat") == ["3000 0"], subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                let wider = try Subject.takeover(
                    "children:1", "give:127.0.0.1:\(port)", "bind:127.0.0.1:\(port)", "repeat:3000,0.0.0.0:\(port)",
                    "serve")
                try wider.waitForReport("serving")
                #expect(wider.reports("repeat") == ["3000 errno \(EADDRINUSE)"], wider.log)
                #expect(wider.logLines("which 127.0.0.1:\(port) excludes").count == 1, wider.log)
                wider.signal(SIGTERM)
                try wider.expectExit(0)
            }

            @Test("Listeners that only dead children have used make room for new ones")
            func addressesOfDeadChildren() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let subject = try Subject.takeover(
                    "children:1", "bind:127.0.0.1:0", "repeat:150,\(directory)/%-#", "serve")
                try subject.waitForReport("serving")
                let port = try subject.port()
                // The program has closed them, but the master keeps them while the child lives.
                let expected = ["127 0", "23 errno \(EMFILE)"]
                #expect(subject.reports("repeat") == expected, subject.log)
                let first = try #require(subject.descendants.first, subject.log).pid
                kill(first, SIGKILL)
                try subject.eventually("a replacement") { subject.reports.filter { $0 == "serving" }.count == 2 }
                #expect(subject.reports("repeat") == expected + expected, subject.log)
                #expect(subject.boundPorts == [port, port], subject.log)
                let second = try #require(subject.descendants.first, subject.log).pid
                #expect(answering(port) == [second], subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(listDirectory(directory) == [], subject.log)
            }

            @Test("A master that may open few files keeps some to replace children")
            func reserve() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let subject = try Subject.takeover(
                    "children:1", "bind:127.0.0.1:0", "repeat:100,\(directory)/%-#", "serve",
                    under: ["/usr/bin/prlimit", "--nofile=64"])
                try subject.waitForReport("serving")
                #expect(listDirectory("/proc/\(subject.pid)/fd").count <= 48, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test("A master without a free descriptor fails one bind, and answers the next")
            func masterWithoutDescriptors() throws {
                let subject = try Subject.takeover(
                    "children:1", "await", "bind:127.0.0.1:0", "await", "bind:127.0.0.1:0", "serve")
                try subject.waitForReport("awaiting")
                let child = try #require(subject.descendants.first, subject.log).pid
                let open = Set(listDirectory("/proc/\(subject.pid)/fd").compactMap { Int($0) })
                let free = try #require((0...).first { !open.contains($0) })
                func limit(_ number: Int) throws {
                    let words = ["/usr/bin/prlimit", "--pid", "\(subject.pid)", "--nofile=\(number):"]
                    try #require(Namespace.runs(words), "prlimit (util-linux)")
                }
                try limit(free)
                kill(child, SIGUSR1)
                try subject.waitForReport("bind 127.0.0.1:0 errno \(EADDRNOTAVAIL)")
                try limit(1024)
                try subject.eventually("a second wait") { subject.reports.filter { $0 == "awaiting" }.count == 2 }
                kill(child, SIGUSR1)
                try subject.waitForReport("bind 127.0.0.1:0 0")
                try subject.waitForReport("serving")
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            // MARK: The master's death

            @Test("The master's death reaches the program as SIGTERM")
            func masterDeath() throws {
                let subject = try Subject.takeover("bind:127.0.0.1:0", "serve")
                _ = try subject.waitForReady(2)
                try subject.eventually("both serve") { subject.reports.filter { $0 == "serving" }.count == 2 }
                subject.signal(SIGKILL)
                try subject.wait()
                try subject.waitUntilAlone()
                #expect(subject.reports.filter { $0 == "drained" }.count == 2, subject.log)
            }
        }
    }
#endif
