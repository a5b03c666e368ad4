// What a master that is process 1 takes for an orphan, and when.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite(.enabled(if: Namespace.command != nil, Namespace.reason))
        struct Orphans {
            private let namespace = Namespace.command ?? []

            private func zombies(of master: pid_t) -> [ProcessState] {
                ProcessState.all().filter { $0.parent == master && $0.isZombie }
            }

            /// The kernel gives orphans to the first thread; what another one has started somebody may wait for at any time.
            @Test(arguments: ["posix", "foundation"])
            func whatAnotherThreadHasStartedKeepsItsStatus(way: String) throws {
                let subject = try Subject.role("lateWaiter", "reapDelay=200;\(way)", under: namespace)
                try subject.waitForTold("returned")
                try subject.require(subject.told.contains("in another thread"), "the role's thread")
                try subject.require(subject.told("status") == ["3"], "its own status")
                try subject.require(subject.errors.contains("reaped the orphan"), "an orphan was reaped meanwhile")
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// Nothing but the orphan wakes the master while it waits for the address.
            @Test func areReapedWhileTheAddressIsInUse() throws {
                let other = try Subject.hello(["--children", "1"])
                let address = "127.0.0.1:\(try other.port())"
                let leaving = ["/bin/sh", "-c", "(sleep 0.3 &); exec \"$0\" \"$@\""]
                let subject = try Subject.role(
                    "fleet", "addresses=\(address);bindRetry=9;bindInterval=60000;reapDelay=200",
                    under: namespace + leaving)
                try subject.waitForError("is in use")
                let master = try subject.descendant(1)
                try subject.waitForError("reaped the orphan")
                try subject.require(zombies(of: master).isEmpty, "no zombie is left")
                try subject.require(!subject.errors.contains("listening on"), "it still waits")
                kill(master, SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
                other.signal(SIGTERM)
                try other.wait()
            }

            /// By another namespace's numbers nobody can be told apart.
            @Test func areLeftAloneWhereProcIsAnotherNamespaces() throws {
                let subject = try Subject.role(
                    "fleet", "children=1;reapDelay=0;serve=forksTwiceWhenAsked", under: Namespace.withoutOwnProc ?? [])
                let master = try subject.descendant(1)
                try subject.waitForError("orphans are not reaped")
                try subject.waitForError(" ready after ")
                let connection = try #require(Connection.open(port: try subject.port()))
                try subject.require(connection.waitForEnd(), "it was asked")
                try subject.eventually("a zombie") { !zombies(of: master).isEmpty }
                // Longer than between two looks.
                poll(nil, 0, 600)
                // Two turns of the master's: in one of them it has seen the signal.
                for count in 1...2 {
                    kill(master, SIGUSR1)
                    try subject.eventually("its status") {
                        subject.errors.split(separator: "\n").filter { $0.contains("slot  state") }.count == count
                    }
                }
                let lines = subject.errors.split(separator: "\n").filter { $0.contains("orphans are not reaped") }
                try subject.require(lines.count == 1, "it says so once")
                try subject.require(lines[0].contains("another PID namespace's"), "and why: \(lines[0])")
                try subject.require(!zombies(of: master).isEmpty, "it is left alone")
                kill(master, SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// While the slots are filled nobody looks for children that have ended, but for orphans.
            @Test(arguments: ["", ";mechanisms=portable"])
            func theFleetsOwnAreNone(settings: String) throws {
                let subject = try Subject.role(
                    "fleet", "children=3;spawn=endingThread;awaitEnds=3;first=exit:3;interval=0;reapDelay=0\(settings)",
                    under: namespace)
                try subject.eventually("three exits") { subject.told("exited").count == 3 }
                let exits = subject.told("exited")
                try subject.require(exits.allSatisfy { $0.contains(" status 3 ") }, "each has its status: \(exits)")
                try subject.require(!subject.errors.contains("orphan"), "nobody was reaped as an orphan")
                _ = try subject.waitForReadyInNamespace(3)
                kill(try subject.descendant(1), SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// Nothing else wakes the master, and the next look that is due by itself is half a minute away.
            @Test func areReapedByAnIdleMaster() throws {
                let subject = try Subject.role(
                    "fleet", "children=1;reapDelay=200;serve=forksTwiceWhenAsked", under: namespace)
                let master = try subject.descendant(1)
                try subject.waitForError(" ready after ")
                // Until it has looked for the last time after its start.
                poll(nil, 0, 700)
                let connection = try #require(Connection.open(port: try subject.port()))
                try subject.require(connection.waitForEnd(), "it was asked")
                try subject.eventually("a zombie, or its end") {
                    !zombies(of: master).isEmpty || subject.errors.contains("reaped the orphan")
                }
                let start = ContinuousClock.now
                var gap = Duration.zero
                var last = start
                try subject.eventually("the orphan's end") {
                    let now = ContinuousClock.now
                    (last, gap) = (now, max(gap, now - last))
                    return subject.errors.contains("reaped the orphan")
                }
                // A busy machine lets the master wait as it does this test.
                let limit = Duration.milliseconds(isSanitized ? 10_000 : 1200) + gap * 3
                let elapsed = last - start
                try subject.require(elapsed <= limit, "a second after its delay: \(elapsed), \(gap)")
                try subject.require(zombies(of: master).isEmpty, "no zombie is left")
                kill(master, SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// Shells that start others and leave, while somebody else in the master waits for what is theirs.
            @Test(arguments: ["", ";portable"])
            func orphansAreReaped(settings: String) throws {
                // Long enough for who waits promptly, but on a machine that runs something else meanwhile.
                let delay = isSanitized ? 3 : 1
                let subject = try Subject.role(
                    "foreignProcess", "orphans=1000;reapDelay=\(delay * 1000)\(settings)", under: namespace)
                let master = try subject.descendant(1)
                var firstSeen: [pid_t: ContinuousClock.Instant] = [:]
                var oldest = Duration.zero
                var reaped = 0
                var (last, gap) = (ContinuousClock.now, Duration.zero)
                try subject.eventually("the end of the orphans", within: 60) {
                    let now = ContinuousClock.now
                    (last, gap) = (now, max(gap, now - last))
                    let zombies = Set(zombies(of: master).map(\.pid))
                    for pid in zombies { firstSeen[pid] = firstSeen[pid] ?? now }
                    for (pid, start) in firstSeen {
                        oldest = max(oldest, now - start)
                        if !zombies.contains(pid) { firstSeen[pid] = nil }
                    }
                    reaped = subject.told("reaped").compactMap { Int($0) }.reduce(0, +)
                    return subject.told.contains("statuses right") && firstSeen.isEmpty && reaped >= 1000
                        || subject.told.contains { $0.hasPrefix("statuses") && $0 != "statuses right" }
                }
                try subject.require(subject.told.contains("statuses right"), "who waits promptly gets its status")
                try subject.require(oldest >= .seconds(delay) / 2, "they were zombies for a while: \(oldest)")
                // A busy machine lets the master wait as it does this test.
                if !isSanitized {
                    try subject.require(oldest <= .seconds(delay + 1) + gap * 3, "none for long: \(oldest), \(gap)")
                }
                kill(master, SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// A child starts a process and leaves it to process 1, which is the master.
            @Test func aChildThatForksTwice() throws {
                let subject = try Subject.role("fleet", "children=1;reapDelay=200;serve=forksTwice", under: namespace)
                try subject.waitForTold("forked")
                let master = try subject.descendant(1)
                try subject.waitForError("reaped the orphan")
                try subject.require(
                    zombies(of: master).isEmpty, "no zombie is left")
                try subject.require(!subject.errors.contains("exited"), "the child is not meant")
                kill(master, SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// Never: then they stay.
            @Test func orphansMayBeLeftAlone() throws {
                let subject = try Subject.role("fleet", "children=1;reapDelay=never;serve=forksTwice", under: namespace)
                try subject.waitForTold("forked")
                let master = try subject.descendant(1)
                try subject.eventually("a zombie") { !zombies(of: master).isEmpty }
                // Who reaps nobody does not ask to be told.
                let caught = UInt64(statusField("SigCgt", of: "/proc/\(master)/status"), radix: 16) ?? .max
                try subject.require(caught & (1 << (UInt64(SIGCHLD) - 1)) == 0, "SIGCHLD is not handled")
                kill(master, SIGUSR1)
                try subject.waitForError("slot  state")
                try subject.require(!zombies(of: master).isEmpty, "still there")
                kill(master, SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }
        }
    }
#endif
