// Stops: by signal, by request, twice, early, against children that do not want to.
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
                try subject.require(subject.wait() == 0, "status 0")
                try subject.require(subject.descendants.isEmpty, "no child left")
                try subject.require(subject.errors.hasSuffix("stopped\n"), "the last word")
            }

            /// Ctrl-C reaches the whole group: the children leave it to the master, which lets them drain.
            @Test func interruptOfTheGroup() throws {
                let subject = try Subject.hello(["--children", "2"])
                _ = try subject.waitForReady(2)
                let connection = try #require(Connection.open(port: try subject.port()))
                try subject.require(connection.send("/slow?ms=300"), "sent")
                try waitUntilInFlight(subject, 1)
                kill(-subject.pid, SIGINT)
                try subject.require(body(connection.receive()) == "Hello world!", "what is in flight is answered")
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// TERM while the fleet is being started, at any moment.
            @Test func termDuringStart() throws {
                for round in 0..<repetitions(100) {
                    let subject = try Subject.hello(["--children", "16"])
                    if round % 4 != 0 { try subject.waitForError("to watch children") }
                    if round % 4 > 1 { try subject.waitForError("(slot \(round % 16)) started") }
                    subject.signal(SIGTERM)
                    let status = try subject.wait()
                    // Before the handlers are there TERM's default ends it; then it has no children either.
                    try subject.require(status == 0 || round % 4 == 0 && status == 128 + SIGTERM, "status \(status)")
                    try subject.waitUntilAlone()
                }
            }

            /// Any number of TERMs is one request. A second INT, a second after the first, kills.
            @Test func aSecondInterruptKills() throws {
                let subject = try Subject.role("fleet", "children=2;grace=60000;serve=stubborn")
                try subject.eventually("two that ignore TERM") { subject.told("stubborn").count == 2 }
                subject.signal(SIGTERM)
                try subject.waitForError("stopping: signal")
                subject.signal(SIGTERM)
                try subject.waitForError("already stopping (signal 15 (TERM)); children have up to ")
                subject.signal(SIGINT)
                try subject.waitForError("already stopping (signal 2 (INT))")
                poll(nil, 0, 1050)  // The rule's own time: a held Ctrl-C is one request.
                subject.signal(SIGTERM)
                subject.signal(SIGUSR1)
                try subject.waitForError("status: master")
                try subject.require(!subject.errors.contains("killing it"), "TERM never kills")
                let start = ContinuousClock.now
                subject.signal(SIGINT)
                try subject.require(subject.wait() == 0, "status 0")
                try subject.require(ContinuousClock.now - start < .seconds(10), "not the whole grace period")
                try subject.require(subject.errors.contains("a second SIGINT kills it"), "they were killed")
                try subject.waitUntilAlone()
            }

            /// From the first to the last moment of a stop: no signal turns it into a death by signal.
            @Test func termWithoutEnd() throws {
                for _ in 0..<repetitions(50) {
                    let subject = try Subject.hello(["--children", "4"])
                    _ = try subject.waitForReady(4)
                    let end = ContinuousClock.now + .seconds(20)
                    while ProcessState(subject.pid)?.isZombie == false, ContinuousClock.now < end {
                        kill(-subject.pid, SIGTERM)
                        sched_yield()
                    }
                    try subject.require(subject.wait() == 0, "status 0")
                    let exits = subject.errors.split(separator: "\n").filter { $0.contains(" exited: ") }
                    try subject.require(
                        exits.count == 4 && exits.allSatisfy { $0.contains(": status 0 ") }, "children, too")
                }
            }

            /// The master sees both at once, after a hook: the child accepts, and is told to leave as one that does.
            @Test(arguments: [true, false])
            func aChildThatBecameReadyBeforeTheStopIsReady(bySignal: Bool) throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let how = bySignal ? "" : ";stopAfterHold"
                let subject = try Subject.role("fleet", "children=1;holdReady=\(directory)/go\(how)")
                try subject.eventually("the hook") { !subject.told("onMasterReady").isEmpty }
                // Who answers has said before that it is ready.
                try subject.require(body(get("/", port: try subject.port())) != nil, "an answer")
                if bySignal {
                    subject.signal(SIGTERM)
                    try subject.eventually("a thread that handles it") {
                        statusField("ShdPnd", of: "/proc/\(subject.pid)/status").allSatisfy { $0 == "0" }
                    }
                }
                try subject.require(!subject.errors.contains(" ready after "), "nobody has heard it")
                try subject.require(close(open("\(directory)/go", O_CREAT | O_WRONLY, 0o600)) == 0, "a file")
                try subject.waitForTold("returned")
                let lines = subject.errors.split(separator: "\n")
                let ready = lines.firstIndex { $0.contains(" ready after ") }
                let stop = lines.firstIndex { $0.contains(": stopping: ") }
                try subject.require(stop != nil, "it stops")
                try subject.require((ready ?? .max) < (stop ?? 0), "it became ready, then it was told to leave")
                try subject.wait()
            }

            @Test func stubbornChildrenAreKilledAfterTheGracePeriod() throws {
                let subject = try Subject.role("fleet", "children=3;grace=400;serve=stubborn")
                try subject.eventually("three that ignore TERM") { subject.told("stubborn").count == 3 }
                let start = ContinuousClock.now
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
                let elapsed = ContinuousClock.now - start
                try subject.require(elapsed >= .milliseconds(400), "they had their time: \(elapsed)")
                if !isSanitized { try subject.require(elapsed < .milliseconds(1400), "and no more: \(elapsed)") }
                try subject.require(
                    subject.told.contains("clean") && subject.told.contains("childless"),
                    "nothing left"
                )
                try subject.wait()
            }

            @Test func whatIsInFlightIsAnswered() throws {
                for _ in 0..<repetitions(20) {
                    let subject = try Subject.hello(["--children", "2"])
                    _ = try subject.waitForReady(2)
                    let port = try subject.port()
                    // Longer than the children may wait for the word that the fleet stops (queueDrainPeriod).
                    let slow = (0..<8).compactMap { _ in Connection.open(port: port) }
                    for connection in slow {
                        try subject.require(connection.send("/slow?ms=1500", keepAlive: true), "sent")
                    }
                    let idle = try #require(Connection.open(port: port))
                    try subject.require(idle.send("/", keepAlive: true) && body(idle.receive()) != nil, "kept alive")
                    try waitUntilInFlight(subject, 9)
                    subject.signal(SIGTERM)
                    for connection in slow {
                        guard case .answer(200, "Hello world!", let closes) = connection.receive() else {
                            throw subject.explained("cut in flight")
                        }
                        try subject.require(closes, "answered with Connection: close")
                    }
                    // A request that still arrives on an open connection is answered, too.
                    if idle.send("/", keepAlive: true) {
                        let late = idle.receive()
                        if case .answer(_, _, let closes) = late { try subject.require(closes, "the last one") }
                    }
                    try subject.require(subject.wait() == 0, "status 0")
                }
            }

            @Test func idleConnectionsDoNotHoldUpAStop() throws {
                let subject = try Subject.hello(["--children", "1"])
                _ = try subject.waitForReady(1)
                let idle = try #require(Connection.open(port: try subject.port()))
                try subject.require(idle.send("/", keepAlive: true) && body(idle.receive()) != nil, "kept alive")
                let start = ContinuousClock.now
                subject.signal(SIGTERM)
                try subject.require(idle.waitForEnd(), "closed by the server")
                try subject.require(subject.wait() == 0, "status 0")
                try subject.require(ContinuousClock.now - start < .seconds(4), "after a linger, not the grace period")
            }

            @Test func signalsUnhandledAreTheProgramsOwn() throws {
                // TERM's default action ends the master; the children then notice.
                let subject = try Subject.role("fleet", "children=2;unhandled")
                _ = try subject.waitForReady(2)
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 128 + SIGTERM, "TERM's default")
                try subject.waitUntilAlone()
            }

            @Test func handlersArePutBack() throws {
                let subject = try Subject.role("handlers")
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
                try subject.require(subject.told.contains("own TERM"), "TERM's handler is back")
                try subject.require(subject.told.contains("own INT"), "INT's, installed during the run, was left alone")
                try subject.require(subject.wait() == 0, "USR1 is ignored again")
            }

            @Test func statusTable() throws {
                let subject = try Subject.hello(["--children", "2"])
                _ = try subject.waitForReady(2)
                subject.signal(SIGUSR1)
                try subject.waitForError("status: master \(subject.pid)")
                try subject.eventually("two rows") {
                    subject.errors.split(separator: "\n").filter { $0.contains("]:   ") && $0.contains(" ready ") }
                        .count >= 2
                }
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test func runAgainAndAgain() throws {
                let subject = try Subject.role("fleet", "children=2;runs=3")
                for run in 1...3 {
                    try subject.eventually("run \(run)") { subject.readyPIDs.count == 2 * run }
                    subject.signal(SIGTERM)
                    try subject.eventually("the end of run \(run)") { subject.told("returned").count == run }
                }
                try subject.require(subject.told("clean").count == 3, "nothing left after each")
                try subject.wait()
            }

            @Test func secondRunIsAnError() throws {
                let subject = try Subject.role("secondRun")
                try subject.waitForTold("second a master is already running in this process")
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// What takes the master's time when TERM comes is not taken from the children's.
            @Test func graceBeginsWhenTheChildrenAreTold() throws {
                let subject = try Subject.role("fleet", "children=2;grace=3000;slowReady")
                try subject.eventually("the hook") { subject.told("onMasterReady").count == 1 }
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
                try subject.require(!subject.errors.contains("killing it"), "they had their time")
                try subject.wait()
            }

            @Test func stopBeforeRun() throws {
                let subject = try Subject.role("stopBeforeRun")
                try subject.waitForTold("returned with 0 slots")
                try subject.wait()
            }

            @Test func stopFromAHook() throws {
                let subject = try Subject.role("reentrant")
                try subject.waitForTold("returned")
                try subject.require(
                    subject.told("addresses") == ["1", "1", "1"], "three starts before the stop: \(subject.told)")
                try subject.require(subject.told("stopping") == ["true"], "the observer sees the stop: \(subject.told)")
                try subject.require(subject.errors.contains("stopping: requested by the program"), "it says why")
                try subject.require(subject.wait() == 0, "status 0")
                try subject.waitUntilAlone()
            }

            /// Two fleets one after the other: each child serves in its own.
            @Test func oneFleetAfterAnother() throws {
                let subject = try Subject.role("twoFleets")
                for name in ["A", "B"] {
                    try subject.eventually("fleet \(name)") { subject.told("serving").filter { $0 == name }.count == 2 }
                    subject.signal(SIGTERM)
                    try subject.waitForTold("ended \(name)")
                }
                try subject.require(subject.told("serving") == ["A", "A", "B", "B"], "\(subject.told)")
                try subject.require(
                    Set(subject.told("again")) == ["this child has served already; files open"], "\(subject.told)")
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// A stop that began without a signal: the first INT is a request like it.
            @Test func firstInterruptAfterARequestDoesNotKill() throws {
                let subject = try Subject.role("fleet", "children=1;grace=60000;serve=stubborn;stopWhenReady")
                try subject.eventually("one that ignores TERM") { subject.told("stubborn").count == 1 }
                try subject.waitForError("stopping: requested by the program")
                poll(nil, 0, 1050)  // The rule's own time.
                subject.signal(SIGINT)
                try subject.waitForError("already stopping")
                try subject.require(!subject.errors.contains("kills it"), "the first INT does not kill")
                poll(nil, 0, 1050)
                subject.signal(SIGINT)
                try subject.waitForError("kills it")
                try subject.wait()
                try subject.waitUntilAlone()
            }

            /// Two INTs of one burst stay one request, however long the master is busy with the first.
            @Test func burstWhileTheObserverIsSlow() throws {
                let subject = try Subject.role("fleet", "children=1;grace=60000;serve=stubborn;slowObserver")
                try subject.eventually("one that ignores TERM") { subject.told("stubborn").count == 1 }
                subject.signal(SIGINT)
                try subject.waitForTold("observing")
                subject.signal(SIGINT)
                subject.signal(SIGUSR1)
                try subject.waitForError("status: master")
                try subject.require(!subject.errors.contains("kills it"), "a burst does not kill")
                poll(nil, 0, 1050)  // The rule's own time.
                subject.signal(SIGINT)
                try subject.waitForError("kills it")
                try subject.wait()
                try subject.waitUntilAlone()
            }

            /// A master that was itself stopped while its timers ran out judges nobody by them.
            @Test func suspendedMasterKillsNobody() throws {
                let subject = try Subject.role("fleet", "children=2;readinessTimeout=1200;grace=400;serve=wait")
                try subject.eventually("two children") { subject.told("fds").count == 2 }
                subject.signal(SIGSTOP)
                try subject.eventually("stopped") { ProcessState(subject.pid)?.state == "T" }
                poll(nil, 0, 2600)  // Longer than readiness and the rule's second together: the very thing under test.
                subject.signal(SIGCONT)
                try subject.waitForError("timers start anew")
                try subject.require(!subject.errors.contains("not ready after"), "nobody is judged at once")
                try subject.waitForError("not ready after")  // But in the end, after its whole time again.
                subject.signal(SIGTERM)
                try subject.wait()
            }

            /// A standard error that nobody reads any more neither kills nor stops a master.
            @Test(arguments: [true, false])
            func brokenStandardError(closed: Bool) throws {
                var ends: [CInt] = [-1, -1]
                try #require(pipe(&ends) == 0)
                for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
                if !closed {
                    // Full: not a byte more goes in.
                    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
                    let block = [UInt8](repeating: 0, count: 4096)
                    while write(ends[1], block, block.count) > 0 {}
                    _ = fcntl(ends[1], F_SETFL, 0)
                }
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/socket"
                let subject = try Subject.hello(["--children", "2"], address: "unix:\(path)", standardError: ends[1])
                close(ends[1])
                if closed { close(ends[0]) }
                defer { if !closed { close(ends[0]) } }
                try subject.eventually("an answer") {
                    guard let connection = Connection.open(path: path), connection.send("/") else { return false }
                    return body(connection.receive()) == "Hello world!"
                }
                var children: [pid_t] = []
                try subject.eventually("two children") {
                    children = subject.descendants.map(\.pid)
                    return children.count == 2
                }
                kill(children[0], SIGKILL)
                try subject.eventually("a replacement") {
                    let now = subject.descendants.map(\.pid)
                    return now.count == 2 && !now.contains(children[0])
                }
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            private func waitUntilInFlight(_ subject: Subject, _ count: Int) throws {
                // A thread for each connection: the children's threads tell how many have been accepted and are being served.
                try subject.eventually("\(count) requests in flight") {
                    subject.descendants.reduce(0) { $0 + listDirectory("/proc/\($1.pid)/task").count - 2 } >= count
                }
            }
        }
    }
#endif
