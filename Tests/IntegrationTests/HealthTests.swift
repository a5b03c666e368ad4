// Children that live but do not respond.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Health {
            /// An event loop that is blocked, a loop that spins, and a process that is stopped.
            @Test(arguments: ["/hang", "/spin", "stop"])
            func withoutABeat(way: String) throws {
                let subject = try Subject.hello(
                    [
                        "--children", "2", "--listening", "sharded", "--readiness", "explicit",
                        "--heartbeat-timeout", "1", "--abort-grace", "1",
                    ])
                let first = try subject.waitForReady(2)
                let port = try subject.port()
                let connection = try #require(Connection.open(port: port))
                let victim = try #require(connection.request("/pid", keepAlive: true).pid, subject.log)
                let start = ContinuousClock.now
                if way == "stop" { kill(victim, SIGSTOP) } else { try #require(connection.send(way)) }
                try subject.waitForLog(" does not respond: no beat for 1 s")
                #expect(subject.logLines("child \(victim) ").contains { $0.contains("does not respond") }, subject.log)
                #expect(ContinuousClock.now - start < .seconds(isSanitized ? 10 : 3), subject.log)
                try subject.waitForChildren(2) { $0 != victim }
                #expect(subject.descendants.contains { first.contains($0.pid) }, subject.log("the other one stays"))
                for _ in 0..<20 { #expect(get("/", port: port) == .hello, subject.log) }
                // SIGABRT reaches a process that runs, and SIGKILL one that is stopped.
                let signal = way == "stop" ? "signal 9 (KILL)" : "signal 6 (ABRT)"
                #expect(subject.logLines("child \(victim) ").contains { $0.contains(signal) }, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// Without beats, the queue shows that a child is blocked, or stopped.
            @Test(arguments: ["/hang", "stop"])
            func aQueueThatWaits(way: String) throws {
                let subject = try Subject.hello(
                    [
                        "--children", "1", "--listening", "sharded", "--readiness", "explicit",
                        "--queue-stall-timeout", "1", "--abort-grace", "1",
                    ])
                let victim = try subject.waitForReady(1)[0]
                let port = try subject.port()
                let blocked = try #require(Connection.open(port: port))
                if way == "stop" {
                    try #require(blocked.request("/pid", keepAlive: true).pid == victim, subject.log)
                    try subject.suspend([victim])
                } else {
                    try #require(blocked.send(way))
                    try subject.waitUntilInFlight(1)
                }
                // These wait in the queue, and the next child serves them.
                let waiting = try (0..<3).map { _ in try #require(Connection.open(port: port)) }
                for connection in waiting { try #require(connection.send("/")) }
                try subject.waitForLog("child \(victim) (slot 0) does not respond: ")
                #expect(subject.logLines(" in its queue, and no processor time for ").count == 1, subject.log)
                for connection in waiting { #expect(connection.receive() == .hello, subject.log) }
                #expect(blocked.receive() == .cut, subject.log)
            }

            /// A paused machine, and children that are busy, are no reason to replace anybody.
            @Test func noFalseAlarm() throws {
                let subject = try Subject.hello(
                    [
                        "--children", "2", "--listening", "sharded", "--readiness", "explicit",
                        "--heartbeat-timeout", "2", "--queue-stall-timeout", "2",
                    ])
                let children = try subject.waitForReady(2)
                let load = Load(port: try subject.port(), clients: 8)
                let all = [subject.pid] + children
                for pid in all { kill(pid, SIGSTOP) }
                poll(nil, 0, 4000)  // The machine is paused for longer than both timeouts.
                for pid in all.reversed() { kill(pid, SIGCONT) }
                let answered = load.answered
                try subject.eventually("answers") { load.answered > answered + 500 }
                let count = load.stop()
                #expect(count.cut + count.refused == 0, subject.log("\(count)"))
                #expect(subject.logLines("does not respond") == [], subject.log)
                #expect(Set(subject.descendants.map(\.pid)) == Set(children), subject.log)
            }

            /// All threads of the cooperative pool are blocked, and the program registers nothing.
            @Test func anExhaustedPool() throws {
                let subject = try Subject.start(
                    AsyncFleetRole(children: 1, heartbeatTimeout: .seconds(1), serve: .exhaustPool))
                let victim = try subject.waitForReady(1)[0]
                try subject.waitForLog("does not respond: no beat")
                try subject.waitForChildren(1) { $0 != victim }
            }
        }
    }
#endif
