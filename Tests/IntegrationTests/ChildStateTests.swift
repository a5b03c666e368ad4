// The state that a child starts with: descriptors, processors, signals, environment, identity.
#if os(Linux)
    import PreforkLibc
    import Testing

    /// The signals that a master inherits as ignored, and those that its child then ignores.
    private struct SignalCase: CustomTestStringConvertible {
        let testDescription: String
        let wrapper: [String]
        let ignored: String?
        let blocked: [CInt]
        let isAsync: Bool
        let stayIgnored: [CInt]

        init(
            _ name: String, under wrapper: [String] = [], ignored: String? = nil, blocked: [CInt] = [],
            isAsync: Bool = false, stayIgnored: [CInt] = []
        ) {
            testDescription = name
            self.wrapper = wrapper
            self.ignored = ignored
            self.blocked = blocked
            self.isAsync = isAsync
            self.stayIgnored = stayIgnored
        }
    }

    extension Integration {
        @Suite struct ChildState {
            /// The master holds a dozen descriptors that are not close-on-exec. No child has one, first or replacement.
            @Test(arguments: [MechanismChoice.best, .portable], [1, 3])
            func leakedDescriptorsStayBehind(mechanisms: MechanismChoice, listeners: Int) throws {
                let subject = try Subject.start(
                    FleetRole(
                        addresses: Array(repeating: .loopback(), count: listeners), leakedDescriptors: 12,
                        mechanisms: mechanisms, recoverInterval: .zero, firstServe: .exit(3), serve: .takeAll))
                try subject.eventually("four children's descriptors") { subject.reports("fds").count >= 4 }
                for line in subject.reports("fds") {
                    let numbers = line.split(separator: " ").compactMap { Int($0) }
                    try #require(Array(numbers.prefix(4 + listeners)) == Array(0..<(4 + listeners)), subject.log)
                    try #require(numbers.filter { $0 >= 100 } == [], subject.log("none of the master's"))
                }
                let kept = listDirectory("/proc/\(subject.pid)/fd").compactMap { Int($0) }.filter {
                    (200..<212).contains($0)
                }
                #expect(kept.count == 12, subject.log("the master's own stay open"))
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// Before its first instruction a child has exactly 0–2, its listeners and the child channel, although the
            /// master inherited others that are not close-on-exec.
            @Test(arguments: [1, 2])
            func exactDescriptors(listeners: Int) throws {
                let leaks = (3...9).map { "\($0)</dev/null" }.joined(separator: " ") + " 5<&- 8<&-"
                let program = product("hello-prefork")
                let addresses = ["127.0.0.1:0", "\(otherLoopback)"].prefix(listeners)
                let subject = try Subject(
                    "/bin/sh",
                    ["sh", "-c", "exec \"$0\" \"$@\" \(leaks)", program, "--children", "1"] + addresses
                )
                let line = try subject.logLine("listening on")
                let ports = line.split(separator: ",").compactMap { $0.split(separator: ":").last }.compactMap {
                    Int($0)
                }
                let expected = (0...(3 + listeners)).map { "\($0)" }.joined(separator: "\n")
                for round in 0..<3 {
                    let pids = try subject.waitForReady(1)
                    try #require(get("/fds", port: ports[0]).body == expected, subject.log("in round \(round)"))
                    for pid in pids {
                        try #require(readLinkText("/proc/\(pid)/fd/0") == "/dev/null", subject.log)
                        for number in 3..<(3 + listeners) {
                            try #require(readLinkText("/proc/\(pid)/fd/\(number)").hasPrefix("socket:"), subject.log)
                        }
                    }
                    kill(pids[0], SIGKILL)  // The next round looks at its replacement.
                    try subject.eventually("the replacement") { subject.readyPIDs.count == 2 + round }
                }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// Each slot has one of the processors that the master may use, replacements included, or all of them.
            @Test(arguments: [true, false])
            func processors(arePinned: Bool) throws {
                let subject = try Subject.start(
                    FleetRole(children: 3, pinsChildren: arePinned, recoverInterval: .zero))
                let pids = try subject.waitForReady(3)
                let whole = statusField("Cpus_allowed_list")
                let numbers = whole.split(separator: ",").flatMap { part in
                    let ends = part.split(separator: "-").compactMap { Int($0) }
                    return ends.isEmpty ? [] : Array(ends[0]...ends[ends.count - 1])
                }
                kill(pids[1], SIGKILL)
                try subject.eventually("reports of four children") { subject.reports("processors").count == 4 }
                for line in subject.reports("processors") {
                    let words = line.split(separator: " ")
                    let slot = try #require(Int(words[0]))
                    let wanted = arePinned ? "\(numbers[slot % numbers.count])" : whole
                    try #require(words[1] == wanted, subject.log("slot \(slot)"))
                }
                // The thread that starts children keeps its own affinity.
                for thread in listDirectory("/proc/\(subject.pid)/task") {
                    let list = statusField("Cpus_allowed_list", of: "/proc/\(subject.pid)/task/\(thread)/status")
                    try #require([whole, "?"].contains(list), subject.log("a thread of the master"))
                }
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
            }

            @Test func standardDescriptorsClosedInTheMaster() throws {
                let subject = try Subject.hello(["--children", "1"], closed: [0, 1])
                let child = try subject.waitForReady(1)[0]
                for number in 0...1 {
                    #expect(readLinkText("/proc/\(child)/fd/\(number)") == "/dev/null", subject.log("in the child"))
                    #expect(
                        readLinkText("/proc/\(subject.pid)/fd/\(number)") == "/dev/null", subject.log("in the master"))
                }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// Files that the master opens later do not get the numbers, and children have /dev/null there.
            @Test(arguments: [[1], [0, 2], [0, 1, 2]])
            func standardDescriptorsClosedDuringTheRun(numbers: [CInt]) throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/socket"
                let subject = try Subject.start(
                    FleetRole(addresses: [.unix(path)], recoverInterval: .zero, onMasterReady: .closes(numbers)))
                func children() -> [pid_t] { subject.descendants.filter { $0.parent == subject.pid }.map(\.pid) }
                try subject.eventually("closed descriptors") {
                    children().count == 2 && numbers.allSatisfy { readLinkText("/proc/\(subject.pid)/fd/\($0)") == "" }
                }
                for round in 0..<4 {
                    let old = children()
                    kill(old[0], SIGKILL)
                    try subject.eventually("a replacement in round \(round)") {
                        let now = children()
                        return now.count == 2 && !now.contains(old[0])
                    }
                    // It has executed its program.
                    try subject.eventually("an answer of each child") {
                        children().contains(Connection.open(path: path)?.request("/").pid ?? 0)
                    }
                    for number in numbers {
                        let file = readLinkText("/proc/\(subject.pid)/fd/\(number)")
                        // libdispatch, which the test library uses, may open something.
                        let isOurs = file.hasPrefix("socket:") || file == "anon_inode:[pidfd]"
                        try #require(!isOurs, subject.log("\(number)"))
                        for child in children() where !old.contains(child) {
                            try #require(
                                readLinkText("/proc/\(child)/fd/\(number)") == "/dev/null", subject.log("\(number)"))
                        }
                    }
                }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// A child's mask is empty, independent of the master's. It ignores the signals that its program would
            /// ignore if it had been started alone, except CHLD and those that a shell ignores for a background job.
            @Test(arguments: [
                SignalCase("plain"),
                SignalCase("under nohup", under: ["/usr/bin/nohup"], stayIgnored: [SIGHUP]),
                SignalCase("a background job of sh", under: ["/bin/sh", "-c", "\"$0\" \"$@\" & wait $!"]),
                SignalCase("with PIPE ignored", ignored: "PIPE", stayIgnored: [SIGPIPE]),
                SignalCase("from a task", isAsync: true),
                SignalCase("from a task, with PIPE ignored", ignored: "PIPE", isAsync: true, stayIgnored: [SIGPIPE]),
                SignalCase(
                    "with many ignored", ignored: "INT QUIT HUP CHLD PIPE USR1 USR2 TTIN TTOU TSTP ALRM",
                    stayIgnored: [SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGTSTP, SIGALRM]),
                SignalCase("with TERM ignored, which the master needs", ignored: "TERM"),
                SignalCase("with some blocked", blocked: [SIGTERM, SIGINT, SIGCHLD, SIGUSR1]),
                SignalCase(
                    "with some ignored and some blocked", ignored: "INT CHLD 40", blocked: [SIGTERM, SIGUSR2],
                    stayIgnored: [40]),
            ])
            fileprivate func signalState(inherited: SignalCase) throws {
                let subject = try Subject.start(
                    SignalStateRole(isAsync: inherited.isAsync), under: inherited.wrapper, ignored: inherited.ignored,
                    blocked: inherited.blocked)
                _ = try subject.waitForReady(1)
                try subject.eventually("the child's signals") { !subject.reports("caught").isEmpty }
                #expect(subject.reports("SigBlk") == ["0000000000000000"], subject.log)
                #expect(subject.reports("ignored") == [numbers(inherited.stayIgnored)], subject.log)
                // Prefork's handlers, and none of the master's or of an earlier program's. A sanitizer has some, too.
                let sanitizers = isSanitized ? [SIGBUS, SIGFPE, SIGSEGV] : []
                let terminal = [SIGHUP, SIGINT].filter { !inherited.stayIgnored.contains($0) }
                let caught = numbers((sanitizers + terminal + [SIGTERM]).sorted())
                #expect(subject.reports("caught") == [caught], subject.log)
                // The master handles CHLD and TERM although it may have started with both blocked or ignored.
                kill(subject.readyPIDs[0], SIGKILL)
                try subject.waitForLog("signal 9 (KILL)")
                let master = try #require(subject.reports("master").first.flatMap { pid_t($0) }, subject.log)
                kill(master, SIGTERM)
                try subject.waitForReport("returned")
                try subject.expectExit(0)
            }

            private func numbers(_ signals: [CInt]) -> String {
                signals.sorted().map { "\($0)" }.joined(separator: " ")
            }

            /// A terminal that closes sends HUP to every process of its session.
            @Test func hangUpUnderNohup() throws {
                let subject = try Subject.hello(["--children", "2"], under: ["/usr/bin/nohup"])
                let pids = try subject.waitForReady(2)
                for pid in [subject.pid] + pids { kill(pid, SIGHUP) }
                let port = try subject.port()
                for _ in 0..<10 { #expect(get("/", port: port) == .hello, subject.log) }
                #expect(Set(subject.descendants.map(\.pid)) == Set(pids), subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.readyPIDs == pids, subject.log("no child was replaced"))
            }

            @Test func environmentStripping() throws {
                let subject = try Subject.start(
                    EnvironmentRole(),
                    environment: [
                        "PREFORKED": "1", "PREFORK_FOO": "kept", "LISTEN_PID": "1", "LISTEN_FDS": "1",
                        "LISTEN_FDNAMES": "a",
                        "NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "5", "REPLACED": "old",
                    ]
                )
                try subject.waitForReport("serving")
                // Before Prefork reads the handshake: each variable once, and LISTEN_* only in the master.
                let before = subject.reports("before")
                for name in [
                    "ADDRESSES", "CHANNEL", "GENERATION", "LAUNCH", "LISTENERS", "MASTER_PID", "NAMES", "RUNS", "SLOT",
                    "VERSION",
                ] {
                    #expect(before.contains("PREFORK_\(name) 1"), subject.log)
                }
                #expect(before.filter { $0.hasPrefix("LISTEN_") } == [], subject.log)
                // Then the handshake is gone, and other variables stay.
                #expect(subject.reports("after") == ["PREFORKED", "PREFORK_FOO"], subject.log)
                for line in ["EXTRA=added", "REPLACED=new", "NOTIFY_SOCKET=-", "WATCHDOG_USEC=-", "PREFORKED=1"] {
                    #expect(subject.reports.contains(line), subject.log)
                }
                let name = executablePath().split(separator: "/").last ?? ""
                #expect(subject.reports("comm") == ["\(name.prefix(13)):0"], subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// An incomplete, forged or stale handshake makes neither a master of the process nor a listener of an open
            /// descriptor.
            @Test func forgedHandshakes() throws {
                let complete = [
                    "PREFORK_VERSION": "1", "PREFORK_SLOT": "0", "PREFORK_LAUNCH": "0", "PREFORK_GENERATION": "1",
                    "PREFORK_RUNS": "",
                    "PREFORK_MASTER_PID": "\(getpid())",
                    "PREFORK_LISTENERS": "1", "PREFORK_ADDRESSES": "127.0.0.1:8080", "PREFORK_NAMES": "=",
                    "PREFORK_CHANNEL": "4:1:1",
                ]
                // Complete, and the parent is right, but there is no child channel.
                try refused(complete, 64, "child channel")
                for name in complete.keys.sorted() {
                    var half = complete
                    half[name] = nil
                    try refused(half, 64, name)
                    half[name] = "nonsense"
                    try refused(half, 64, "PREFORK_")
                }
                try refused(["PREFORK_SLOT": "0"], 64, "missing")
                // The right channel by number, device and inode, but a listener that is not a socket.
                var status = stat()
                let file = open("/dev/null", O_RDWR)
                defer { close(file) }
                fstat(file, &status)
                var wrongListener = complete
                wrongListener["PREFORK_CHANNEL"] = "4:\(status.st_dev):\(status.st_ino)"
                let subject = try Subject(
                    "/bin/sh",
                    ["sh", "-c", "exec \"$0\" 3</dev/null 4</dev/null", product("hello-prefork")],
                    environment: wrongListener
                )
                try subject.expectExit(64)
                #expect(subject.standardError.contains("descriptor 3 is not a socket"), subject.log)
                // The right channel, but another parent: the master is dead.
                wrongListener["PREFORK_MASTER_PID"] = "1"
                let abandoned = try Subject(
                    "/bin/sh",
                    ["sh", "-c", "exec \"$0\" 3</dev/null 4</dev/null", product("hello-prefork")],
                    environment: wrongListener
                )
                try abandoned.expectExit(75)
                #expect(abandoned.logLines.count == 1, abandoned.log)
            }

            private func refused(_ variables: [String: String], _ status: CInt, _ text: String) throws {
                let subject = try Subject.hello(environment: variables)
                let result = try subject.wait()
                try #require(result == status, subject.log("\(variables)"))
                try #require(subject.logLines.count == 1, subject.log("\(variables)"))
                #expect(subject.standardError.contains(text), subject.log("\(variables)"))
                #expect(!subject.standardError.contains("listening"), subject.log("\(variables)"))
            }

            /// A process that a child starts has no descriptor or variable of Prefork's, and keeps nothing alive.
            @Test func grandchild() throws {
                let subject = try Subject.start(GrandchildRole())
                let first = try subject.waitForReady(1)[0]
                try subject.eventually("the grandchild") { subject.standardError.contains("variables 0") }
                #expect(subject.logLines("-> socket:") == [], subject.log("no listener, no child channel"))
                #expect(subject.standardError.contains("-> /dev/null"), subject.log("the list is there"))
                kill(first, SIGKILL)
                try subject.waitForLog("child \(first) (slot 0) exited: signal 9 (KILL)")
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.waitForReport("returned")
                try subject.wait()
            }

            @Test func wrapperThatExecs() throws {
                let subject = try Subject.start(FleetRole(spawn: .throughShell))
                _ = try subject.waitForReady(2)
                try #require(get("/", port: subject.port()).pid != nil, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func argumentsAndSlots() throws {
                let subject = try Subject.hello(["--children", "3", "--grace", "4"])
                let pids = try subject.waitForReady(3)
                let own = readText("/proc/\(subject.pid)/cmdline") ?? ""
                for pid in pids { #expect(readText("/proc/\(pid)/cmdline") == own, subject.log) }
                var slots: Set<String> = []
                let port = try subject.port()
                try subject.eventually("all slots answer, not only \(slots)") {
                    if let slot = get("/slot", port: port).body { slots.insert(slot) }
                    return slots == ["0", "1", "2"]
                }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }
        }
    }
#endif
