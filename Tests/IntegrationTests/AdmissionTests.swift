// The stop: who is let in, who is waited for, and for how long.
#if os(Linux)
    import PreforkLibc
    import Testing

    @testable import Prefork

    extension Integration {
        @Suite struct Admission {
            /// A connection that is under way; nobody waits for it.
            private func attempt(_ port: Int) throws -> Descriptor {
                let client = try PlatformListener.makeSocket(family: AF_INET)
                var name = SocketAddress.loopback(family: AF_INET)
                name.port = UInt16(port)
                try name.connect(client.raw)
                return client
            }

            private func events(_ descriptor: CInt) -> Int16 {
                var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&request, 1, 0)
                return request.revents
            }

            /// Whether a newcomer is neither let in nor refused: on the loopback interface it would be so by now.
            private func isClosed(_ port: Int) throws -> Bool {
                let client = try attempt(port)
                let events = events(client.raw)
                client.close()
                return events == 0
            }

            /// From the stop on nobody is let in, and nobody is refused before the last child is gone.
            @Test(arguments: ["sharded", "shared"])
            func newcomersWait(listening: String) throws {
                let subject = try Subject.role("fleet", "children=3;listening=\(listening);serve=deaf;grace=60000")
                let children = try subject.waitForReady(3)
                let port = try subject.port()
                subject.signal(SIGTERM)
                try subject.waitForError("stopping: signal 15 (TERM)")
                try eventually("a closed door") { try isClosed(port) }
                let late = try attempt(port)
                try subject.require(events(late.raw) == 0, "neither let in nor refused")
                for pid in children.dropLast() { kill(pid, SIGKILL) }
                try subject.eventually("one is left") { subject.descendants.count == 1 }
                for _ in 0..<50 {
                    try subject.require(try isClosed(port), "neither let in nor refused while one is left")
                }
                kill(children[2], SIGKILL)
                try subject.waitForTold("clean")
                let after = try attempt(port)
                try subject.require(events(after.raw) & Int16(POLLERR | POLLHUP) != 0, "refused")
            }

            /// What has come in is answered, although it came while nobody accepted.
            @Test(arguments: ["sharded", "shared"])
            func whatIsQueuedIsAnswered(listening: String) throws {
                let subject = try Subject.hello(["--children", "2", "--listening", listening])
                let children = try subject.waitForReady(2)
                let port = try subject.port()
                for pid in children { kill(pid, SIGSTOP) }
                try subject.eventually("stopped children") { children.allSatisfy { ProcessState($0)?.state == "T" } }
                let clients = try (0..<40).map { _ in try #require(Connection.open(port: port)) }
                subject.signal(SIGTERM)
                try subject.waitForError("stopping: signal 15 (TERM)")
                for pid in children { kill(pid, SIGCONT) }
                for client in clients {
                    try subject.require(client.send("/") && body(client.receive()) == "Hello world!", "an answer")
                }
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// A handshake that is under way is waited for: the client takes itself for connected. A child makes them take long,
            /// where the configuration knows nothing of it.
            @Test(arguments: ["sharded", "shared"])
            func handshakesAreWaitedFor(listening: String) throws {
                let subject = try Subject.role(
                    "fleet", "children=2;listening=\(listening);queueDrain=20000;serve=defers")
                try subject.eventually("deferring children") { subject.told("defers").count == 2 }
                let port = try subject.port()
                let clients = try (0..<5).map { _ in try #require(Connection.open(port: port)) }
                subject.signal(SIGTERM)
                try subject.waitForError("stopping: signal 15 (TERM)")
                // While the door closes, or behind it.
                for client in clients {
                    try subject.require(client.send("/") && body(client.receive()) != nil, "an answer")
                }
                try subject.waitForTold("clean")
            }

            /// Who does not end a handshake holds up a stop for half a second; where the configuration defers, for nothing.
            @Test(arguments: ["deferAccept=20000;serve=http", "serve=defers"])
            func endlessHandshakes(settings: String) throws {
                let subject = try Subject.role("fleet", "children=2;queueDrain=20000;\(settings)")
                _ = try subject.waitForReady(2)
                if settings == "serve=defers" {
                    try subject.eventually("deferring children") { subject.told("defers").count == 2 }
                }
                let port = try subject.port()
                let client = try #require(Connection.open(port: port))
                let start = ContinuousClock.now
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
                // Far less than what the drain of the queues may take.
                try subject.require(ContinuousClock.now - start < .seconds(10), "it did not wait for the client")
                withExtendedLifetime(client) {}
            }

            /// A hung child holds up the stop for as long as was allowed, no longer.
            @Test(arguments: ["sharded", "shared"])
            func aHungChildDoesNotHoldUpTheStop(listening: String) throws {
                let subject = try Subject.role(
                    "fleet", "children=1;listening=\(listening);serve=http;queueDrain=200;grace=200")
                let child = try subject.waitForReady(1)[0]
                let port = try subject.port()
                kill(child, SIGSTOP)
                try subject.eventually("a stopped child") { ProcessState(child)?.state == "T" }
                let client = try #require(Connection.open(port: port))
                let start = ContinuousClock.now
                subject.signal(SIGTERM)
                try subject.waitForError("killing it")
                let taken = ContinuousClock.now - start
                try subject.require(taken >= .milliseconds(400), "both periods: \(taken)")
                try subject.waitForTold("clean")
                withExtendedLifetime(client) {}
            }

            @Test func aSecondInterruptDoesNotWaitForTheQueues() throws {
                let subject = try Subject.role("fleet", "children=1;serve=http;queueDrain=60000;grace=60000")
                let child = try subject.waitForReady(1)[0]
                let port = try subject.port()
                kill(child, SIGSTOP)
                try subject.eventually("a stopped child") { ProcessState(child)?.state == "T" }
                let client = try #require(Connection.open(port: port))
                subject.signal(SIGINT)
                try subject.waitForError("stopping: signal 2 (INT)")
                poll(nil, 0, 1050)  // The rule's own time: a held Ctrl-C is one request.
                subject.signal(SIGINT)
                try subject.waitForTold("clean")
                withExtendedLifetime(client) {}
            }

            @Test func whereItCannotBeHadAnEventSaysSo() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let subject = try Subject.role(
                    "fleet", "children=1;addresses=unix:\(directory)/s,127.0.0.1:0;serve=wait")
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
                let lines = subject.errors.split(separator: "\n").filter { $0.contains("accepts connections while") }
                try subject.require(
                    lines.count == 1
                        && lines[0].hasSuffix("keep new connections out; those that no child accepts are reset"),
                    "\(lines)")
                // Nobody has asked for it.
                let without = try Subject.role(
                    "fleet", "children=1;addresses=unix:\(directory)/s;queueDrain=0;serve=wait")
                _ = try without.waitForReady(1)
                without.signal(SIGTERM)
                try without.waitForTold("clean")
                try without.require(!without.errors.contains("accepts connections while"), "no event")
            }

            @Test(arguments: ["sharded", "shared"])
            func aStopUnderLoadCutsNothing(listening: String) throws {
                for _ in 0..<repetitions(20) {
                    let subject = try Subject.hello(["--children", "4", "--listening", listening])
                    _ = try subject.waitForReady(4)
                    let load = Load(port: try subject.port(), clients: 6)
                    try subject.eventually("requests") { load.answered > 500 }
                    subject.signal(SIGTERM)
                    let status = try subject.wait()
                    let count = load.stop()
                    try subject.require(status == 0 && count.cut == 0 && count.timedOut == 0, "\(status), \(count)")
                }
            }
        }
    }
#endif
