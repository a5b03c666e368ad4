// The master dies: its children notice, drain and leave; a new master takes over.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct MasterDeath {
            @Test func childrenLeave() throws {
                let subject = try Subject.hello(["--children", "3"])
                _ = try subject.waitForReady(3)
                subject.signal(SIGKILL)
                try subject.wait()
                try subject.waitUntilAlone()
            }

            /// At random moments from its first microsecond on: no child is left, whatever it was doing.
            @Test func killedAtRandomMoments() throws {
                for round in 0..<repetitions(200) {
                    let subject = try Subject.hello(["--children", "4"])
                    // From nothing to well beyond the start of all children; a spin, because sleeps are coarser than this.
                    let end = ContinuousClock.now + .microseconds(Int.random(in: 0...(round % 2 == 0 ? 40_000 : 4_000)))
                    while ContinuousClock.now < end {}
                    subject.signal(SIGKILL)
                    try subject.wait()
                    try subject.waitUntilAlone()
                }
            }

            @Test func inFlightRequestsAreAnswered() throws {
                let subject = try Subject.hello(["--children", "2"])
                _ = try subject.waitForReady(2)
                let connection = try #require(Connection.open(port: try subject.port()))
                try subject.require(connection.send("/slow?ms=500"), "sent")
                poll(nil, 0, 100)
                subject.signal(SIGKILL)
                try subject.require(body(connection.receive()) == "Hello world!", "a drain, not a cut")
                try subject.wait()
                try subject.waitUntilAlone()
            }

            /// What stands in the way of leaving ends with the grace period.
            @Test func deafChildrenLeaveAfterTheGracePeriod() throws {
                let subject = try Subject.role("fleet", "children=2;grace=500;serve=deaf")
                try subject.eventually("two deaf ones") { subject.told("deaf").count == 2 }
                subject.signal(SIGKILL)
                let start = ContinuousClock.now
                try subject.wait()
                try subject.waitUntilAlone()
                try subject.require(ContinuousClock.now - start >= .milliseconds(500), "they had their time")
                try subject.require(subject.errors.contains("not drained within 0.5 s"), "they say so")
            }

            @Test(arguments: ["best", "pidfdOnly", "polling", "pollingOnly"])
            func everyWayOfNoticing(way: String) throws {
                let settings =
                    switch way {
                    case "pidfdOnly": "noChannel"
                    case "polling": "mechanisms=polling"
                    case "pollingOnly": "mechanisms=polling;noChannel;parentPoll=50"
                    default: ""
                    }
                let subject = try Subject.role("fleet", "children=2;\(settings)")
                let children = try subject.waitForReady(2)
                if way == "pollingOnly" {
                    // Nothing tells before the next look: the death is noticed all the same.
                    try subject.require(subject.errors.contains("ppid polling"), "the log says which way is in use")
                }
                subject.signal(SIGKILL)
                try subject.wait()
                try subject.waitUntilAlone()
                for child in children { try subject.require(ProcessState(child)?.isZombie ?? true, "\(child) is gone") }
            }

            @Test func policyExit() throws {
                let subject = try Subject.role("fleet", "children=2;grace=60000;serve=deaf;masterDeath=exit")
                try subject.eventually("two deaf ones") { subject.told("deaf").count == 2 }
                subject.signal(SIGKILL)
                try subject.wait()
                try subject.waitUntilAlone()
            }

            @Test func policyCall() throws {
                let subject = try Subject.role("fleet", "children=2;serve=deaf;masterDeath=call")
                try subject.eventually("two deaf ones") { subject.told("deaf").count == 2 }
                let children = subject.told("deaf").sorted()
                subject.signal(SIGKILL)
                try subject.wait()
                try subject.waitUntilAlone()
                try subject.require(subject.told("masterDeath").sorted() == children, "the closure ran once in each")
            }

            @Test func policyIgnore() throws {
                let subject = try Subject.role("fleet", "children=1;masterDeath=ignore")
                let child = try subject.waitForReady(1)[0]
                let port = try subject.port()
                subject.signal(SIGKILL)
                try subject.wait()
                try subject.eventually("an orphan") { ProcessState(child)?.parent != subject.pid }
                for _ in 0..<20 { try subject.require(body(get("/", port: port)) == "\(child)", "it goes on serving") }
                kill(child, SIGTERM)
                try subject.waitUntilAlone()
            }

            @Test func childSignalsUnhandledAreDeliveredAsTerm() throws {
                let subject = try Subject.role("fleet", "children=2;childUnhandled;serve=deaf;grace=60000")
                try subject.eventually("two deaf ones") { subject.told("deaf").count == 2 }
                subject.signal(SIGKILL)
                try subject.wait()
                // TERM's default ends them long before the grace period does.
                try subject.waitUntilAlone(within: 10)
            }

            /// The old master is killed while a child of its hangs: a new one serves on the same port in time.
            @Test func newMasterOnTheSamePort() throws {
                for _ in 0..<repetitions(20) {
                    let old = try Subject.role("fleet", "children=2;grace=1500;serve=deaf")
                    try old.eventually("two deaf ones") { old.told("deaf").count == 2 }
                    let port = try old.port()
                    old.signal(SIGKILL)
                    try old.wait()
                    let start = ContinuousClock.now
                    let new = try Subject.hello(["--children", "2", "--grace", "1.5"], address: "127.0.0.1:\(port)")
                    try new.eventually("the new master's answer", within: 20) {
                        get("/", port: port, timeout: 0.2) == .answer(status: 200, body: "Hello world!", closes: true)
                    }
                    let elapsed = ContinuousClock.now - start
                    if !isSanitized { try new.require(elapsed < .milliseconds(2500), "within grace + 1 s: \(elapsed)") }
                    try new.require(new.errors.contains("is in use; trying again"), "it has waited: \(elapsed)")
                    new.signal(SIGTERM)
                    try new.require(new.wait() == 0, "status 0")
                }
            }

            /// The program's children learn of the death of a master that nobody reaps for a while.
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
                let subject = try Subject.role("fleet", "children=3;mechanisms=portable;interval=0")
                let pids = try subject.waitForReady(3)
                try subject.require(
                    subject.errors.contains(
                        "using SIGCHLD and ppid polling to watch children, enumeration to close descriptors"),
                    "one event says what is in use"
                )
                let start = ContinuousClock.now
                for pid in pids { kill(pid, SIGKILL) }
                try subject.eventually("three replacements") { subject.told("onChildRecover").count == 3 }
                // By the signal, not by the sweep that comes every second in case somebody takes the handler away.
                if !isSanitized { try subject.require(ContinuousClock.now - start < .milliseconds(800), "at once") }
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
                try subject.wait()
                try subject.waitUntilAlone()
            }

            /// Other code in the master waits for its own processes, while ours come and go.
            @Test(arguments: ["best", "portable"])
            func foundationProcessKeepsItsStatus(mechanisms: String) throws {
                let subject = try Subject.role("foreignProcess", mechanisms)
                try subject.waitForTold("statuses right")
                try subject.waitForTold("returned")
                try subject.wait()
                try subject.require(subject.errors.contains("recovering"), "children did come and go")
            }

            @Test func bestMechanismsHere() throws {
                let subject = try Subject.hello(["--children", "1"])
                _ = try subject.waitForReady(1)
                let lines = subject.errors.split(separator: "\n").filter { $0.contains("to watch children") }
                try subject.require(lines.count == 1, "told once")
                subject.signal(SIGTERM)
                try subject.wait()
            }
        }
    }
#endif
