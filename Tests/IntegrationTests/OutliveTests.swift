// Connections that outlive the child for which they are queued.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Outlive {
            /// Its children report themselves, because the log omits lines in a crash loop.
            private func fleet(_ listening: FleetRole.Listening) throws -> Subject {
                try Subject.start(
                    FleetRole(
                        children: 4, listening: listening, recoverThreshold: .exits(1_000_000), recoverInterval: .zero))
            }

            /// The children that serve now, all four.
            private func living(_ subject: Subject) throws -> [pid_t] {
                var pids: [pid_t] = []
                try subject.eventually("four children serve") {
                    let alive = Set(subject.descendants.map(\.pid))
                    pids = subject.reports("child").compactMap { pid_t($0.prefix { $0 != " " }) }
                        .filter(alive.contains)
                    return pids.count == 4
                }
                return pids
            }

            /// The replacement of a hung child serves its queue. No other connection waits.
            @Test func aHungChildIsKilledAndItsQueueIsServed() throws {
                let subject = try fleet(.sharded)
                let port = try subject.port()
                var queued = 0
                for round in 0..<repetitions(200) {
                    let living = try living(subject)
                    let victim = living[round % 4]
                    try subject.suspend([victim])
                    let clients = try (0..<100).map { _ in try #require(Connection.open(port: port)) }
                    for client in clients { try #require(client.send("/pid")) }
                    // The other children answer theirs while the victim hangs.
                    let waiting = clients.filter { !$0.isReadable(within: 0) }
                    var left = waiting
                    try subject.eventually("the others' answers") {
                        left = left.filter { !$0.isReadable(within: 0) }
                        return try queue(of: victim, subject) == left.count
                    }
                    queued += left.count
                    kill(victim, SIGKILL)
                    for client in clients {
                        let answer = try #require(client.receive().pid, subject.log("in round \(round)"))
                        try #require(answer != victim, subject.log("in round \(round)"))
                    }
                }
                #expect(queued > 0, subject.log("some were queued for a victim"))
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
            }

            /// How many connections wait for the victim's slot, by the master's table.
            private func queue(of victim: pid_t, _ subject: Subject) throws -> Int? {
                let seen = subject.standardError.count
                subject.signal(SIGUSR1)
                var row: [Substring]?
                try subject.eventually("a table") {
                    let table = subject.standardError.dropFirst(seen)
                    guard table.contains("  3     ") else { return false }
                    row = table.split(separator: "\n").map(columns).first { $0.contains("\(victim)") && $0.count > 7 }
                    return true
                }
                return row.flatMap { Int($0[7]) }
            }

            /// All children hang and are killed. Their replacements serve every queue.
            @Test(arguments: FleetRole.Listening.allCases)
            func allAreKilledAndTheQueueIsServed(listening: FleetRole.Listening) throws {
                let subject = try fleet(listening)
                let port = try subject.port()
                for round in 0..<repetitions(100) {
                    let living = try living(subject)
                    try subject.suspend(living)
                    let clients = try (0..<100).map { _ in try #require(Connection.open(port: port)) }
                    for client in clients { try #require(client.send("/pid")) }
                    for pid in living { kill(pid, SIGKILL) }
                    for client in clients {
                        let answer = try #require(client.receive().pid, subject.log("in round \(round)"))
                        try #require(!living.contains(answer), subject.log("in round \(round)"))
                    }
                }
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
            }

            /// Connections that are queued while a slot waits for its next try are served then.
            @Test func aSlotThatBacksOffServesItsQueueLater() throws {
                let subject = try Subject.start(
                    FleetRole(
                        listening: .sharded, recoverThreshold: .exits(99), recoverInterval: .milliseconds(400)))
                let children = try subject.waitForReady(2)
                let port = try subject.port()
                try subject.suspend([children[0]])
                let clients = try (0..<60).map { _ in try #require(Connection.open(port: port)) }
                for client in clients { try #require(client.send("/")) }
                kill(children[0], SIGKILL)
                try subject.waitForLog("recovering in 0.4 s")
                let answers = Set(try clients.map { try #require($0.receive().pid, subject.log) })
                #expect(!answers.contains(children[0]), subject.log)
                #expect(answers.count == 2, subject.log)
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
            }

            /// One slot never comes up, and no request is lost.
            @Test func oneSlotCrashLoops() throws {
                // With explicit readiness, a child that has not served was never in rotation.
                let subject = try Subject.start(
                    FleetRole(
                        children: 4, listening: .sharded, recoverThreshold: .exits(1_000_000),
                        recoverInterval: .milliseconds(1), readinessTimeout: .seconds(20), serve: .exitInFirstSlot))
                try subject.eventually("a crash loop") { subject.reports("exited").count > 5 }
                let port = try subject.port()
                let before = subject.reports("exited").count
                let load = Load(port: port, clients: 3)
                // Both, because on a busy machine a crash may take longer than thousands of requests.
                try subject.eventually("requests and crashes") {
                    load.answered > 2000 && subject.reports("exited").count > before + 5
                }
                let count = load.stop()
                #expect(count.cut == 0, subject.log)
                #expect(count.refused == 0, subject.log)
                #expect(count.timedOut == 0, subject.log)
                subject.signal(SIGTERM)
                try subject.waitForReport("returned")
            }
        }
    }
#endif
