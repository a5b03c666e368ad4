// A child dies, is late, fails or cannot be started. That costs one child, never the fleet.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Recovery {
            @Test func crashCostsOneRequest() throws {
                let subject = try Subject.hello(["--children", "2"])
                _ = try subject.waitForReady(2)
                let port = try subject.port()
                #expect(get("/crash", port: port) == .cut, subject.log)
                for _ in 0..<20 { try #require(get("/", port: port) == .hello, subject.log) }
                try subject.waitForLog("signal 4 (ILL)")
                _ = try subject.waitForReady(2)
                #expect(get("/exit?code=3", port: port) == .cut, subject.log)
                try subject.waitForLog("exited: status 3")
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// Children are killed one after another under load. Every request that was not in a killed child is
            /// answered. Each client asks for its child before the request that counts, so a cut names its child.
            @Test func killedOneAfterAnother() throws {
                let subject = try Subject.hello(
                    ["--children", "3", "--recover-threshold", "100000", "--recover-interval", "0"])
                var living = Set(try subject.waitForReady(3))
                let load = Load(port: try subject.port(), clients: 4, asksForChild: true)
                var killed: Set<pid_t> = []
                for _ in 0..<repetitions(200) {
                    let answered = load.answered
                    try subject.eventually("the load goes on") { load.answered > answered + 8 }
                    let victim = try #require(living.randomElement())
                    kill(victim, SIGKILL)
                    killed.insert(victim)
                    // The log sums up what happens this often.
                    try subject.eventually("the replacement") {
                        living = Set(subject.descendants.map(\.pid)).subtracting(killed)
                        return living.count == 3
                    }
                }
                let result = load.stop()
                #expect(result.refused == 0, subject.log)
                #expect(result.timedOut == 0, subject.log)
                #expect(load.cutBy.filter { !killed.contains($0) } == [], subject.log("only killed children cut"))
                // Cut before the child had answered with its number. A killed child had at most one connection per
                // client.
                #expect(result.cut - load.cutBy.count <= killed.count * 4, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// All children are suspended, then killed. Their replacements serve the queue.
            @Test func queueOutlivesChildren() throws {
                let subject = try Subject.hello(["--children", "2"])
                let pids = try subject.waitForReady(2)
                let port = try subject.port()
                try subject.suspend(pids)
                let waiting = try (0..<50).map { _ in try #require(Connection.open(port: port)) }
                for connection in waiting { try #require(connection.send("/")) }
                for pid in pids { kill(pid, SIGKILL) }
                for connection in waiting { try #require(connection.receive() == .hello, subject.log) }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func overRecoveryReportsTheLastExits() throws {
                let subject = try Subject.hello([
                    "--children", "1", "--recover-threshold", "2", "--recover-interval", "0",
                ])
                let port = try subject.port()
                for _ in 0..<3 {
                    try subject.eventually("a child to crash") { get("/exit?code=7", port: port) == .cut }
                }
                try subject.expectExit(70)
                let last = try #require(subject.logLines.last)
                #expect(last.contains("too many exits"), subject.log)
                #expect(last.contains("status 7"), subject.log)
                try subject.waitUntilAlone()
            }

            @Test func perSlotLimit() throws {
                let subject = try Subject.start(
                    FleetRole(
                        recoverThreshold: .unlimited, recoverInterval: .milliseconds(1), recoverLimitPerSlot: 2,
                        serve: .exit(3)))
                let error = try subject.thrownError()
                #expect(error.contains("too many exits"), subject.log)
                #expect(subject.reports("onChildRecover").count <= 4, subject.log("at most two for each slot"))
                try subject.wait()
            }

            @Test func recoveryOff() throws {
                let subject = try Subject.start(FleetRole(recoverThreshold: .never, firstServe: .exit(5)))
                let error = try subject.thrownError()
                #expect(error.contains("recovery is off and child"), subject.log)
                #expect(error.contains("status 5"), subject.log)
                #expect(subject.reports("onChildRecover") == [], subject.log)
                try subject.wait()
                try subject.waitUntilAlone()
            }

            /// Another child would be up after a second, and status 78 would be an exit like any other.
            @Test func status78IsFinal() throws {
                let subject = try Subject.hello(["--children", "1"])
                let port = try subject.port()
                _ = try subject.waitForReady(1)
                _ = get("/exit?code=78", port: port)
                try subject.expectExit(78)
                try subject.waitUntilAlone()
                #expect(subject.standardError.contains("not trying again"), subject.log)
            }

            /// Every second spawn fails. All slots still get a child, and those that have one serve meanwhile.
            @Test func failingSpawnIsTriedAgain() throws {
                let subject = try Subject.start(
                    FleetRole(
                        children: 3, spawn: .failingEverySecond, recoverThreshold: .unlimited,
                        recoverInterval: .milliseconds(10)))
                _ = try subject.waitForReady(3)
                #expect(subject.standardError.contains("could not be started: posix_spawn"), subject.log)
                #expect(subject.reports("onMasterReady").count == 1, subject.log)
                try #require(get("/", port: subject.port()).pid != nil, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// While one slot backs off, the others are supervised.
            @Test func othersAreSupervisedWhileOneBacksOff() throws {
                let subject = try Subject.hello(["--children", "2", "--recover-interval", "1.5"])
                for pid in try subject.waitForReady(2) {
                    kill(pid, SIGKILL)
                    try subject.eventually("the exit of \(pid)") {
                        subject.logLines("child \(pid) ").contains { $0.contains(" exited: ") }
                    }
                }
                // The master has seen the second exit while the first slot backs off.
                #expect(subject.readyPIDs.count == 2, subject.log)
                try subject.eventually("two replacements") { subject.readyPIDs.count == 4 }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func explicitReadiness() throws {
                let subject = try Subject.start(FleetRole(readinessTimeout: .seconds(20), serve: .answerWhenReady))
                _ = try subject.waitForReady(2)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func notReadyInTime() throws {
                // The first child never says that it is ready, and ignores TERM.
                let subject = try Subject.start(
                    FleetRole(
                        children: 1, readinessTimeout: .milliseconds(300), gracePeriod: .milliseconds(300),
                        firstServe: .ignoreTerm, serve: .answerWhenReady))
                try subject.waitForLog("; stopping it (readiness.timeout)")
                try subject.waitForLog("killing it")
                try subject.waitForLog("signal 9 (KILL)")
                try subject.waitForLog("asked to exit before it was ready; recovering at once")
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func takenTwice() throws {
                let subject = try Subject.start(FleetRole(children: 1, serve: .takeTwice))
                try subject.waitForReport("second listener 0 is already taken")
                try subject.waitForReport("seventh there is no listener 7; there are 1")
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func throwingServeIsOneLineAndStatus1() throws {
                let subject = try Subject.start(FleetRole(children: 1, recoverThreshold: .exits(0), serve: .fail))
                try subject.waitForReport("childThrew serve failed on purpose")
                let error = try subject.thrownError()
                #expect(error.contains("status 1"), subject.log)
                try subject.wait()
            }

            /// 500 recoveries leave no descriptor, zombie or thread in the master, and take no memory.
            @Test func leaksNothing() throws {
                let subject = try Subject.start(
                    FleetRole(
                        recoverThreshold: .unlimited, recoverInterval: .milliseconds(1), serve: .exit(3)))
                func replaced() -> Int { subject.reports("onChildRecover").count }
                let warm = repetitions(200)
                try subject.eventually("\(warm) recoveries", within: 120) { replaced() >= warm }
                let before = Footprint(subject)
                let goal = replaced() + repetitions(500)
                try subject.eventually("\(goal) recoveries", within: 200) { replaced() >= goal }
                // At any moment up to two children live, each with two descriptors, while a new one starts.
                var after = Footprint(subject)
                try subject.eventually("no more than before: \(before), \(after)") {
                    after = Footprint(subject)
                    return after.descriptors <= max(before.descriptors, after.base + 6) && after.zombies <= 2
                        && after.threads <= before.threads
                }
                // In kB. The allocator decides about memory, but a leak for each of hundreds of children would exceed
                // this.
                if !isSanitized { #expect(after.resident - before.resident < 512, subject.log("\(before), \(after)")) }
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
                try subject.wait()
            }
        }
    }

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
