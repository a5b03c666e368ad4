// Which processes a master that is process 1 takes for orphans, and when it reaps them.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite(.enabled(if: Namespace.command != nil, Namespace.reason))
        struct Orphans {
            private let namespace = Namespace.command ?? []

            private func zombies(of master: pid_t) -> [pid_t] {
                ProcessState.all().filter { $0.parent == master && $0.isZombie }.map(\.pid)
            }

            /// The kernel gives orphans to the first thread. Other threads may wait for their own processes at any
            /// time.
            @Test(arguments: LateWaiterRole.Way.allCases)
            func processesOfOtherThreadsKeepTheirStatus(way: LateWaiterRole.Way) throws {
                let subject = try Subject.start(
                    LateWaiterRole(orphanReapDelay: .milliseconds(200), way: way), under: namespace)
                try subject.waitForReport("returned")
                #expect(subject.reports.contains("in another thread"), subject.log)
                #expect(subject.reports("status") == ["3"], subject.log)
                #expect(subject.standardError.contains("reaped the orphan"), subject.log)
                try subject.expectExit(0)
            }

            /// Only the orphan wakes the master while it waits for the address.
            @Test func areReapedWhileTheAddressIsInUse() throws {
                let other = try Subject.hello(["--children", "1"])
                let leaving = ["/bin/sh", "-c", "(sleep 0.3 &); exec \"$0\" \"$@\""]
                let subject = try Subject.start(
                    FleetRole(
                        addresses: [.loopback(port: try other.port())], bindAttempts: 9, bindInterval: .seconds(60),
                        orphanReapDelay: .milliseconds(200)),
                    under: namespace + leaving)
                try subject.waitForLog("is in use")
                let master = try subject.descendant(1)
                try subject.waitForLog("reaped the orphan")
                #expect(zombies(of: master) == [], subject.log)
                #expect(!subject.standardError.contains("listening on"), subject.log("it still waits"))
                kill(master, SIGTERM)
                try subject.expectExit(0)
                other.signal(SIGTERM)
                try other.wait()
            }

            /// Another namespace's numbers do not tell processes apart.
            @Test func areLeftAloneIfProcIsAnotherNamespaces() throws {
                let subject = try Subject.start(
                    FleetRole(children: 1, orphanReapDelay: .zero, serve: .answerAndLeaveOrphanWhenAsked),
                    under: Namespace.withoutOwnProc ?? [])
                let master = try subject.descendant(1)
                try subject.waitForLog("orphans are not reaped")
                try subject.waitForLog(" ready after ")
                let connection = try #require(Connection.open(port: try subject.port()))
                try #require(connection.waitForEnd(), subject.log("the child has started an orphan"))
                try subject.eventually("a zombie") { !zombies(of: master).isEmpty }
                // Longer than between two looks of the master.
                poll(nil, 0, 600)
                // Two turns of the master. In one of them it has seen the signal.
                for count in 1...2 {
                    kill(master, SIGUSR1)
                    try subject.eventually("its status") { subject.logLines("slot  state").count == count }
                }
                let lines = subject.logLines("orphans are not reaped")
                try #require(lines.count == 1, subject.log)
                #expect(lines[0].contains("another PID namespace's"), subject.log)
                #expect(zombies(of: master) != [], subject.log)
                kill(master, SIGTERM)
                try subject.expectExit(0)
            }

            /// While the slots are filled, the master does not look for exits of children, but it looks for orphans.
            @Test(arguments: [MechanismChoice.best, .portable])
            func childrenAreNotReapedAsOrphans(mechanisms: MechanismChoice) throws {
                let subject = try Subject.start(
                    FleetRole(
                        children: 3, spawn: .byEndingThread, mechanisms: mechanisms, recoverInterval: .zero,
                        orphanReapDelay: .zero, onChildSpawn: .awaitsExits(of: 3), firstServe: .exit(3)),
                    under: namespace)
                try subject.eventually("three exits") { subject.reports("exited").count == 3 }
                #expect(subject.reports("exited").filter { !$0.contains(" status 3 ") } == [], subject.log)
                #expect(subject.logLines("orphan") == [], subject.log)
                _ = try subject.waitForReadyInNamespace(3)
                kill(try subject.descendant(1), SIGTERM)
                try subject.expectExit(0)
            }

            /// Only the orphan wakes the master, whose next look would be half a minute later.
            @Test func areReapedByAnIdleMaster() throws {
                let subject = try Subject.start(
                    FleetRole(
                        children: 1, orphanReapDelay: .milliseconds(200), serve: .answerAndLeaveOrphanWhenAsked),
                    under: namespace)
                let master = try subject.descendant(1)
                try subject.waitForLog(" ready after ")
                // Until the last look that follows its start.
                poll(nil, 0, 700)
                let connection = try #require(Connection.open(port: try subject.port()))
                try #require(connection.waitForEnd(), subject.log("the child has started an orphan"))
                try subject.eventually("a zombie, or its end") {
                    !zombies(of: master).isEmpty || subject.standardError.contains("reaped the orphan")
                }
                let start = ContinuousClock.now
                var gap = Duration.zero
                var last = start
                try subject.eventually("the orphan's end") {
                    let now = ContinuousClock.now
                    (last, gap) = (now, max(gap, now - last))
                    return subject.standardError.contains("reaped the orphan")
                }
                // A second after its delay. A busy machine lets the master wait as it does this test.
                let limit = Duration.milliseconds(isSanitized ? 10_000 : 1200) + gap * 3
                #expect(last - start <= limit, subject.log("longest gap \(gap)"))
                #expect(zombies(of: master) == [], subject.log)
                kill(master, SIGTERM)
                try subject.expectExit(0)
            }

            /// Shells start others and exit, while other code in the master waits for processes of its own.
            @Test(arguments: [MechanismChoice.best, .portable])
            func orphansAreReaped(mechanisms: MechanismChoice) throws {
                // Longer than a caller takes that waits promptly, unless the machine runs something else meanwhile.
                let delay = isSanitized ? 3 : 1
                let subject = try Subject.start(
                    ForeignProcessRole(mechanisms: mechanisms, orphans: .init(count: 1000, reapDelay: .seconds(delay))),
                    under: namespace)
                let master = try subject.descendant(1)
                var firstSeen: [pid_t: ContinuousClock.Instant] = [:]
                var oldest = Duration.zero
                var reaped = 0
                var (last, gap) = (ContinuousClock.now, Duration.zero)
                try subject.eventually("the end of the orphans", within: 60) {
                    let now = ContinuousClock.now
                    (last, gap) = (now, max(gap, now - last))
                    let zombies = Set(zombies(of: master))
                    for pid in zombies { firstSeen[pid] = firstSeen[pid] ?? now }
                    for (pid, start) in firstSeen {
                        oldest = max(oldest, now - start)
                        if !zombies.contains(pid) { firstSeen[pid] = nil }
                    }
                    reaped = subject.reports("reaped").compactMap { Int($0) }.reduce(0, +)
                    let statuses = subject.reports("statuses")
                    return statuses == ["right"] && firstSeen.isEmpty && reaped >= 1000
                        || !statuses.isEmpty && statuses != ["right"]
                }
                // Callers that wait promptly get the status.
                #expect(subject.reports("statuses") == ["right"], subject.log)
                #expect(oldest >= .seconds(delay) / 2, subject.log("they stay zombies for a while"))
                // A busy machine lets the master wait as it does this test.
                if !isSanitized {
                    #expect(oldest <= .seconds(delay + 1) + gap * 3, subject.log("longest gap \(gap)"))
                }
                kill(master, SIGTERM)
                try subject.expectExit(0)
            }

            /// A child starts a process and leaves it to process 1, which is the master.
            @Test func aChildThatForksTwice() throws {
                let subject = try Subject.start(
                    FleetRole(
                        children: 1, orphanReapDelay: .milliseconds(200), serve: .answerAfterLeavingOrphan),
                    under: namespace)
                try subject.waitForReport("forked")
                let master = try subject.descendant(1)
                try subject.waitForLog("reaped the orphan")
                #expect(zombies(of: master) == [], subject.log)
                #expect(subject.logLines("exited") == [], subject.log("the child lives"))
                kill(master, SIGTERM)
                try subject.expectExit(0)
            }

            /// Without a delay orphans stay.
            @Test func orphansMayBeLeftAlone() throws {
                let subject = try Subject.start(
                    FleetRole(children: 1, orphanReapDelay: nil, serve: .answerAfterLeavingOrphan), under: namespace)
                try subject.waitForReport("forked")
                let master = try subject.descendant(1)
                try subject.eventually("a zombie") { !zombies(of: master).isEmpty }
                // A master that reaps no orphans does not handle SIGCHLD.
                let caught = try #require(UInt64(statusField("SigCgt", of: "/proc/\(master)/status"), radix: 16))
                #expect(caught & (1 << UInt64(SIGCHLD - 1)) == 0, subject.log)
                kill(master, SIGUSR1)
                try subject.waitForLog("slot  state")
                #expect(zombies(of: master) != [], subject.log)
                kill(master, SIGTERM)
                try subject.expectExit(0)
            }
        }
    }
#endif
