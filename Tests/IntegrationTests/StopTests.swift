// Stops by signal: once, twice, at any moment, with requests in flight, and with children that do not exit.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Stop {
            @Test(arguments: [SIGTERM, SIGINT])
            func signalStops(number: CInt) throws {
                let subject = try Subject.hello(["--children", "2"])
                _ = try subject.waitForReady(2)
                subject.signal(number)
                try subject.expectExit(0)
                #expect(subject.descendants.map(\.pid) == [], subject.log)
                #expect(subject.standardError.hasSuffix("stopped\n"), subject.log)
            }

            /// Ctrl-C reaches the whole process group. Children ignore it and drain when the master tells them to.
            @Test func interruptOfTheGroup() throws {
                let subject = try Subject.hello(["--children", "2"])
                _ = try subject.waitForReady(2)
                let connection = try #require(Connection.open(port: try subject.port()))
                try #require(connection.send("/slow?ms=300"))
                try subject.waitUntilInFlight(1)
                kill(-subject.pid, SIGINT)
                #expect(connection.receive() == .hello, subject.log)
                try subject.expectExit(0)
            }

            /// TERM while the fleet starts, at any moment.
            @Test func termDuringStart() throws {
                for round in 0..<repetitions(100) {
                    let subject = try Subject.hello(["--children", "16"])
                    if round % 4 != 0 { try subject.waitForLog("to watch children") }
                    if round % 4 > 1 { try subject.waitForLog("(slot \(round % 16)) started") }
                    subject.signal(SIGTERM)
                    // Without its handlers, the master ends by TERM's default action and has no children.
                    let expected = round % 4 == 0 ? [0, 128 + SIGTERM] : [0]
                    let status = try subject.wait()
                    try #require(expected.contains(status), subject.log("in round \(round)"))
                    try subject.waitUntilAlone()
                }
            }

            /// Any number of TERMs is one request. A second INT kills, if it comes a second after the first.
            @Test func aSecondInterruptKills() throws {
                let subject = try Subject.start(FleetRole(gracePeriod: .seconds(60), serve: .ignoreTerm))
                try subject.eventually("two children that ignore TERM") { subject.reports("ignoresTerm").count == 2 }
                subject.signal(SIGTERM)
                try subject.waitForLog("stopping: signal")
                subject.signal(SIGTERM)
                try subject.waitForLog("already stopping (signal 15 (TERM) from process ")
                subject.signal(SIGINT)
                try subject.waitForLog("already stopping (signal 2 (INT) from process ")
                poll(nil, 0, 1050)  // An INT within a second is the same request, as of a held Ctrl-C.
                subject.signal(SIGTERM)
                subject.signal(SIGUSR1)
                try subject.waitForLog("status: master")
                #expect(subject.logLines("kill") == [], subject.log("TERM never kills"))
                let start = ContinuousClock.now
                subject.signal(SIGINT)
                try subject.expectExit(0)
                #expect(ContinuousClock.now - start < .seconds(10), subject.log("not the whole grace period"))
                #expect(subject.logLines("a second SIGINT kills it").count == 2, subject.log)
                try subject.waitUntilAlone()
            }

            /// From the first to the last moment of a stop, no signal turns it into a death by signal.
            @Test func termWithoutEnd() throws {
                for _ in 0..<repetitions(50) {
                    let subject = try Subject.hello(["--children", "4"])
                    _ = try subject.waitForReady(4)
                    let end = ContinuousClock.now + .seconds(20)
                    while ProcessState(subject.pid)?.isZombie == false, ContinuousClock.now < end {
                        kill(-subject.pid, SIGTERM)
                        sched_yield()
                    }
                    try subject.expectExit(0)
                    let exits = subject.logLines(" exited: ")
                    try #require(exits.count == 4, subject.log)
                    try #require(exits.filter { !$0.contains(": status 0 ") } == [], subject.log)
                }
            }

            /// After a hook, the master sees at once that the child is ready and that it must stop. It stops a ready
            /// child.
            @Test(arguments: [true, false])
            func aChildThatBecameReadyBeforeTheStopIsReady(bySignal: Bool) throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let subject = try Subject.start(
                    FleetRole(
                        children: 1, onMasterReady: .holds(untilExists: "\(directory)/go", thenStops: !bySignal)))
                try subject.eventually("the hook") { !subject.reports("onMasterReady").isEmpty }
                // A child that answers has said before that it is ready.
                try #require(get("/", port: subject.port()).pid != nil, subject.log)
                if bySignal {
                    subject.signal(SIGTERM)
                    try subject.eventually("a thread handles it") {
                        statusField("ShdPnd", of: "/proc/\(subject.pid)/status").allSatisfy { $0 == "0" }
                    }
                }
                #expect(subject.logLines(" ready after ") == [], subject.log("the hook still runs"))
                try #require(close(open("\(directory)/go", O_CREAT | O_WRONLY, 0o600)) == 0)
                try subject.waitForReport("returned")
                let lines = subject.logLines
                let ready = try #require(lines.firstIndex { $0.contains(" ready after ") }, subject.log)
                let stop = try #require(lines.firstIndex { $0.contains(": stopping: ") }, subject.log)
                #expect(ready < stop, subject.log)
                try subject.wait()
            }

            @Test func childrenThatIgnoreTermAreKilledAfterTheGracePeriod() throws {
                let subject = try Subject.start(
                    FleetRole(children: 3, gracePeriod: .milliseconds(400), serve: .ignoreTerm))
                try subject.eventually("three children that ignore TERM") {
                    subject.reports("ignoresTerm").count == 3
                }
                let start = ContinuousClock.now
                subject.signal(SIGTERM)
                try subject.waitForReport("returned")
                let elapsed = ContinuousClock.now - start
                #expect(elapsed >= .milliseconds(400), subject.log)
                if !isSanitized { #expect(elapsed < .milliseconds(1400), subject.log) }
                #expect(subject.reports.contains("clean"), subject.log)
                #expect(subject.reports.contains("childless"), subject.log)
                try subject.wait()
            }

            @Test func requestsInFlightAreAnswered() throws {
                for _ in 0..<repetitions(20) {
                    let subject = try Subject.hello(["--children", "2"])
                    _ = try subject.waitForReady(2)
                    let port = try subject.port()
                    // Longer than the children may wait until the master tells them to stop (queueDrainPeriod).
                    let slow = try (0..<8).map { _ in try #require(Connection.open(port: port)) }
                    for connection in slow { try #require(connection.send("/slow?ms=1500", keepAlive: true)) }
                    let idle = try #require(Connection.open(port: port))
                    try #require(idle.request("/", keepAlive: true).body != nil, subject.log)
                    try subject.waitUntilInFlight(9)
                    subject.signal(SIGTERM)
                    // With `Connection: close`.
                    for connection in slow { try #require(connection.receive() == .hello, subject.log) }
                    // A request that still arrives on an open connection is answered, too.
                    let late = idle.request("/", keepAlive: true)
                    try #require([.hello, .cut].contains(late), subject.log("the last request: \(late)"))
                    try subject.expectExit(0)
                }
            }

            @Test func idleConnectionsDoNotHoldUpAStop() throws {
                let subject = try Subject.hello(["--children", "1"])
                _ = try subject.waitForReady(1)
                let idle = try #require(Connection.open(port: try subject.port()))
                try #require(idle.request("/", keepAlive: true).body != nil, subject.log)
                let start = ContinuousClock.now
                subject.signal(SIGTERM)
                #expect(idle.waitForEnd(), subject.log)
                try subject.expectExit(0)
                // After a linger, not the grace period.
                #expect(ContinuousClock.now - start < .seconds(4), subject.log)
            }

            /// The grace period begins when the children are told to stop, even if the master was busy when TERM came.
            @Test func graceBeginsWhenTheChildrenAreTold() throws {
                let subject = try Subject.start(
                    FleetRole(gracePeriod: .seconds(3), onMasterReady: .takes(.milliseconds(3300))))
                try subject.eventually("the hook") { subject.reports("onMasterReady").count == 1 }
                subject.signal(SIGTERM)
                try subject.waitForReport("returned")
                #expect(subject.logLines("killing it") == [], subject.log)
                try subject.wait()
            }

            /// If the stop began without a signal, the first INT is a request like it, and the second kills.
            @Test func firstInterruptAfterARequestDoesNotKill() throws {
                let subject = try Subject.start(
                    FleetRole(
                        children: 1, gracePeriod: .seconds(60), observer: .stopsWhenReady, serve: .ignoreTerm))
                try subject.eventually("a child that ignores TERM") { subject.reports("ignoresTerm").count == 1 }
                try subject.waitForLog("stopping: requested by the program")
                poll(nil, 0, 1050)  // An INT within a second is the same request, as of a held Ctrl-C.
                subject.signal(SIGINT)
                try subject.waitForLog("already stopping")
                #expect(subject.logLines("kill") == [], subject.log("the first INT does not kill"))
                poll(nil, 0, 1050)
                subject.signal(SIGINT)
                try subject.waitForLog("kills it")
                try subject.wait()
                try subject.waitUntilAlone()
            }

            /// Two INTs of one burst stay one request, even if the master takes long for the first.
            @Test func burstWhileTheObserverIsSlow() throws {
                let subject = try Subject.start(
                    FleetRole(
                        children: 1, gracePeriod: .seconds(60), observer: .takesForStop(.milliseconds(1300)),
                        serve: .ignoreTerm))
                try subject.eventually("a child that ignores TERM") { subject.reports("ignoresTerm").count == 1 }
                subject.signal(SIGINT)
                try subject.waitForReport("observing")
                subject.signal(SIGINT)
                subject.signal(SIGUSR1)
                try subject.waitForLog("status: master")
                #expect(subject.logLines("kill") == [], subject.log("a burst does not kill"))
                poll(nil, 0, 1050)  // An INT within a second is the same request, as of a held Ctrl-C.
                subject.signal(SIGINT)
                try subject.waitForLog("kills it")
                try subject.wait()
                try subject.waitUntilAlone()
            }
        }
    }
#endif
