// Resizes of real fleets.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Resize {
            /// From 1 to 8 and back, one by one, under load.
            @Test(arguments: ["sharded", "shared"])
            func nothingIsLost(listening: String) throws {
                let subject = try Subject.hello(
                    ["--children", "1", "--listening", listening, "--readiness", "explicit"])
                _ = try subject.waitForReady(1)
                let port = try subject.port()
                let load = Load(port: port, clients: 6)
                for count in Array(2...8) + (1...7).reversed() {
                    let before = try subject.waitForChildren(subject.descendants.count) { _ in true }.count
                    subject.signal(count > before ? SIGTTIN : SIGTTOU)
                    try subject.waitForLog("resized from \(before) to \(count) children")
                    try subject.waitForChildren(count) { _ in true }
                }
                let count = load.stop()
                #expect(count.answered > 0 && count.cut + count.refused + count.timedOut == 0, subject.log("\(count)"))
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.logLines("has not exited") == [], subject.log)
            }

            /// The child of a slot that leaves is killed before it has accepted everything. The master closes what is
            /// left in its queue, and reports the number.
            @Test func whatNoChildAcceptsIsClosed() throws {
                let subject = try Subject.hello(
                    ["--children", "2", "--listening", "sharded", "--readiness", "explicit", "--grace", "0.3"])
                _ = try subject.waitForReady(2)
                let port = try subject.port()
                // The child of slot 1 is stopped, so that its queue fills. Children are ready in any order.
                let line = try #require(subject.logLines("(slot 1) ready after ").first, subject.log)
                let word = line.split(separator: " ").first { Int($0) != nil }
                try subject.suspend([try #require(word.flatMap { pid_t($0) }, subject.log)])
                var connections: [Connection] = []
                while connections.count < 12 { connections.append(try #require(Connection.open(port: port))) }
                for connection in connections { try #require(connection.send("/")) }
                subject.signal(SIGTTOU)
                try subject.waitForLog("because the slot has left the fleet")
                let replies = connections.map { $0.receive() }
                #expect(replies.allSatisfy { $0 == .hello || $0 == .cut }, subject.log("\(replies)"))
                #expect(replies.contains(.cut) && replies.contains(.hello), subject.log("\(replies)"))
            }

            /// Above the limit of descriptors, nothing changes.
            @Test func aLimitOfDescriptors() throws {
                let subject = try Subject.hello(
                    ["--children", "10", "--listening", "sharded", "--readiness", "explicit"],
                    under: ["/bin/sh", "-c", "ulimit -n 80; exec \"$0\" \"$@\""])
                _ = try subject.waitForReady(10)
                let start = ContinuousClock.now
                while subject.logLines("cannot resize").isEmpty, ContinuousClock.now - start < .seconds(20) {
                    let count = subject.logLines("resized from").count
                    subject.signal(SIGTTIN)
                    try subject.eventually("an answer") {
                        subject.logLines("resized from").count > count || !subject.logLines("cannot resize").isEmpty
                    }
                }
                #expect(subject.logLines("(RLIMIT_NOFILE)").count == 1, subject.log)
                let children = 10 + subject.logLines("resized from").count
                try subject.waitForChildren(children) { _ in true }
                #expect(get("/", port: try subject.port()) == .hello, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// A stop after a resize keeps new connections out of a group that has grown from one socket.
            @Test func aStopAfterAResizeResetsNothing() throws {
                let subject = try Subject.hello(
                    ["--children", "1", "--listening", "sharded", "--readiness", "explicit"])
                _ = try subject.waitForReady(1)
                let port = try subject.port()
                for count in 2...3 {
                    subject.signal(SIGTTIN)
                    try subject.waitForLog("resized from \(count - 1) to \(count) children")
                }
                _ = try subject.waitForReady(3)
                let load = Load(port: port, clients: 6)
                try subject.eventually("answers") { load.answered > 200 }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                let count = load.stop()
                #expect(count.cut + count.timedOut == 0, subject.log("\(count)"))
            }
        }
    }
#endif
