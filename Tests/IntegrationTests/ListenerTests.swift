// Addresses, listeners, configuration: what a user types and what comes of it.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Listeners {
            @Test func severalAddresses() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/a socket"
                let subject = try Subject.role(
                    "fleet",
                    "children=2;addresses=127.0.0.1:0,\(otherLoopback),unix:\(path);serve=all"
                )
                try subject.eventually("six listeners") { subject.told("listener").count == 6 }
                for number in 3...5 {
                    let lines = Set(subject.told("listener").filter { $0.hasPrefix("\(number) ") })
                    try subject.require(lines.count == 1, "the same in both children: \(lines)")
                }
                try subject.require(subject.told("listener").contains("5 unix:\(path)"), "the path with a space")
                subject.signal(SIGTERM)
                try subject.waitForTold("clean")
                try subject.require(access(path, F_OK) == -1, "the file is removed by the master that made it")
                try subject.wait()
            }

            @Test func unixDomain() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/socket"
                let first = try Subject.hello(["--children", "2"], address: "unix:\(path)")
                _ = try first.waitForReady(2)
                let connection = try #require(Connection.open(path: path))
                try first.require(connection.send("/") && body(connection.receive()) == "Hello world!", "it serves")
                // A second one is refused and takes nothing away.
                let second = try Subject.role("fleet", "addresses=unix:\(path);bindRetry=0")
                try second.eventually("an error") { second.told("threw").first?.contains("in use") == true }
                try second.wait()
                try first.require(access(path, F_OK) == 0, "the file is still there")
                // Killed, it leaves the file; the next one takes it over.
                first.signal(SIGKILL)
                try first.wait()
                try first.waitUntilAlone()
                try first.require(access(path, F_OK) == 0, "a stale file")
                let third = try Subject.hello(["--children", "2"], address: "unix:\(path)")
                _ = try third.waitForReady(2)
                let again = try #require(Connection.open(path: path))
                try third.require(again.send("/") && body(again.receive()) == "Hello world!", "it serves again")
                third.signal(SIGTERM)
                try third.require(third.wait() == 0, "status 0")
                try third.require(access(path, F_OK) == -1, "removed at the end")
            }

            @Test func aFileThatIsNoSocketStays() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/precious"
                fclose(fopen(path, "we"))
                let subject = try Subject.role("fleet", "addresses=unix:\(path);bindRetry=0")
                try subject.eventually("an error") { subject.told("threw").first?.contains(path) == true }
                try subject.wait()
                try subject.require(access(path, F_OK) == 0, "still there")
            }

            @Test(arguments: [
                ("256.0.0.1:80", 64, "256.0.0.1"), ("127.0.0.1", 64, "no port"), ("127.0.0.1:http", 64, "http"),
                ("127.0.0.1:70000", 64, "70000"), ("::1:80", 64, "brackets"), ("udp://127.0.0.1:80", 64, "udp"),
                ("unix:", 64, "empty"), ("unix:/no/such/dir/s", 64, "/no/such/dir/s"),
            ])
            func badAddresses(text: String, status: CInt, reason: String) throws {
                let subject = try Subject.hello(["--children", "1"], address: text)
                try subject.require(subject.wait() == status, "status \(status)")
                let lines = subject.errors.split(separator: "\n").filter { !$0.contains("to watch children") }
                try subject.require(lines.count == 1, "one line")
                try subject.require(lines.first?.contains(reason) == true, "it says \(reason)")
                try subject.require(lines.first?.contains(text) == true, "it quotes \(text)")
            }

            @Test func tooLongUnixPath() throws {
                let path = "unix:/tmp/" + String(repeating: "x", count: 120)
                let subject = try Subject.hello(address: path)
                try subject.require(subject.wait() == 64, "status 64")
                try subject.require(subject.errors.contains("at most 107"), "it names the limit")
            }

            @Test func addressInUse() throws {
                let first = try Subject.hello(["--children", "1"])
                let port = try first.port()
                let second = try Subject.role("fleet", "addresses=127.0.0.1:\(port);bindRetry=1")
                try second.waitForError("is in use; trying again in 0.5 s (1 of 1)")
                try second.eventually("an error") { second.told("threw").first?.contains("127.0.0.1:\(port)") == true }
                try second.require(second.told("threw").first?.contains("Address already in use") == true, "and why")
                try second.require(second.told.contains("clean"), "nothing left")
                try second.wait()
                // A stop does not wait for the retries.
                let third = try Subject.hello(["--children", "1"], address: "127.0.0.1:\(port)")
                try third.waitForError("is in use; trying again")
                third.signal(SIGUSR1)
                try third.waitForError("status: master \(third.pid)")
                third.signal(SIGTERM)
                try third.require(third.wait(within: 5) == 0, "status 0, and no retry is waited for")
                first.signal(SIGTERM)
                try first.require(first.wait() == 0, "status 0")
            }

            @Test func aNameIsResolved() throws {
                let subject = try Subject.hello(["--children", "1"], address: "localhost:0")
                _ = try subject.waitForReady(1)
                try subject.require(subject.errors.contains("listening on 127.0.0.1:"), "IPv4 by default")
                try subject.require(body(get("/", port: subject.port())) != nil, "it serves")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            @Test(arguments: [
                (["--children", "0"], "--children"), (["--children", "many"], "many"),
                (["--frobnicate"], "--frobnicate"),
                (["--grace", "-1"], "--grace"),
                (["--listening", "odd"], "odd"),
                (["--master-death", "panic"], "panic"), (["--recover-interval", "soon"], "soon"),
                (["--recover-window"], "--recover-window"),
            ])
            func badOptions(options: [String], text: String) throws {
                let path = product("hello-prefork")
                let subject = try Subject(path, [path] + options)
                try subject.require(subject.wait() == 64, "status 64")
                try subject.require(subject.errors.split(separator: "\n").count == 1, "one line")
                try subject.require(subject.errors.contains(text), "it says \(text)")
            }

            @Test(arguments: [("0", 78), ("-1", 78), ("abc", 78), ("4097", 78)])
            func badConcurrencyVariable(value: String, status: CInt) throws {
                let subject = try Subject.hello(environment: ["WEB_CONCURRENCY": value])
                try subject.require(subject.wait() == status, "status \(status)")
                try subject.require(
                    subject.errors.contains("WEB_CONCURRENCY") && subject.errors.contains(value),
                    "it names variable and value"
                )
            }

            @Test func concurrencyVariable() throws {
                let subject = try Subject.hello(environment: ["WEB_CONCURRENCY": "3"])
                _ = try subject.waitForReady(3)
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
                try subject.require(subject.readyPIDs.count == 3, "three, and no more")
            }

            /// One processor allowed: one child; more by wish are told.
            @Test func affinity() throws {
                let taskset = "/usr/bin/taskset"
                try #require(access(taskset, X_OK) == 0, "taskset (util-linux) is not installed")
                let first = try Subject(taskset, ["taskset", "-c", "0", product("hello-prefork"), "127.0.0.1:0"])
                _ = try first.waitForReady(1)
                first.signal(SIGTERM)
                try first.require(first.wait() == 0 && first.readyPIDs.count == 1, "one child")
                let second = try Subject(
                    taskset,
                    ["taskset", "-c", "0", product("hello-prefork"), "--children", "2", "127.0.0.1:0"]
                )
                _ = try second.waitForReady(2)
                try second.require(second.errors.contains("2 children, but only 1 processor is allowed"), "told")
                second.signal(SIGTERM)
                try second.require(second.wait() == 0, "status 0")
            }
        }
    }
#endif
