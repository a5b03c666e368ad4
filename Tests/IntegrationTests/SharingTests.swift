// Who has which socket, and how many connections wait there.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Sharing {
            /// Each slot has its own TCP sockets, its children one after another the same; Unix-domain sockets are common.
            @Test func shardedSocketsOutliveTheirChildren() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let subject = try Subject.role(
                    "fleet",
                    "children=3;listening=sharded;addresses=127.0.0.1:0,\(otherLoopback),unix:\(directory)/s;serve=wait"
                )
                let first = try subject.waitForReady(3)
                let before = try inodes(subject, 3)
                for (index, common) in [false, false, true].enumerated() {
                    let ofSlots = Set(before.compactMap { $0.count == 3 ? $0[index] : nil })
                    try subject.require(ofSlots.count == (common ? 1 : 3), "address \(index): \(before)")
                }
                for pid in first { kill(pid, SIGKILL) }
                try subject.eventually("replacements") { subject.told("inodes").count == 6 }
                try subject.require(try inodes(subject, 3, launch: 1) == before, "the same sockets")
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
            }

            /// The inodes of each slot's listeners, as its child of that launch has told them.
            private func inodes(_ subject: Subject, _ slots: Int, launch: Int = 0) throws -> [[Substring]] {
                try subject.eventually("inodes") { subject.told("inodes").count >= slots * (launch + 1) }
                return (0..<slots).map { slot in
                    let lines = subject.told("inodes").map { $0.split(separator: " ") }
                    let own = lines.filter { $0.first == "\(slot)" }
                    return own.indices.contains(launch) ? Array(own[launch].dropFirst()) : []
                }
            }

            /// The first child is ready long before the last is started: the others' slots get nothing meanwhile.
            @Test func whoIsReadyServesWhileOthersAreStarted() throws {
                let subject = try Subject.role("fleet", "children=4;listening=sharded;slowSpawn=1000")
                let first = try subject.waitForReady(1)
                let port = try subject.port()
                for _ in 0..<20 {
                    let answer = body(get("/", port: port))
                    try subject.require(
                        answer == "\(first[0])", "the only child that is ready has answered: \(answer ?? "-")")
                    if subject.told("onChildSpawn").count > 1 { break }
                }
                // A stop in the midst of it is one of a child that accepts.
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
                try subject.require(
                    !subject.errors.contains("never ready") || subject.readyPIDs.count >= 1, "it was ready")
                let line = subject.errors.split(separator: "\n").first {
                    $0.contains("child \(first[0]) (slot 0) exited")
                }
                try subject.require(line?.contains("never ready") == false, "the log says that it was ready")
                try subject.require(subject.told("onMasterReady").isEmpty, "it was stopped before all were started")
            }

            /// With a descriptor for each slot and address the limit would be passed while the fleet starts.
            @Test func aLimitOfDescriptors() throws {
                let limited = ["/bin/sh", "-c", "ulimit -n 128; exec \"$0\" \"$@\""]
                let automatic = try Subject.hello(["--children", "40"], under: limited)
                _ = try automatic.waitForReady(40)
                try automatic.require(
                    automatic.errors.contains("40 slots need ") && automatic.errors.contains("(RLIMIT_NOFILE)"),
                    "an event says why they share")
                automatic.signal(SIGTERM)
                try automatic.require(automatic.wait() == 0, "status 0")
                let sharded = try Subject.hello(["--children", "40", "--listening", "sharded"], under: limited)
                try sharded.require(sharded.wait() == 78, "sharded is an error: \(sharded.errors)")
                try sharded.require(!sharded.errors.contains("started"), "before any child")
            }

            @Test func withoutSupportTheyAreSharedOrAnError() throws {
                let shared = try Subject.role("fleet", "children=2;shardingFault=no such thing here;serve=wait")
                _ = try shared.waitForReady(2)
                try shared.require(
                    shared.errors.contains("all children share one listener for each address: no such thing here"),
                    "an event says why")
                try shared.require(Set(shared.told("inodes").map { $0.dropFirst(2) }).count == 1, "one socket")
                shared.signal(SIGTERM)
                try shared.waitForTold("clean")

                let refused = try Subject.role(
                    "fleet", "children=2;listening=sharded;shardingFault=no such thing here;serve=wait")
                try refused.waitForTold(
                    "threw PreforkError invalid sockets.mode: no such thing here")
                try refused.require(refused.told.contains("clean") && refused.told("child").isEmpty, "nothing left")
                // Only Unix-domain sockets: nothing to shard, and nothing to try out.
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let unix = try Subject.role(
                    "fleet", "listening=sharded;shardingFault=none;addresses=unix:\(directory)/s;serve=wait")
                _ = try unix.waitForReady(2)
                unix.signal(SIGTERM)
                try unix.waitForTold("returned")
            }

            @Test func listenersHaveNames() throws {
                let subject = try Subject.role(
                    "fleet",
                    "children=1;addresses=127.0.0.1:0,127.0.0.1:0,\(otherLoopback);names=web,admin;adopt;serve=named")
                try subject.eventually("names") { subject.told("again").count == 3 }
                try subject.require(
                    subject.told("named").map { $0.split(separator: " ").prefix(2).joined(separator: " ") }
                        == ["web 3", "admin 4", "own 6"],
                    "by their order")
                try subject.require(
                    subject.told("unnamed") == ["there is no listener named \"nobody\""], "no such name")
                try subject.require(
                    Set(subject.told("again"))
                        == Set([0, 1, 3].map { "listener \($0) is already taken" }), "once each")
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
            }

            @Test(arguments: ["sharded", "shared"])
            func statusTellsOfQueues(listening: String) throws {
                let subject = try Subject.hello(["--children", "2", "--listening", listening])
                let children = try subject.waitForReady(2)
                let port = try subject.port()
                for pid in children { kill(pid, SIGSTOP) }
                try subject.eventually("stopped children") { children.allSatisfy { ProcessState($0)?.state == "T" } }
                let clients = try (0..<10).map { _ in try #require(Connection.open(port: port)) }
                var sum = 0
                try subject.eventually("ten that wait") {
                    let seen = subject.errors.count
                    subject.signal(SIGUSR1)
                    try subject.eventually("a table") { subject.errors.dropFirst(seen).contains("  1     ready") }
                    sum = queued(subject.errors.dropFirst(seen), listening)
                    return sum == 10
                }
                for pid in children { kill(pid, SIGCONT) }
                for client in clients {
                    try subject.require(client.send("/") && body(client.receive()) == "Hello world!", "an answer")
                }
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// What the table says of all slots.
            private func queued(_ table: Substring, _ listening: String) -> Int {
                let lines = table.split(separator: "\n").map { $0.split(separator: " ") }
                if listening == "shared" {
                    return lines.first { $0.contains("shared") }.flatMap { Int($0[3]) } ?? -1
                }
                return lines.filter { $0.contains("ready") && $0.count > 7 && $0[2] == "ready" }
                    .compactMap { Int($0[7]) }.reduce(0, +)
            }

            @Test func aQueueThatFillsIsTold() throws {
                let subject = try Subject.role(
                    "fleet", "children=1;backlog=20;alarm=50;serve=deaf;queueDrain=50;grace=50")
                let children = try subject.waitForReady(1)
                let port = try subject.port()
                let clients = (0..<9).map { _ in Connection.open(port: port) }
                let more = (0..<3).map { _ in Connection.open(port: port) }
                let line = try subject.line("connections wait on 127.0.0.1:\(port) for slot 0")
                let text = try #require(line.split(separator: ": ").last)
                try subject.require(text.hasPrefix("1") && text.contains(" of 20 "), "ten at least: \(text)")
                // The log's line comes first, and what the role says after it.
                try subject.eventually("the same as a value") { !subject.told("waiting").isEmpty }
                let told = try #require(subject.told("waiting").first?.split(separator: " "))
                try subject.require((Int(told[0]) ?? 0) >= 10 && told[1] == "sharded", "the same as a value: \(told)")
                try subject.require(clients.count + more.count == 12 && children.count == 1, "all the time")
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
                let count = subject.errors.split(separator: "\n").filter { $0.contains("connections wait") }.count
                try subject.require(count == 1, "told once")
            }

            @Test(arguments: ["sharded", "shared"])
            func theBacklogIsPutBackWhenAChildIsReady(listening: String) throws {
                let subject = try Subject.role(
                    "fleet", "children=1;listening=\(listening);readinessTimeout=20000;serve=relisten")
                try subject.waitForTold("relistened 128")
                try subject.waitForTold("backlog is back")
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
            }

            /// While a slot waits for its next try the others get everything.
            @Test func aSlotWithoutAChildGetsNoConnections() throws {
                let subject = try Subject.role(
                    "fleet", "children=3;listening=sharded;interval=60000;threshold=9;serve=http")
                let children = try subject.waitForReady(3)
                let port = try subject.port()
                kill(children[0], SIGKILL)
                try subject.waitForError("recovering in 60 s")
                for _ in 0..<60 {
                    let answer = body(get("/", port: port)).flatMap { pid_t($0) }
                    try subject.require(
                        answer.map { children.dropFirst().contains($0) } == true, "a living child's answer")
                }
                let seen = subject.errors.count
                subject.signal(SIGUSR1)
                try subject.eventually("a table") { subject.errors.dropFirst(seen).contains(" 0 out") }
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
            }

            @Test(arguments: ["sharded", "shared"])
            func connectionsAreSpread(listening: String) throws {
                let subject = try Subject.hello(["--children", "4", "--listening", listening])
                _ = try subject.waitForReady(4)
                let port = try subject.port()
                var counts: [String: Int] = [:]
                let requests = 10_000
                for _ in 0..<requests { counts[body(get("/slot", port: port)) ?? "none", default: 0] += 1 }
                print(
                    "\(requests) connections, \(listening): \(counts.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" })"
                )
                try subject.require(counts["none"] == nil, "all answered: \(counts)")
                if listening == "sharded" {
                    let even = Double(requests) / 4
                    try subject.require(
                        counts.count == 4 && counts.values.allSatisfy { abs(Double($0) - even) <= 0.08 * even },
                        "within 8 % of even: \(counts)")
                }
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }
        }
    }
#endif
