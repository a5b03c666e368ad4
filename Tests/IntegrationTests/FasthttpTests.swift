// fasthttp's prefork_test.go and Fiber's prefork tests, case by case, under their names.
#if os(Linux)
    import PreforkLibc
    import Testing

    /// Everything that starts processes, one test after another: they share two processors and the clock.
    @Suite(.serialized) enum Integration {}

    extension Integration {
        @Suite struct Fasthttp {
            @Test func testIsChild() throws {
                let subject = try Subject.role("fleet", "children=1;serve=http")
                _ = try subject.waitForReady(1)
                // The role's first line comes from a child; the master tells hooks only. It may be ready before it tells.
                try subject.eventually("a child's line") { !subject.told("fds").isEmpty }
                try subject.require(subject.told("child").count == 1, "one process takes itself for a child")
                try subject.require(subject.told("onMasterReady").count == 1, "one process takes itself for a master")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test func testSetTCPListenerFiles() throws {
                let subject = try Subject.role("fleet", "children=1;serve=all")
                try subject.eventually("the listener") { subject.told("listener").count == 1 }
                try subject.require(
                    subject.told("listener") == ["3 127.0.0.1:\(try subject.port())"],
                    "listener 3, bound"
                )
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test func testSetTCPListenerFilesClosesListenerOnFileError() throws {
                // The second address fails: the first must be free again, and the run must leave nothing.
                let subject = try Subject.role("fleet", "addresses=127.0.0.1:0,unix:/no/such/directory/socket")
                try subject.eventually("the end of the run") { !subject.told("threw").isEmpty }
                try subject.require(subject.told.contains("clean"), "nothing left")
                try subject.require(
                    subject.told("threw").first?.contains("unix:/no/such/directory/socket") == true,
                    "an error that names it"
                )
                try subject.wait()
            }

            @Test func testPreforkClosesParentListenerFiles() throws {
                let subject = try Subject.role("fleet", "children=2")
                let port = try subject.port()
                _ = try subject.waitForReady(2)
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
                try subject.require(subject.told.contains("clean"), "no descriptor, thread or handler left")
                try subject.require(subject.told.contains("childless"), "no child left")
                try subject.require(get("/", port: port) == .refused, "nobody listens any more")
                try subject.wait()
            }

            @Test(arguments: ["none", "files", "embedded"])
            func testListenAndServeStubChildPath(tls: String) throws {
                let identity = try TestIdentity()
                defer { identity.remove() }
                let subject = try Subject.role(
                    "fleet",
                    "children=1;serve=tls;tls=\(tls);chain=\(identity.chain);key=\(identity.key)"
                )
                _ = try subject.waitForReady(1)
                try subject.eventually("tls told") { subject.told("tls").count == 1 }
                let text = try #require(subject.told("tls").first)
                switch tls {
                case "files": try subject.require(text.contains(identity.chain), "the files: \(text)")
                case "embedded": try subject.require(text.contains("embedded"), "embedded: \(text)")
                default: try subject.require(text == "none", "none: \(text)")
                }
                try subject.require(body(get("/", port: subject.port())) != nil, "it serves")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test(arguments: [
                ("throws", "spawnClosureFailed", "the producer failed on purpose"),
                ("zero", "spawnedStranger", "returned 0"),
                ("self", "spawnedStranger", "not a live child"), ("parent", "spawnedStranger", "not a live child"),
                ("twice", "spawnedStranger", "not a live child"),
            ])
            func testDoCommandCommandProducerErrors(spawn: String, kind: String, text: String) throws {
                let subject = try Subject.role("fleet", "children=2;spawn=\(spawn)")
                try subject.eventually("the end of the run") { !subject.told("threw").isEmpty }
                let threw = try #require(subject.told("threw").first)
                try subject.require(threw.contains("PreforkError") && threw.contains(text), "\(kind): \(threw)")
                try subject.require(
                    subject.told.contains("clean") && subject.told.contains("childless"),
                    "nothing left"
                )
                try subject.wait()
                try subject.waitUntilAlone()
            }

            @Test func testPreforkLifecycle() throws {
                let subject = try Subject.role("fleet", "children=2;threshold=3;interval=0;first=exit:3;serve=exit:4")
                try subject.wait()
                let told = subject.told.filter { $0.hasPrefix("on") }
                let kinds = told.map { String($0.prefix { $0 != " " }) }
                try subject.require(
                    Array(kinds.prefix(3)) == ["onChildSpawn", "onChildSpawn", "onMasterReady"],
                    "spawn, spawn, ready: \(kinds)"
                )
                try subject.require(kinds.filter { $0 == "onMasterReady" }.count == 1, "ready once")
                let spawned = subject.told("onChildSpawn")
                try subject.require(
                    subject.told("onMasterReady") == ["\(spawned[0]) \(spawned[1])"],
                    "the pids in the order of the slots"
                )
                for (index, kind) in kinds.enumerated() where kind == "onChildRecover" {
                    try subject.require(
                        kinds[index - 1] == "onChildSpawn",
                        "recover comes after the spawn of the new one"
                    )
                    let pids = told[index].split(separator: " ").dropFirst()
                    try subject.require(pids.first != pids.last, "old and new differ")
                    try subject.require(
                        told[index - 1] == "onChildSpawn \(pids.last ?? "")",
                        "the new one is the spawned one"
                    )
                    try subject.require(spawned.contains { $0 == pids.first ?? "" }, "the old one had been spawned")
                }
                // Four exits take four children; the last two may end at the same moment, and then one is not replaced.
                try subject.require(
                    (2...3).contains(subject.told("onChildRecover").count), "recoveries before the fourth exit")
                try subject.require(subject.told("threw").first?.contains("too many exits") == true, "over recovery")
                try subject.waitUntilAlone()
            }

            @Test func testPreforkInitialChildSpawnError() throws {
                try failingHook("onChildSpawn:1", spawns: 1)
            }

            @Test func testPreforkOnMasterReadyError() throws {
                try failingHook("onMasterReady:1", spawns: 2)
            }

            @Test func testPreforkRecoveredChildSpawnError() throws {
                let subject = try failingHook("onChildSpawn:3", spawns: 3, settings: "first=exit:3")
                try subject.require(subject.told("onChildRecover").isEmpty, "onChildRecover is not called")
            }

            @Test func testPreforkOnChildRecoverError() throws {
                try failingHook("onChildRecover:1", spawns: 3, settings: "first=exit:3")
            }

            /// The hook's own error comes out, and nothing is left.
            @discardableResult
            private func failingHook(_ hook: String, spawns: Int, settings: String = "first=http") throws -> Subject {
                let subject = try Subject.role("fleet", "children=2;interval=0;fail=\(hook);\(settings)")
                try subject.eventually("the end of the run") { !subject.told("threw").isEmpty }
                let name = hook.prefix { $0 != ":" }
                try subject.require(
                    subject.told("threw") == ["Deliberate \(name) failed on purpose"],
                    "what the hook threw: \(subject.told)"
                )
                try subject.require(subject.told("onChildSpawn").count == spawns, "\(spawns) spawns")
                try subject.require(
                    subject.told.contains("clean") && subject.told.contains("childless"),
                    "nothing left"
                )
                try subject.wait()
                try subject.waitUntilAlone()
                return subject
            }

            @Test func testPreforkRecoverInterval() throws {
                let subject = try Subject.role("fleet", "children=1;threshold=1;interval=300;serve=exit:3")
                let start = ContinuousClock.now
                try subject.wait()
                try subject.require(ContinuousClock.now - start >= .milliseconds(300), "one interval has passed")
                try subject.require(subject.told("onChildSpawn").count == 2, "one recovery")
            }

            @Test func testPreforkShutdownDoesNotBlockOnRecoverInterval() throws {
                let subject = try Subject.role("fleet", "children=2;interval=60000;serve=exit:3")
                try subject.waitForError("recovering in 60 s")
                let start = ContinuousClock.now
                subject.signal(SIGTERM)
                try subject.waitForTold("returned")
                try subject.require(ContinuousClock.now - start < .seconds(5), "the pending interval is not waited for")
                try subject.wait()
            }
        }

        @Suite struct Fiber {
            @Test func testAppPreforkChildProcess() throws {
                // An address that is none is an error in the master; no child is started.
                let subject = try Subject.role("fleet", "addresses=invalid")
                try subject.eventually("the end of the run") { !subject.told("threw").isEmpty }
                try subject.require(subject.told("threw").first?.contains("invalid address") == true, "the typed error")
                try subject.require(subject.told("onChildSpawn").isEmpty, "no child")
                try subject.wait()
            }

            @Test(.enabled(if: hasIPv6, "no IPv6 here")) func testAppPreforkChildProcessIPv6() throws {
                let subject = try Subject.role("fleet", "addresses=[::1]:0")
                _ = try subject.waitForReady(2)
                try subject.require(body(get("/", port: subject.port(), host: "::1")) != nil, "it serves on ::1")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test func testAppPreforkMasterProcess() throws {
                // Fiber's dummy command: a child that leaves at once, until the threshold.
                let subject = try Subject.role("fleet", "executable=/bin/true;threshold=2;interval=0")
                try subject.eventually("the end of the run") { !subject.told("threw").isEmpty }
                try subject.require(subject.told("threw").first?.contains("too many exits") == true, "over recovery")
                try subject.wait()
            }

            @Test(arguments: [("/no/such/program", "No such file"), ("/etc/passwd", "Permission denied")])
            func testAppPreforkMasterProcessInvalidCommand(path: String, reason: String) throws {
                let subject = try Subject.role("fleet", "children=2;executable=\(path);threshold=3;interval=0")
                try subject.eventually("the end of the run") { !subject.told("threw").isEmpty }
                let threw = try #require(subject.told("threw").first)
                try subject.require(
                    threw.contains(path) && threw.contains(reason),
                    "the error says which and why: \(threw)"
                )
                try subject.require(subject.told("onChildSpawn").isEmpty, "no child was announced")
                try subject.require(subject.told("onMasterReady") == [""], "the master is ready with no pids")
                try subject.require(subject.told.contains("clean"), "nothing left")
                try subject.wait()
            }

            @Test func testAppPreforkChildProcessNeverShowStartupMessage() throws {
                let subject = try Subject.role("fleet", "children=3")
                _ = try subject.waitForReady(3)
                let lines = subject.errors.split(separator: "\n").filter { $0.contains("listening on") }
                try subject.require(lines.count == 1, "one line says where the fleet listens")
                try subject.require(lines[0].hasPrefix("prefork[\(subject.pid)]: "), "and it is the master's")
            }

            @Test func testHookOnForkAndPreforkLogger() throws {
                // OnFork: each pid; the logger's lines and the hooks' pids agree.
                let subject = try Subject.role("fleet", "children=2")
                let ready = try subject.waitForReady(2)
                try subject.require(
                    subject.told("onChildSpawn").compactMap { pid_t($0) }.sorted() == ready.sorted(),
                    "the same pids"
                )
            }

            @Test func testListenTLSPreforkBadCertificate() throws {
                let subject = try Subject.role("fleet", "tls=files;chain=/no/such/chain.pem;key=/no/such/key.pem")
                try subject.eventually("the end of the run") { !subject.told("threw").isEmpty }
                try subject.require(
                    subject.told("threw").first?.contains("/no/such/chain.pem") == true,
                    "it names the file"
                )
                try subject.require(!subject.errors.contains("listening on"), "before anything is bound")
                try subject.wait()
            }
        }
    }

    /// A self-signed certificate and its key, as far as the master looks at them.
    struct TestIdentity {
        let directory: String
        var chain: String { "\(directory)/chain.pem" }
        var key: String { "\(directory)/key.pem" }

        init() throws {
            directory = try makeDirectory()
            try write("-----BEGIN CERTIFICATE-----\nMIIBszCCAVmg\n-----END CERTIFICATE-----\n", chain)
            try write("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----\n", key)
        }

        private func write(_ text: String, _ path: String) throws {
            guard let file = fopen(path, "we") else { throw Failure(description: "fopen \(path)") }
            fputs(text, file)
            fclose(file)
        }

        func remove() { removeTree(directory) }
    }
#endif
