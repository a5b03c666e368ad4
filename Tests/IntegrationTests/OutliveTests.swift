// Connections that outlive the child they were queued for.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Outlive {
            /// A fleet that tells of all its children: the default log leaves out what a crash loop repeats.
            private func fleet(_ listening: String) throws -> Subject {
                try Subject.role("fleet", "children=4;listening=\(listening);interval=0;threshold=1000000;serve=http")
            }

            /// The children that serve now, all four.
            private func living(_ subject: Subject) throws -> [pid_t] {
                var pids: [pid_t] = []
                try subject.eventually("four that serve") {
                    let alive = Set(subject.descendants.map(\.pid))
                    pids = subject.told("child").compactMap { pid_t($0.prefix { $0 != " " }) }.filter(alive.contains)
                    return pids.count == 4
                }
                return pids
            }

            private func stop(_ pids: [pid_t], of subject: Subject) throws {
                for pid in pids { kill(pid, SIGSTOP) }
                try subject.eventually("stopped children") { pids.allSatisfy { ProcessState($0)?.state == "T" } }
            }

            /// A hung child's queue is served by its replacement; nobody else waits.
            @Test func aHungChildIsKilledAndItsQueueIsServed() throws {
                let subject = try fleet("sharded")
                let port = try subject.port()
                var queued = 0
                for round in 0..<repetitions(200) {
                    let living = try living(subject)
                    let victim = living[round % 4]
                    try stop([victim], of: subject)
                    let clients = try (0..<100).map { _ in try #require(Connection.open(port: port)) }
                    for client in clients { try subject.require(client.send("/pid"), "a request") }
                    // Those that went elsewhere are answered while the victim hangs.
                    let waiting = clients.filter { !$0.isReadable(within: 0) }
                    var left = waiting
                    try subject.eventually("the others' answers") {
                        left = left.filter { !$0.isReadable(within: 0) }
                        return queue(of: victim, subject) == left.count
                    }
                    queued += left.count
                    kill(victim, SIGKILL)
                    for client in clients {
                        let answer = body(client.receive()).flatMap { pid_t($0) }
                        try subject.require(answer != nil && answer != victim, "an answer, in round \(round)")
                    }
                }
                try subject.require(queued > 0, "some were queued for a victim")
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
            }

            /// What waits for the victim's slot, by the master's table.
            private func queue(of victim: pid_t, _ subject: Subject) -> Int? {
                let seen = subject.errors.count
                subject.signal(SIGUSR1)
                var row: [Substring]?
                try? subject.eventually("a table") {
                    let table = subject.errors.dropFirst(seen)
                    guard table.contains("  3     ") else { return false }
                    row = table.split(separator: "\n").map { $0.split(separator: " ") }
                        .first { $0.contains("\(victim)") && $0.count > 7 }
                    return true
                }
                return row.flatMap { Int($0[7]) }
            }

            /// All children hang, all are killed: the replacements find everything as it was.
            @Test(arguments: ["shared", "sharded"])
            func allAreKilledAndTheQueueIsServed(listening: String) throws {
                let subject = try fleet(listening)
                let port = try subject.port()
                for round in 0..<repetitions(100) {
                    let living = try living(subject)
                    try stop(living, of: subject)
                    let clients = try (0..<100).map { _ in try #require(Connection.open(port: port)) }
                    for client in clients { try subject.require(client.send("/pid"), "a request") }
                    for pid in living { kill(pid, SIGKILL) }
                    for client in clients {
                        let answer = body(client.receive()).flatMap { pid_t($0) }
                        try subject.require(answer.map { !living.contains($0) } == true, "an answer, in round \(round)")
                    }
                }
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
            }

            /// What was queued while a slot waits for its next try is served then.
            @Test func aSlotThatWaitsServesItsQueueLater() throws {
                let subject = try Subject.role(
                    "fleet", "children=2;listening=sharded;interval=400;threshold=99;serve=http")
                let children = try subject.waitForReady(2)
                let port = try subject.port()
                try stop([children[0]], of: subject)
                let clients = try (0..<60).map { _ in try #require(Connection.open(port: port)) }
                for client in clients { try subject.require(client.send("/"), "a request") }
                kill(children[0], SIGKILL)
                try subject.waitForError("recovering in 0.4 s")
                let answers = try clients.map { try #require(body($0.receive()).flatMap { pid_t($0) }) }
                try subject.require(!answers.contains(children[0]) && Set(answers).count == 2, "\(Set(answers))")
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
            }

            /// One slot never comes up; the others do not feel it.
            @Test func oneSlotCrashLoops() throws {
                let subject = try Subject.role(
                    "fleet",
                    "children=4;listening=sharded;interval=1;threshold=1000000;serve=oneCrashes;readinessTimeout=20000")
                try subject.eventually("a crash loop") { subject.told("exited").count > 5 }
                let port = try subject.port()
                let before = subject.told("exited").count
                // An explicit readiness: a child that has not served has never been in rotation.
                let load = Load(port: port, clients: 3)
                // Both: on a busy machine a crash may take longer than thousands of requests.
                try subject.eventually("requests and crashes") {
                    load.answered > 2000 && subject.told("exited").count > before + 5
                }
                let count = load.stop()
                try subject.require(count.cut == 0 && count.refused == 0 && count.timedOut == 0, "\(count)")
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
            }
        }
    }
#endif
