// Which child has which socket, and how many connections wait there.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Sharing {
            /// Each slot has TCP sockets of its own, and its children have the same ones. All slots share a Unix-domain
            /// socket.
            @Test func shardedSocketsOutliveTheirChildren() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let subject = try Subject.start(
                    FleetRole(
                        children: 3, addresses: [.loopback(), otherLoopback, .unix("\(directory)/s")],
                        listening: .sharded, serve: .waitForStop))
                let first = try subject.waitForReady(3)
                let before = try inodes(subject, 3)
                try #require(before.map(\.count) == [3, 3, 3], subject.log)
                for (index, distinct) in [3, 3, 1].enumerated() {
                    #expect(Set(before.map { $0[index] }).count == distinct, subject.log("address \(index): \(before)"))
                }
                for pid in first { kill(pid, SIGKILL) }
                try subject.eventually("replacements") { subject.reports("inodes").count == 6 }
                try #require(inodes(subject, 3, launch: 1) == before, subject.log)
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
            }

            /// The inodes of each slot's listeners, as its child of that launch has reported them.
            private func inodes(_ subject: Subject, _ slots: Int, launch: Int = 0) throws -> [[Substring]] {
                try subject.eventually("inodes") { subject.reports("inodes").count >= slots * (launch + 1) }
                return (0..<slots).map { slot in
                    let lines = subject.reports("inodes").map { $0.split(separator: " ") }
                    let own = lines.filter { $0.first == "\(slot)" }
                    return own.indices.contains(launch) ? Array(own[launch].dropFirst()) : []
                }
            }

            /// The first child is ready long before the last one starts. The slots of the others get no connections
            /// until then.
            @Test func readyChildrenServeWhileOthersStart() throws {
                let subject = try Subject.start(
                    FleetRole(children: 4, listening: .sharded, onChildSpawn: .takes(.seconds(1))))
                let first = try subject.waitForReady(1)[0]
                let port = try subject.port()
                for _ in 0..<20 {
                    try #require(get("/", port: port).pid == first, subject.log("the only child that is ready"))
                    if subject.reports("onChildSpawn").count > 1 { break }
                }
                // A stop meanwhile finds a child that accepts.
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
                let lines = subject.logLines("child \(first) (slot 0) exited")
                try #require(lines.count == 1, subject.log)
                #expect(!lines[0].contains("never ready"), subject.log)
                #expect(subject.reports("onMasterReady") == [], subject.log("stopped before all were started"))
            }

            /// A descriptor for each slot and address would exceed the limit while the fleet starts.
            @Test func aLimitOfDescriptors() throws {
                let limited = ["/bin/sh", "-c", "ulimit -n 128; exec \"$0\" \"$@\""]
                let automatic = try Subject.hello(["--children", "40"], under: limited)
                _ = try automatic.waitForReady(40)
                #expect(automatic.standardError.contains("40 slots need "), automatic.log)
                #expect(automatic.standardError.contains("(RLIMIT_NOFILE)"), automatic.log)
                automatic.signal(SIGTERM)
                try automatic.expectExit(0)
                let sharded = try Subject.hello(["--children", "40", "--listening", "sharded"], under: limited)
                try sharded.expectExit(78)
                #expect(sharded.logLines("started") == [], sharded.log("before any child"))
            }

            @Test func withoutSupportTheyAreSharedOrAnError() throws {
                let shared = try Subject.start(FleetRole(shardingFault: "no such thing here", serve: .waitForStop))
                _ = try shared.waitForReady(2)
                let text = "all children share one listener for each address: no such thing here"
                #expect(shared.standardError.contains(text), shared.log)
                #expect(Set(shared.reports("inodes").map { $0.dropFirst(2) }).count == 1, shared.log("one socket"))
                shared.signal(SIGTERM)
                try shared.waitForReport("clean")

                let refused = try Subject.start(
                    FleetRole(listening: .sharded, shardingFault: "no such thing here", serve: .waitForStop))
                let error = try refused.thrownError()
                #expect(error == "PreforkError invalid sockets.mode: no such thing here", refused.log)
                #expect(refused.reports.contains("clean"), refused.log)
                #expect(refused.reports("child") == [], refused.log)
                // With Unix-domain sockets alone, there is nothing to shard and nothing to probe.
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let unix = try Subject.start(
                    FleetRole(
                        addresses: [.unix("\(directory)/s")], listening: .sharded, shardingFault: "none",
                        serve: .waitForStop))
                _ = try unix.waitForReady(2)
                unix.signal(SIGTERM)
                try unix.waitForReport("returned")
            }

            @Test func listenersHaveNames() throws {
                let subject = try Subject.start(
                    FleetRole(
                        children: 1,
                        addresses: [.loopback().named("web"), .loopback().named("admin"), otherLoopback],
                        adoptsListener: true, serve: .takeByName))
                try subject.eventually("names") { subject.reports("again").count == 3 }
                let named = subject.reports("named").map { $0.split(separator: " ").prefix(2) }
                #expect(named == [["web", "3"], ["admin", "4"], ["own", "6"]], subject.log)
                #expect(subject.reports("unnamed") == ["there is no listener named \"unknown\""], subject.log)
                let taken = [0, 1, 3].map { "listener \($0) is already taken" }
                #expect(subject.reports("again").sorted() == taken, subject.log)
                subject.signal(SIGTERM)
                try subject.waitForReport("returned")
            }

            @Test(arguments: FleetRole.Listening.allCases)
            func statusShowsQueues(listening: FleetRole.Listening) throws {
                let subject = try Subject.hello(["--children", "2", "--listening", listening.rawValue])
                let children = try subject.waitForReady(2)
                let port = try subject.port()
                try subject.suspend(children)
                let clients = try (0..<10).map { _ in try #require(Connection.open(port: port)) }
                var sum = 0
                try subject.eventually("ten connections that wait, not \(sum)") {
                    let seen = subject.standardError.count
                    subject.signal(SIGUSR1)
                    try subject.eventually("a table") {
                        subject.standardError.dropFirst(seen).contains("  1     ready")
                    }
                    sum = queued(subject.standardError.dropFirst(seen), listening)
                    return sum == 10
                }
                for pid in children { kill(pid, SIGCONT) }
                for client in clients { try #require(client.request("/") == .hello, subject.log) }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// How many connections wait for all slots, by the table.
            private func queued(_ table: Substring, _ listening: FleetRole.Listening) -> Int {
                let lines = table.split(separator: "\n").map(columns)
                switch listening {
                case .shared: return lines.first { $0.contains("shared") }.flatMap { Int($0[3]) } ?? -1
                case .sharded:
                    return lines.filter { $0.contains("ready") && $0.count > 7 && $0[2] == "ready" }
                        .compactMap { Int($0[7]) }.reduce(0, +)
                }
            }

            @Test func aFillingQueueIsReported() throws {
                let subject = try Subject.start(
                    FleetRole(
                        children: 1, backlog: 20, queueAlarm: 0.5, gracePeriod: .milliseconds(50),
                        queueDrainPeriod: .milliseconds(50), serve: .neverDrain))
                _ = try subject.waitForReady(1)
                let port = try subject.port()
                let clients = try (0..<12).map { _ in try #require(Connection.open(port: port)) }
                let line = try subject.logLine("connections wait on 127.0.0.1:\(port) for slot 0")
                let text = try #require(line.split(separator: ": ").last)
                // At least ten connections.
                #expect(text.hasPrefix("1"), subject.log)
                #expect(text.contains(" of 20 "), subject.log)
                // The event says the same. The role reports it after it has logged it.
                try subject.eventually("the event") { !subject.reports("waiting").isEmpty }
                let words = subject.reports("waiting")[0].split(separator: " ")
                try #require(words.count == 2, subject.log)
                let waiting = try #require(Int(words[0]), subject.log)
                #expect(waiting >= 10, subject.log)
                #expect(words[1] == "sharded", subject.log)
                withExtendedLifetime(clients) {}
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
                #expect(subject.logLines("connections wait").count == 1, subject.log)
            }

            @Test(arguments: FleetRole.Listening.allCases)
            func theBacklogIsRestoredWhenAChildIsReady(listening: FleetRole.Listening) throws {
                let subject = try Subject.start(
                    FleetRole(
                        children: 1, listening: listening, readinessTimeout: .seconds(20), serve: .listenAgain))
                try subject.waitForReport("listensAgain 128")
                try subject.waitForReport("backlog is back")
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
            }

            /// While a slot backs off, the others get all connections.
            @Test func aSlotWithoutAChildGetsNoConnections() throws {
                let subject = try Subject.start(
                    FleetRole(
                        children: 3, listening: .sharded, recoverThreshold: .exits(9), recoverInterval: .seconds(60)))
                let children = try subject.waitForReady(3)
                let port = try subject.port()
                kill(children[0], SIGKILL)
                try subject.waitForLog("recovering in 60 s")
                for _ in 0..<60 {
                    let answer = try #require(get("/", port: port).pid, subject.log)
                    try #require(children.dropFirst().contains(answer), subject.log)
                }
                let seen = subject.standardError.count
                subject.signal(SIGUSR1)
                try subject.eventually("a table") { subject.standardError.dropFirst(seen).contains(" 0 out") }
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
            }

            @Test(arguments: FleetRole.Listening.allCases)
            func connectionsAreSpread(listening: FleetRole.Listening) throws {
                let subject = try Subject.hello(["--children", "4", "--listening", listening.rawValue])
                _ = try subject.waitForReady(4)
                let port = try subject.port()
                var counts: [String: Int] = [:]
                let requests = 10_000
                for _ in 0..<requests { counts[get("/slot", port: port).body ?? "none", default: 0] += 1 }
                let sorted = counts.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
                print("\(requests) connections, \(listening): \(sorted)")
                try #require(counts["none"] == nil, subject.log("\(sorted)"))
                if listening == .sharded {
                    try #require(counts.count == 4, subject.log("\(sorted)"))
                    // Within 8 % of even.
                    let even = Double(requests) / 4
                    for (slot, count) in counts {
                        #expect(abs(Double(count) - even) <= 0.08 * even, subject.log("slot \(slot): \(count)"))
                    }
                }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }
        }
    }
#endif
