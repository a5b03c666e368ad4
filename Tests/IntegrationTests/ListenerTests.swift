// Addresses, listeners and options, as a user types them.
#if os(Linux)
    import PreforkLibc
    import Testing

    private let namespace = ["/usr/bin/unshare", "--user", "--map-root-user", "--net"]
    private let addressCommand = "ip address add 198.51.100.7/32 dev lo"
    /// Without an interface that is up, Linux lets a socket have any address.
    private let upCommand = "ip link set lo up"
    private let canMakeInterfaces = Namespace.runs(namespace + ["/bin/sh", "-c", "\(upCommand) && \(addressCommand)"])

    extension Integration {
        @Suite struct Listeners {
            @Test func severalAddresses() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/a socket"
                let subject = try Subject.start(
                    FleetRole(addresses: [.loopback(), otherLoopback, .unix(path)], serve: .takeAll))
                try subject.eventually("six listeners") { subject.reports("listener").count == 6 }
                for number in 3...5 {
                    // The same in both children.
                    #expect(Set(subject.reports("listener \(number)")).count == 1, subject.log)
                }
                #expect(subject.reports("listener 5").first == "unix:\(path)", subject.log)
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
                #expect(access(path, F_OK) == -1, subject.log("the master removes the file that it made"))
                try subject.wait()
            }

            @Test func unixDomain() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/socket"
                let first = try Subject.hello(["--children", "2"], address: "unix:\(path)")
                _ = try first.waitForReady(2)
                let connection = try #require(Connection.open(path: path))
                #expect(connection.request("/") == .hello, first.log)
                // A second fleet is refused, and the first keeps its file.
                let second = try Subject.start(FleetRole(addresses: [.unix(path)], bindAttempts: 0))
                let error = try second.thrownError()
                #expect(error.contains("in use"), second.log)
                try second.wait()
                #expect(access(path, F_OK) == 0, first.log)
                // If it is killed, the file stays, and the next fleet takes it over.
                first.signal(SIGKILL)
                try first.wait()
                try first.waitUntilAlone()
                #expect(access(path, F_OK) == 0, first.log)
                let third = try Subject.hello(["--children", "2"], address: "unix:\(path)")
                _ = try third.waitForReady(2)
                let again = try #require(Connection.open(path: path))
                #expect(again.request("/") == .hello, third.log)
                third.signal(SIGTERM)
                try third.expectExit(0)
                #expect(access(path, F_OK) == -1, third.log)
            }

            @Test func aFileThatIsNoSocketStays() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/precious"
                fclose(fopen(path, "we"))
                let subject = try Subject.start(FleetRole(addresses: [.unix(path)], bindAttempts: 0))
                let error = try subject.thrownError()
                #expect(error.contains(path), subject.log)
                try subject.wait()
                #expect(access(path, F_OK) == 0, subject.log)
            }

            @Test(arguments: [
                ("256.0.0.1:80", 64, "256.0.0.1"), ("127.0.0.1", 64, "no port"), ("127.0.0.1:http", 64, "http"),
                ("127.0.0.1:70000", 64, "70000"), ("::1:80", 64, "brackets"), ("udp://127.0.0.1:80", 64, "udp"),
                ("unix:", 64, "empty"), ("unix:/no/such/dir/s", 64, "/no/such/dir/s"),
            ])
            func badAddresses(text: String, status: CInt, reason: String) throws {
                let subject = try Subject.hello(["--children", "1"], address: text)
                try subject.expectExit(status)
                let lines = subject.logLines.filter { !$0.contains("to watch children") }
                try #require(lines.count == 1, subject.log)
                #expect(lines[0].contains(reason), subject.log)
                #expect(lines[0].contains(text), subject.log)
            }

            @Test func tooLongUnixPath() throws {
                let path = "unix:/tmp/" + String(repeating: "x", count: 120)
                let subject = try Subject.hello(address: path)
                try subject.expectExit(64)
                #expect(subject.standardError.contains("at most 107"), subject.log)
            }

            @Test func addressInUse() throws {
                let first = try Subject.hello(["--children", "1"])
                let port = try first.port()
                let second = try Subject.start(FleetRole(addresses: [.loopback(port: port)], bindAttempts: 1))
                try second.waitForLog("is in use; trying again in 0.5 s (1 of 1)")
                let error = try second.thrownError()
                #expect(error.contains("127.0.0.1:\(port)"), second.log)
                #expect(error.contains("Address already in use"), second.log)
                #expect(second.reports.contains("clean"), second.log)
                try second.wait()
                // A stop does not wait for the retries.
                let third = try Subject.hello(["--children", "1"], address: "127.0.0.1:\(port)")
                try third.waitForLog("is in use; trying again")
                third.signal(SIGUSR1)
                try third.waitForLog("status: master \(third.pid)")
                third.signal(SIGTERM)
                try third.expectExit(0, within: 5)
                first.signal(SIGTERM)
                try first.expectExit(0)
            }

            /// 198.51.100.0/24 is for documentation (RFC 5737), so no host has it.
            @Test func anAddressThatNeverComes() throws {
                let subject = try Subject.hello(["--children", "1", "--grace", "0"], address: "198.51.100.7:0")
                try subject.waitForLog("198.51.100.7:0 is not there yet (bind 198.51.100.7:0: ")
                try subject.expectExit(75)
                #expect(subject.logLines("is not there yet").count == 5, subject.log)
                #expect(subject.standardError.contains("error: cannot listen on 198.51.100.7:0: bind"), subject.log)
            }

            @Test(.enabled(if: canMakeInterfaces, "no network namespace can be made here (unshare(1), ip(8))"))
            func anAddressThatComesLate() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let signal = "\(directory)/signal"
                try #require(mkfifo(signal, 0o600) == 0)
                let script = "\(upCommand); (read -r line <\(signal); \(addressCommand)) & exec \"$0\" \"$@\""
                let subject = try Subject.hello(
                    ["--children", "1"], address: "198.51.100.7:0", under: namespace + ["/bin/sh", "-c", script])
                try subject.waitForLog("198.51.100.7:0 is not there yet")
                try Subject("/bin/sh", ["/bin/sh", "-c", "echo >\(signal)"]).expectExit(0)
                _ = try subject.waitForReady(1)
                #expect(subject.standardError.contains("listening on 198.51.100.7:"), subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func addressInUseInTheEnd() throws {
                let first = try Subject.hello(["--children", "1"])
                let port = try first.port()
                let second = try Subject.hello(["--children", "1", "--grace", "0"], address: "127.0.0.1:\(port)")
                try second.expectExit(75)
                first.signal(SIGTERM)
                try first.expectExit(0)
            }

            @Test func aNameIsResolved() throws {
                let subject = try Subject.hello(["--children", "1"], address: "localhost:0")
                _ = try subject.waitForReady(1)
                #expect(subject.standardError.contains("listening on 127.0.0.1:"), subject.log("IPv4 by default"))
                try #require(get("/", port: subject.port()) == .hello, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
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
                try subject.expectExit(64)
                #expect(subject.logLines.count == 1, subject.log)
                #expect(subject.standardError.contains(text), subject.log)
            }

            @Test(arguments: [("0", 78), ("-1", 78), ("abc", 78), ("4097", 78)])
            func badConcurrencyVariable(value: String, status: CInt) throws {
                let subject = try Subject.hello(environment: ["WEB_CONCURRENCY": value])
                try subject.expectExit(status)
                #expect(subject.standardError.contains("WEB_CONCURRENCY"), subject.log)
                #expect(subject.standardError.contains(value), subject.log)
            }

            @Test func concurrencyVariable() throws {
                let subject = try Subject.hello(environment: ["WEB_CONCURRENCY": "3"])
                _ = try subject.waitForReady(3)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.readyPIDs.count == 3, subject.log)
            }

            /// If one processor is allowed there is one child. An event reports an explicit count that is larger.
            @Test func affinity() throws {
                let taskset = "/usr/bin/taskset"
                try #require(access(taskset, X_OK) == 0, "taskset (util-linux) is not installed")
                let first = try Subject(taskset, ["taskset", "-c", "0", product("hello-prefork"), "127.0.0.1:0"])
                _ = try first.waitForReady(1)
                first.signal(SIGTERM)
                try first.expectExit(0)
                #expect(first.readyPIDs.count == 1, first.log)
                let second = try Subject(
                    taskset,
                    ["taskset", "-c", "0", product("hello-prefork"), "--children", "2", "127.0.0.1:0"]
                )
                _ = try second.waitForReady(2)
                #expect(second.standardError.contains("2 children, but only 1 processor is allowed"), second.log)
                second.signal(SIGTERM)
                try second.expectExit(0)
            }
        }
    }
#endif
