// What a child is born with: descriptors, signals, environment, identity.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct ChildState {
            /// The master holds a dozen descriptors that are not close-on-exec; no child, first or replacement, has one.
            @Test(arguments: ["best", "portable"], [1, 3])
            func leakedDescriptorsStayBehind(mechanisms: String, listeners: Int) throws {
                let addresses = Array(repeating: "127.0.0.1:0", count: listeners).joined(separator: ",")
                let subject = try Subject.role(
                    "fleet",
                    "children=2;leak=12;mechanisms=\(mechanisms);addresses=\(addresses);serve=all;first=exit:3;interval=0"
                )
                try subject.eventually("four children's descriptors") { subject.told("fds").count >= 4 }
                for line in subject.told("fds") {
                    let numbers = line.split(separator: " ").compactMap { Int($0) }
                    try subject.require(
                        Array(numbers.prefix(4 + listeners)) == Array(0..<(4 + listeners)),
                        "ours: \(line)"
                    )
                    try subject.require(!numbers.contains { $0 >= 100 }, "none of the master's leaks: \(line)")
                }
                let kept = listDirectory("/proc/\(subject.pid)/fd").compactMap { Int($0) }.filter {
                    (200..<212).contains($0)
                }
                try subject.require(kept.count == 12, "the master's own stay open")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// Before the child's first instruction: exactly 0–2, the listeners, the child channel, though the master has
            /// inherited others that are not close-on-exec.
            @Test(arguments: [1, 2])
            func exactDescriptors(listeners: Int) throws {
                let leaks = (3...9).map { "\($0)</dev/null" }.joined(separator: " ") + " 5<&- 8<&-"
                let program = product("hello-prefork")
                let addresses = ["127.0.0.1:0", otherLoopback].prefix(listeners)
                let subject = try Subject(
                    "/bin/sh",
                    ["sh", "-c", "exec \"$0\" \"$@\" \(leaks)", program, "--children", "1"] + addresses
                )
                let line = try subject.line("listening on")
                let ports = line.split(separator: ",").compactMap { $0.split(separator: ":").last }.compactMap {
                    Int($0)
                }
                let expected = (0...(3 + listeners)).map { "\($0)" }.joined(separator: "\n")
                for round in 0..<3 {
                    let pids = try subject.waitForReady(1)
                    let fds = body(get("/fds", port: ports[0]))
                    try subject.require(fds == expected, "\(expected) in round \(round): \(fds ?? "no answer")")
                    for pid in pids {
                        try subject.require(
                            readLinkText("/proc/\(pid)/fd/0") == "/dev/null",
                            "standard input is /dev/null"
                        )
                        for number in 3..<(3 + listeners) {
                            let socket = readLinkText("/proc/\(pid)/fd/\(number)")
                            try subject.require(socket.hasPrefix("socket:"), "\(number) is a socket: \(socket)")
                        }
                    }
                    kill(pids[0], SIGKILL)  // Its replacement is looked at in the next round.
                    try subject.eventually("the replacement") { subject.readyPIDs.count == 2 + round }
                }
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// Of the processors that the master may use, one for each slot, a replacement's the same; or all.
            @Test(arguments: [true, false])
            func processors(arePinned: Bool) throws {
                let subject = try Subject.role("fleet", "children=3;interval=0;\(arePinned ? "affinity" : "")")
                let pids = try subject.waitForReady(3)
                let whole = statusField("Cpus_allowed_list")
                let numbers = whole.split(separator: ",").flatMap { part in
                    let ends = part.split(separator: "-").compactMap { Int($0) }
                    return ends.isEmpty ? [] : Array(ends[0]...ends[ends.count - 1])
                }
                kill(pids[1], SIGKILL)
                try subject.eventually("four children's words") { subject.told("processors").count == 4 }
                for line in subject.told("processors") {
                    let words = line.split(separator: " ")
                    let slot = try #require(Int(words[0]))
                    let wanted = arePinned ? "\(numbers[slot % numbers.count])" : whole
                    try subject.require(words[1] == wanted, "slot \(slot) runs on \(words[1]), not \(wanted)")
                }
                // The thread that has started them has what it had.
                for thread in listDirectory("/proc/\(subject.pid)/task") {
                    let list = statusField("Cpus_allowed_list", of: "/proc/\(subject.pid)/task/\(thread)/status")
                    try subject.require(list == whole || list == "?", "a thread of the master's runs on \(list)")
                }
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
            }

            @Test func standardDescriptorsClosedInTheMaster() throws {
                let subject = try Subject.hello(["--children", "1"], closed: [0, 1])
                _ = try subject.waitForReady(1)
                let child = subject.readyPIDs[0]
                for number in 0...1 {
                    try subject.require(
                        readLinkText("/proc/\(child)/fd/\(number)") == "/dev/null",
                        "\(number) is /dev/null in the child"
                    )
                    try subject.require(
                        readLinkText("/proc/\(subject.pid)/fd/\(number)") == "/dev/null",
                        "\(number) is /dev/null in the master"
                    )
                }
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test(arguments: [
                ("plain", nil as String?, [] as [CInt]), ("ignored", "INT QUIT HUP CHLD PIPE", []),
                ("blocked", nil, [SIGTERM, SIGINT, SIGCHLD, SIGUSR1]),
                ("both", "INT CHLD", [SIGTERM, SIGUSR2]),
            ])
            func cleanSignalState(name: String, ignored: String?, blocked: [CInt]) throws {
                let subject = try Subject.role("signalState", ignored: ignored, blocked: blocked)
                _ = try subject.waitForReady(1)
                try subject.eventually("the child's signals") { !subject.told("SigCgt").isEmpty }
                try subject.require(subject.told("SigBlk") == ["0000000000000000"], "nothing blocked: \(subject.told)")
                // But 32 and 33, which glibc keeps for its threads and which posix_spawn(3) sets itself.
                let ignoredNow = UInt64(subject.told("SigIgn").first ?? "", radix: 16).map { $0 & ~(3 << 31) }
                try subject.require(ignoredNow == 0, "nothing ignored: \(subject.told)")
                // And the master, which may have been started with TERM blocked and CHLD ignored, hears both.
                kill(subject.readyPIDs[0], SIGKILL)
                try subject.waitForError("signal 9 (KILL)")
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test func environmentStripping() throws {
                let subject = try Subject.role(
                    "environment",
                    environment: [
                        "PREFORKED": "1", "PREFORK_FOO": "kept", "LISTEN_PID": "1", "LISTEN_FDS": "1",
                        "LISTEN_FDNAMES": "a",
                        "NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "5", "REPLACED": "old",
                    ]
                )
                try subject.eventually("serving") { subject.told.contains("serving") }
                let ours = [
                    "ADDRESSES", "CHANNEL", "GENERATION", "LAUNCH", "LISTENERS", "MASTER_PID", "NAMES", "RUNS", "SLOT",
                    "VERSION",
                ].map { "PREFORK_\($0) 1" }
                let before = subject.told("before")
                for line in ours {
                    try subject.require(before.contains(line), "\(line) before the role is read: \(before)")
                }
                try subject.require(!before.contains { $0.hasPrefix("LISTEN_") }, "LISTEN_* is the master's")
                try subject.require(
                    subject.told("after").sorted() == ["PREFORKED", "PREFORK_FOO"],
                    "ours are gone, others stay"
                )
                for line in ["EXTRA=added", "REPLACED=new", "NOTIFY_SOCKET=-", "WATCHDOG_USEC=-", "PREFORKED=1"] {
                    try subject.require(subject.told.contains(line), line)
                }
                let name = executablePath().split(separator: "/").last ?? ""
                try subject.require(
                    subject.told("comm") == [String(name.prefix(15))],
                    "its command name: \(subject.told("comm"))"
                )
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// Neither a half nor a forged nor a stale handshake makes a master, or a listener of whatever is open there.
            @Test func forgedHandshakes() throws {
                let complete = [
                    "PREFORK_VERSION": "1", "PREFORK_SLOT": "0", "PREFORK_LAUNCH": "0", "PREFORK_GENERATION": "1",
                    "PREFORK_RUNS": "",
                    "PREFORK_MASTER_PID": "\(getpid())",
                    "PREFORK_LISTENERS": "1", "PREFORK_ADDRESSES": "127.0.0.1:8080", "PREFORK_NAMES": "=",
                    "PREFORK_CHANNEL": "4:1:1",
                ]
                // Complete, our own child, but no child channel: forged.
                try refused(complete, 64, "child channel")
                for name in complete.keys.sorted() {
                    var half = complete
                    half[name] = nil
                    try refused(half, 64, name)
                    half[name] = "nonsense"
                    try refused(half, 64, "PREFORK_")
                }
                try refused(["PREFORK_SLOT": "0"], 64, "missing")
                // The right channel by number, device and inode, but a listener that is none.
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
                try subject.require(subject.wait() == 64, "status 64")
                try subject.require(subject.errors.contains("descriptor 3 is not a socket"), "it says what 3 is")
                // The right channel, another parent: the master is gone.
                wrongListener["PREFORK_MASTER_PID"] = "1"
                let orphan = try Subject(
                    "/bin/sh",
                    ["sh", "-c", "exec \"$0\" 3</dev/null 4</dev/null", product("hello-prefork")],
                    environment: wrongListener
                )
                try orphan.require(orphan.wait() == 75, "status 75")
                try orphan.require(orphan.errors.split(separator: "\n").count == 1, "one line")
            }

            private func refused(_ variables: [String: String], _ status: CInt, _ text: String) throws {
                let subject = try Subject.hello(environment: variables)
                let result = try subject.wait()
                try subject.require(result == status, "status \(status), not \(result), for \(variables)")
                try subject.require(subject.errors.split(separator: "\n").count == 1, "one line for \(variables)")
                try subject.require(subject.errors.contains(text), "it names \(text)")
                try subject.require(!subject.errors.contains("listening"), "it does not listen")
            }

            /// A process that the child starts has none of our descriptors and variables, and keeps nothing alive.
            @Test func grandchild() throws {
                let subject = try Subject.role("grandchild")
                let first = try subject.waitForReady(1)[0]
                try subject.eventually("the grandchild") { subject.errors.contains("variables 0") }
                let sockets = subject.errors.split(separator: "\n").filter { $0.contains("-> socket:") }
                try subject.require(sockets.isEmpty, "no listener, no child channel: \(sockets)")
                try subject.require(subject.errors.contains("-> /dev/null"), "and the list is there")
                kill(first, SIGKILL)
                try subject.waitForError("child \(first) (slot 0) exited: signal 9 (KILL)")
                _ = try subject.waitForReady(1)
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
                try subject.wait()
            }

            @Test func wrapperThatExecs() throws {
                let subject = try Subject.role("fleet", "children=2;spawn=wrapper")
                _ = try subject.waitForReady(2)
                try subject.require(body(get("/", port: subject.port())) != nil, "it serves")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test func argumentsAndSlots() throws {
                let subject = try Subject.hello(["--children", "3", "--grace", "4"])
                let pids = try subject.waitForReady(3)
                for pid in pids {
                    let own = readText("/proc/\(subject.pid)/cmdline") ?? ""
                    try subject.require(readText("/proc/\(pid)/cmdline") == own, "the master's arguments: \(own)")
                }
                var slots: Set<String> = []
                let port = try subject.port()
                try subject.eventually("all slots answer") {
                    if let slot = body(get("/slot", port: port)) { slots.insert(slot) }
                    return slots == ["0", "1", "2"]
                }
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }
        }
    }

#endif
