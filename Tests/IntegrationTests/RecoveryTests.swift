// A child dies, is late, refuses, cannot be started: one child's loss, never the fleet's.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Recovery {
            @Test func crashCostsOneRequest() throws {
                let subject = try Subject.hello(["--children", "2"])
                _ = try subject.waitForReady(2)
                let port = try subject.port()
                try subject.require(get("/crash", port: port) == .cut, "the request that crashes is lost")
                for _ in 0..<20 {
                    try subject.require(body(get("/", port: port)) == "Hello world!", "every other one is answered")
                }
                try subject.waitForError("signal 4 (ILL)")
                _ = try subject.waitForReady(2)
                try subject.require(get("/exit?code=3", port: port) == .cut, "the request that exits is lost")
                try subject.waitForError("exited: status 3")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// Children are killed one after another, under load: every request that was not in the killed child is answered.
            /// Each client asks who serves it before the request that counts, so a cut names its child.
            @Test func killedOneAfterAnother() throws {
                let subject = try Subject.hello(
                    ["--children", "3", "--recover-threshold", "100000", "--recover-interval", "0"])
                _ = try subject.waitForReady(3)
                let load = Load(port: try subject.port(), clients: 4, asksWho: true)
                var killed: Set<pid_t> = []
                for round in 0..<repetitions(200) {
                    let answered = load.answered
                    try subject.eventually("the load goes on") { load.answered > answered + 8 }
                    let victim = try #require(try subject.waitForReady(3).randomElement())
                    kill(victim, SIGKILL)
                    killed.insert(victim)
                    try subject.eventually("the replacement") { subject.readyPIDs.count == 4 + round }
                }
                let result = load.stop()
                try subject.require(
                    result.refused == 0 && result.timedOut == 0, "nobody is refused, nobody waits: \(result)")
                let innocent = load.cutBy.filter { !killed.contains($0) }
                try subject.require(innocent.isEmpty, "only killed children cut: \(innocent)")
                // Cut before the child had said who it is: accepted by the killed one, at most one for each client.
                try subject.require(result.cut - load.cutBy.count <= killed.count * 4, "\(result)")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// All children are dead or stopped: what waits in the queue is served by the replacements.
            @Test func queueOutlivesChildren() throws {
                let subject = try Subject.hello(["--children", "2"])
                let pids = try subject.waitForReady(2)
                let port = try subject.port()
                for pid in pids { kill(pid, SIGSTOP) }
                try subject.eventually("both stopped") { pids.allSatisfy { ProcessState($0)?.state == "T" } }
                let waiting = (0..<50).compactMap { _ in Connection.open(port: port) }
                try subject.require(waiting.count == 50, "the kernel takes the connections in")
                for connection in waiting { try subject.require(connection.send("/"), "sent") }
                for pid in pids { kill(pid, SIGKILL) }
                for connection in waiting {
                    try subject.require(body(connection.receive()) == "Hello world!", "answered by a replacement")
                }
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test func overRecoveryTellsTheLastExits() throws {
                let subject = try Subject.hello([
                    "--children", "1", "--recover-threshold", "2", "--recover-interval", "0",
                ])
                let port = try subject.port()
                for _ in 0..<3 {
                    try subject.eventually("a child to crash") { get("/exit?code=7", port: port) == .cut }
                }
                try subject.require(subject.wait() == 70, "status 70")
                let last = subject.errors.split(separator: "\n").last ?? ""
                try subject.require(last.contains("too many exits") && last.contains("status 7"), "\(last)")
                try subject.waitUntilAlone()
            }

            @Test func perSlotLimit() throws {
                let subject = try Subject.role("fleet", "children=2;slotLimit=2;unlimited;interval=1;serve=exit:3")
                try subject.eventually("the end of the run") { !subject.told("threw").isEmpty }
                try subject.require(subject.told("onChildRecover").count <= 4, "at most two for each slot")
                try subject.require(subject.told("threw").first?.contains("too many exits") == true, "over recovery")
                try subject.wait()
            }

            @Test func recoveryOff() throws {
                let subject = try Subject.role("fleet", "children=2;never;first=exit:5")
                try subject.eventually("the end of the run") { !subject.told("threw").isEmpty }
                try subject.require(
                    subject.told("threw").first?.contains("recovery is off and child") == true
                        && subject.told("threw").first?.contains("status 5") == true,
                    "the reason: \(subject.told("threw"))"
                )
                try subject.require(subject.told("onChildRecover").isEmpty, "nothing is recovered")
                try subject.wait()
                try subject.waitUntilAlone()
            }

            @Test func status78IsFinal() throws {
                let subject = try Subject.hello(["--children", "2"])
                let port = try subject.port()
                _ = try subject.waitForReady(2)
                _ = get("/exit?code=78", port: port)
                try subject.require(subject.wait() == 78, "status 78")
                try subject.waitUntilAlone()
                try subject.require(subject.errors.contains("not trying again"), "it says so")
            }

            /// Every second spawn fails: the fleet gets there all the same, and the other slots serve meanwhile.
            @Test func failingSpawnIsTriedAgain() throws {
                let subject = try Subject.role("fleet", "children=3;spawn=again;interval=10;unlimited")
                _ = try subject.waitForReady(3)
                try subject.require(
                    subject.errors.contains("could not be started: posix_spawn"),
                    "the failures are told"
                )
                try subject.require(subject.told("onMasterReady").count == 1, "the master was ready once")
                try subject.require(body(get("/", port: subject.port())) != nil, "it serves")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// While one slot waits for its next try the others are supervised.
            @Test func othersAreSupervisedWhileOneWaits() throws {
                let subject = try Subject.hello(["--children", "2", "--recover-interval", "1.5"])
                for pid in try subject.waitForReady(2) {
                    kill(pid, SIGKILL)
                    try subject.eventually("the exit of \(pid)") {
                        subject.errors.split(separator: "\n").contains {
                            $0.contains("child \(pid) ") && $0.contains(" exited: ")
                        }
                    }
                }
                try subject.require(subject.readyPIDs.count == 2, "the second exit was seen while the first slot waits")
                try subject.eventually("two replacements") { subject.readyPIDs.count == 4 }
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test func explicitReadiness() throws {
                let subject = try Subject.role("fleet", "children=2;readinessTimeout=20000;serve=ready")
                _ = try subject.waitForReady(2)
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test func notReadyInTime() throws {
                // The first ones never say that they are ready; they ignore TERM, too.
                let subject = try Subject.role(
                    "fleet",
                    "children=1;readinessTimeout=300;grace=300;first=stubborn;serve=ready"
                )
                try subject.waitForError("not ready after 0.3 s; stopping it")
                try subject.waitForError("killing it")
                try subject.waitForError("signal 9 (KILL)")
                try subject.waitForError("never ready; recovering at once")
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test func takenTwice() throws {
                let subject = try Subject.role("fleet", "children=1;serve=twice")
                try subject.waitForTold("second listener 0 is already taken")
                try subject.waitForTold("seventh there is no listener 7; there are 1")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test func throwingServeIsOneLineAndStatus1() throws {
                let subject = try Subject.role("fleet", "children=1;threshold=0;serve=throw")
                try subject.waitForTold("childThrew serve failed on purpose")
                try subject.eventually("the end of the run") { !subject.told("threw").isEmpty }
                try subject.require(
                    subject.told("threw").first?.contains("status 1") == true,
                    "status 1: \(subject.told)"
                )
                try subject.wait()
            }

            /// 500 recoveries leave nothing in the master: no descriptor, zombie or thread, and no more memory.
            @Test func leaksNothing() throws {
                let subject = try Subject.role("fleet", "children=2;unlimited;interval=1;serve=exit:3")
                func replaced() -> Int { subject.told("onChildRecover").count }
                let warm = repetitions(200)
                try subject.eventually("\(warm) recoveries", within: 120) { replaced() >= warm }
                let before = Footprint(subject)
                let goal = replaced() + repetitions(500)
                try subject.eventually("\(goal) recoveries", within: 200) { replaced() >= goal }
                // At any moment up to two children live, each with two descriptors; a new one is being started.
                var after = Footprint(subject)
                try subject.eventually("no more than before: \(before), \(after)") {
                    after = Footprint(subject)
                    return after.descriptors <= max(before.descriptors, after.base + 6) && after.zombies <= 2
                        && after.threads <= before.threads
                }
                // Memory is a matter of the allocator; half a megabyte for hundreds of children is no leak of a child's size.
                if !isSanitized {
                    try subject.require(after.resident - before.resident < 512, "kB resident: \(before), \(after)")
                }
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
                try subject.wait()
            }
        }
    }

    /// Whether timing and memory say nothing here.
    let isSanitized = currentEnvironment()["PREFORK_SANITIZED"] != nil

    struct Footprint: CustomStringConvertible {
        let descriptors: Int
        let base = 8
        let zombies: Int
        let threads: Int
        let resident: Int

        init(_ subject: Subject) {
            descriptors = listDirectory("/proc/\(subject.pid)/fd").count
            zombies = ProcessState.all().filter { $0.parent == subject.pid && $0.isZombie }.count
            threads = listDirectory("/proc/\(subject.pid)/task").count
            let text = statusField("VmRSS", of: "/proc/\(subject.pid)/status")
            resident = Int(text.prefix { $0.isNumber }) ?? 0
        }

        var description: String { "fds \(descriptors) zombies \(zombies) threads \(threads) resident \(resident) kB" }
    }
#endif
