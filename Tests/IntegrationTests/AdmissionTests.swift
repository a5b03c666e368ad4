// How a stop treats connections: which are accepted, and how long the stop waits for them.
#if os(Linux)
    import PreforkLibc
    import Testing

    @testable import Prefork

    extension Integration {
        @Suite struct Admission {
            /// A connection attempt, without waiting for its outcome.
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

            /// The outcome of a new attempt: 0 if it is neither accepted nor refused. On the loopback interface the
            /// kernel decides at once.
            private func eventsOfAttempt(_ port: Int) throws -> Int16 {
                let client = try attempt(port)
                let events = events(client.raw)
                client.close()
                return events
            }

            private func fleetThatNeverDrains(
                _ count: Int, _ listening: FleetRole.Listening
            ) throws -> (Subject, children: [pid_t], port: Int) {
                let subject = try Subject.start(
                    FleetRole(children: count, listening: listening, gracePeriod: .seconds(60), serve: .neverDrain))
                return (subject, try subject.waitForReady(count), try subject.port())
            }

            /// After a stop begins, no connection is accepted, and none is refused before the last child has exited.
            @Test(arguments: FleetRole.Listening.allCases)
            func newConnectionsAreHeldOff(listening: FleetRole.Listening) throws {
                let (subject, children, port) = try fleetThatNeverDrains(3, listening)
                subject.signal(SIGTERM)
                try subject.waitForLog("stopping: signal 15 (TERM)")
                try subject.eventually("admission is closed") { try eventsOfAttempt(port) == 0 }
                let late = try attempt(port)
                #expect(events(late.raw) == 0, subject.log)
                for pid in children.dropLast() { kill(pid, SIGKILL) }
                try subject.eventually("one child is left") { subject.descendants.count == 1 }
                for _ in 0..<50 { try #require(eventsOfAttempt(port) == 0, subject.log("while one child is left")) }
                kill(children[2], SIGKILL)
                try subject.waitForReport("clean")
                let after = try attempt(port)
                #expect(events(after.raw) & Int16(POLLERR | POLLHUP) != 0, subject.log("refused"))
            }

            /// Everything that a stop needs is opened at the start, because the stop may find no free descriptor.
            @Test(arguments: FleetRole.Listening.allCases)
            func aStopNeedsNoDescriptor(listening: FleetRole.Listening) throws {
                let (subject, children, port) = try fleetThatNeverDrains(2, listening)
                // All numbers below it are taken, but poll(2) refuses more entries than this limit.
                let none = ["/usr/bin/prlimit", "--pid", "\(subject.pid)", "--nofile=10:"]
                try #require(Namespace.runs(none), "prlimit (util-linux)")
                subject.signal(SIGTERM)
                try subject.eventually("admission is closed") { try eventsOfAttempt(port) == 0 }
                for pid in children { kill(pid, SIGKILL) }
                try subject.waitForReport("clean")
                #expect(subject.logLines("accepts connections while").isEmpty, subject.log)
            }

            /// Connections that were queued while no child accepted are answered.
            @Test(arguments: FleetRole.Listening.allCases)
            func queuedConnectionsAreAnswered(listening: FleetRole.Listening) throws {
                let subject = try Subject.hello(["--children", "2", "--listening", listening.rawValue])
                let children = try subject.waitForReady(2)
                let port = try subject.port()
                try subject.suspend(children)
                let clients = try (0..<40).map { _ in try #require(Connection.open(port: port)) }
                subject.signal(SIGTERM)
                try subject.waitForLog("stopping: signal 15 (TERM)")
                for pid in children { kill(pid, SIGCONT) }
                for client in clients { try #require(client.request("/") == .hello, subject.log) }
                try subject.expectExit(0)
            }

            /// The stop waits for handshakes in progress, because their clients take themselves for connected. Here a
            /// child makes them take long, unknown to the configuration.
            @Test(arguments: FleetRole.Listening.allCases)
            func handshakesInProgressAreAnswered(listening: FleetRole.Listening) throws {
                let subject = try Subject.start(
                    FleetRole(listening: listening, queueDrainPeriod: .seconds(20), serve: .answerDeferred))
                try subject.eventually("two children defer") { subject.reports("defers").count == 2 }
                let port = try subject.port()
                let clients = try (0..<5).map { _ in try #require(Connection.open(port: port)) }
                subject.signal(SIGTERM)
                try subject.waitForLog("stopping: signal 15 (TERM)")
                // While admission closes, or after it.
                for client in clients { try #require(client.request("/").body != nil, subject.log) }
                try subject.waitForReport("clean")
            }

            enum Deferring: CaseIterable { case byConfiguration, byChild }

            /// A client that never finishes a handshake holds up a stop for half a second, or not at all if the
            /// configuration defers.
            @Test(arguments: Deferring.allCases)
            func endlessHandshakes(deferring: Deferring) throws {
                var role = FleetRole(queueDrainPeriod: .seconds(20))
                switch deferring {
                case .byConfiguration: role.deferAccept = .seconds(20)
                case .byChild: role.serve = .answerDeferred
                }
                let subject = try Subject.start(role)
                _ = try subject.waitForReady(2)
                if deferring == .byChild {
                    try subject.eventually("two children defer") { subject.reports("defers").count == 2 }
                }
                let port = try subject.port()
                let client = try #require(Connection.open(port: port))
                let start = ContinuousClock.now
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
                // Far less than the period for queues.
                #expect(ContinuousClock.now - start < .seconds(10), subject.log)
                withExtendedLifetime(client) {}
            }

            /// A hung child holds up the stop for the configured periods and no longer.
            @Test(arguments: FleetRole.Listening.allCases)
            func aHungChildDoesNotHoldUpTheStop(listening: FleetRole.Listening) throws {
                let subject = try Subject.start(
                    FleetRole(
                        children: 1, listening: listening, gracePeriod: .milliseconds(200),
                        queueDrainPeriod: .milliseconds(200)))
                let children = try subject.waitForReady(1)
                let port = try subject.port()
                try subject.suspend(children)
                let client = try #require(Connection.open(port: port))
                let start = ContinuousClock.now
                subject.signal(SIGTERM)
                try subject.waitForLog("killing it")
                #expect(ContinuousClock.now - start >= .milliseconds(400), subject.log("both periods"))
                try subject.waitForReport("clean")
                withExtendedLifetime(client) {}
            }

            @Test func aSecondInterruptDoesNotWaitForTheQueues() throws {
                let subject = try Subject.start(
                    FleetRole(children: 1, gracePeriod: .seconds(60), queueDrainPeriod: .seconds(60)))
                let children = try subject.waitForReady(1)
                let port = try subject.port()
                try subject.suspend(children)
                let client = try #require(Connection.open(port: port))
                subject.signal(SIGINT)
                try subject.waitForLog("stopping: signal 2 (INT)")
                poll(nil, 0, 1050)  // An INT within a second is the same request, as of a held Ctrl-C.
                subject.signal(SIGINT)
                try subject.waitForReport("clean")
                withExtendedLifetime(client) {}
            }

            @Test func anEventSaysIfAdmissionCannotClose() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let subject = try Subject.start(
                    FleetRole(children: 1, addresses: [.unix("\(directory)/s"), .loopback()], serve: .waitForStop))
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
                let lines = subject.logLines("accepts connections while")
                try #require(lines.count == 1, subject.log)
                #expect(
                    lines[0].hasSuffix("keep new connections out; those that no child accepts are reset"), subject.log)
                // Without a period for queues, admission does not have to close.
                let without = try Subject.start(
                    FleetRole(
                        children: 1, addresses: [.unix("\(directory)/s")], queueDrainPeriod: .zero,
                        serve: .waitForStop))
                _ = try without.waitForReady(1)
                without.signal(SIGTERM)
                try without.waitForReport("clean")
                #expect(without.logLines("accepts connections while") == [], without.log)
            }

            @Test(arguments: FleetRole.Listening.allCases)
            func aStopUnderLoadCutsNothing(listening: FleetRole.Listening) throws {
                for _ in 0..<repetitions(20) {
                    let subject = try Subject.hello(["--children", "4", "--listening", listening.rawValue])
                    _ = try subject.waitForReady(4)
                    let load = Load(port: try subject.port(), clients: 6)
                    try subject.eventually("requests") { load.answered > 500 }
                    subject.signal(SIGTERM)
                    try subject.expectExit(0)
                    let count = load.stop()
                    try #require(count.cut == 0, subject.log("\(count)"))
                    try #require(count.timedOut == 0, subject.log("\(count)"))
                }
            }
        }
    }
#endif
