// The master dies: its children notice, drain and exit, and a new master takes over.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct MasterDeath {
            @Test func childrenExit() throws {
                let subject = try Subject.hello(["--children", "3"])
                _ = try subject.waitForReady(3)
                subject.signal(SIGKILL)
                try subject.wait()
                try subject.waitUntilAlone()
            }

            /// At random moments from its first microsecond on. No child is left.
            @Test func killedAtRandomMoments() throws {
                for round in 0..<repetitions(200) {
                    let subject = try Subject.hello(["--children", "4"])
                    // From nothing to well after the start of all children. It spins, because sleeps are coarser than
                    // this.
                    let end = ContinuousClock.now + .microseconds(Int.random(in: 0...(round % 2 == 0 ? 40_000 : 4_000)))
                    while ContinuousClock.now < end {}
                    subject.signal(SIGKILL)
                    try subject.wait()
                    try subject.waitUntilAlone()
                }
            }

            /// The children drain, so a request in flight is not cut.
            @Test func inFlightRequestsAreAnswered() throws {
                let subject = try Subject.hello(["--children", "2"])
                _ = try subject.waitForReady(2)
                let connection = try #require(Connection.open(port: try subject.port()))
                try #require(connection.send("/slow?ms=500"))
                poll(nil, 0, 100)
                subject.signal(SIGKILL)
                #expect(connection.receive() == .hello, subject.log)
                try subject.wait()
                try subject.waitUntilAlone()
            }

            /// A drain that does not finish ends with the grace period.
            @Test func childrenThatNeverDrainExitAfterTheGracePeriod() throws {
                let subject = try Subject.start(FleetRole(gracePeriod: .milliseconds(500), serve: .neverDrain))
                try subject.eventually("two children") { subject.reports("neverDrains").count == 2 }
                subject.signal(SIGKILL)
                let start = ContinuousClock.now
                try subject.wait()
                try subject.waitUntilAlone()
                #expect(ContinuousClock.now - start >= .milliseconds(500), subject.log)
                #expect(subject.standardError.contains("not drained within 0.5 s"), subject.log)
            }

            enum Notice: CaseIterable { case best, pidfdOnly, polling, pollingOnly }

            @Test(arguments: Notice.allCases)
            func everyWayOfNoticing(notice: Notice) throws {
                let role =
                    switch notice {
                    case .best: FleetRole()
                    case .pidfdOnly: FleetRole(watchesChannel: false)
                    case .polling: FleetRole(mechanisms: .polling)
                    case .pollingOnly:
                        FleetRole(mechanisms: .polling, watchesChannel: false, parentPollInterval: .milliseconds(50))
                    }
                let subject = try Subject.start(role)
                let children = try subject.waitForReady(2)
                if notice == .pollingOnly {
                    #expect(subject.standardError.contains("ppid polling"), subject.log)
                }
                subject.signal(SIGKILL)
                try subject.wait()
                try subject.waitUntilAlone()
                for child in children { #expect(ProcessState(child)?.isZombie != false, subject.log("\(child)")) }
            }

            @Test func policyExit() throws {
                let subject = try Subject.start(
                    FleetRole(gracePeriod: .seconds(60), masterDeath: .exit(3), serve: .neverDrain))
                try subject.eventually("two children") { subject.reports("neverDrains").count == 2 }
                subject.signal(SIGKILL)
                try subject.wait()
                try subject.waitUntilAlone()
            }

            @Test func policyCall() throws {
                let subject = try Subject.start(FleetRole(masterDeath: .call, serve: .neverDrain))
                try subject.eventually("two children") { subject.reports("neverDrains").count == 2 }
                let children = subject.reports("neverDrains").sorted()
                subject.signal(SIGKILL)
                try subject.wait()
                try subject.waitUntilAlone()
                // Once in each child.
                #expect(subject.reports("masterDeath").sorted() == children, subject.log)
            }

            @Test func policyIgnore() throws {
                let subject = try Subject.start(FleetRole(children: 1, masterDeath: .ignore))
                let child = try subject.waitForReady(1)[0]
                let port = try subject.port()
                subject.signal(SIGKILL)
                try subject.wait()
                try subject.eventually("an abandoned child") { ProcessState(child)?.parent != subject.pid }
                for _ in 0..<20 { try #require(get("/", port: port).pid == child, subject.log) }
                kill(child, SIGTERM)
                try subject.waitUntilAlone()
            }

            @Test func childSignalsUnhandledAreDeliveredAsTerm() throws {
                let subject = try Subject.start(
                    FleetRole(gracePeriod: .seconds(60), childHandlesSignals: false, serve: .neverDrain))
                try subject.eventually("two children") { subject.reports("neverDrains").count == 2 }
                subject.signal(SIGKILL)
                try subject.wait()
                // TERM's default action ends them long before the grace period does.
                try subject.waitUntilAlone(within: 10)
            }

            /// The old master is killed while its children hang. A new one serves on the same port in time.
            @Test func newMasterOnTheSamePort() throws {
                for _ in 0..<repetitions(20) {
                    let old = try Subject.start(FleetRole(gracePeriod: .milliseconds(1500), serve: .neverDrain))
                    try old.eventually("two children") { old.reports("neverDrains").count == 2 }
                    let port = try old.port()
                    old.signal(SIGKILL)
                    try old.wait()
                    let start = ContinuousClock.now
                    let new = try Subject.hello(["--children", "2", "--grace", "1.5"], address: "127.0.0.1:\(port)")
                    try new.eventually("the new master's answer", within: 20) {
                        get("/", port: port, timeout: 0.2) == .hello
                    }
                    let elapsed = ContinuousClock.now - start
                    // The grace period and a second.
                    if !isSanitized { try #require(elapsed < .milliseconds(2500), new.log) }
                    try #require(new.standardError.contains("is in use; trying again"), new.log("after \(elapsed)"))
                    new.signal(SIGTERM)
                    try new.expectExit(0)
                }
            }

            /// Children notice the death of a master that its parent does not reap for a while.
            @Test func masterAsZombie() throws {
                let subject = try Subject.hello(["--children", "2"])
                _ = try subject.waitForReady(2)
                subject.signal(SIGKILL)
                try subject.eventually("a zombie") { ProcessState(subject.pid)?.isZombie == true }
                try subject.waitUntilAlone()
                try subject.wait()
            }
        }

        @Suite struct Fallbacks {
            @Test func portableMechanisms() throws {
                let subject = try Subject.start(
                    FleetRole(children: 3, mechanisms: .portable, recoverInterval: .zero))
                let pids = try subject.waitForReady(3)
                let text = "using SIGCHLD and ppid polling to watch children, enumeration to close descriptors"
                #expect(subject.standardError.contains(text), subject.log)
                let start = ContinuousClock.now
                for pid in pids { kill(pid, SIGKILL) }
                try subject.eventually("three replacements") { subject.reports("onChildRecover").count == 3 }
                // The signal wakes the master, and not the check of every second, which is for programs that replace
                // the handler.
                if !isSanitized { #expect(ContinuousClock.now - start < .milliseconds(800), subject.log) }
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
                try subject.wait()
                try subject.waitUntilAlone()
            }

            /// Other code in the master waits for its own processes, while children come and go.
            @Test(arguments: [MechanismChoice.best, .portable])
            func foundationProcessKeepsItsStatus(mechanisms: MechanismChoice) throws {
                let subject = try Subject.start(ForeignProcessRole(mechanisms: mechanisms))
                try subject.waitForReport("statuses right")
                try subject.waitForReport("returned")
                try subject.wait()
                #expect(subject.standardError.contains("recovering"), subject.log)
            }

            @Test func bestMechanismsHere() throws {
                let subject = try Subject.hello(["--children", "1"])
                _ = try subject.waitForReady(1)
                #expect(subject.logLines("to watch children").count == 1, subject.log)
                subject.signal(SIGTERM)
                try subject.wait()
            }
        }
    }
#endif
