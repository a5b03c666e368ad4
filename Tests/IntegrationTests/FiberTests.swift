// Fiber's prefork tests, case by case, under their names.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Fiber {
            @Test func testAppPreforkChildProcess() throws {
                // An invalid address is an error in the master, before any child starts.
                let subject = try Subject.start(FleetRole(addresses: [.tcp("not a host", port: 0)]))
                let error = try subject.thrownError()
                #expect(error.contains("invalid address"), subject.log)
                #expect(subject.reports("onChildSpawn") == [], subject.log)
                try subject.wait()
            }

            @Test(.enabled(if: hasIPv6, "no IPv6 here")) func testAppPreforkChildProcessIPv6() throws {
                let subject = try Subject.start(FleetRole(addresses: [.tcp("::1", port: 0)]))
                _ = try subject.waitForReady(2)
                try #require(get("/", port: subject.port(), host: "::1").pid != nil, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func testAppPreforkMasterProcess() throws {
                // Fiber's dummy command: children that exit at once, until the threshold.
                let subject = try Subject.start(
                    FleetRole(executable: "/bin/true", recoverThreshold: .exits(2), recoverInterval: .zero))
                let error = try subject.thrownError()
                #expect(error.contains("too many exits"), subject.log)
                try subject.wait()
            }

            @Test(arguments: [("/no/such/program", "No such file"), ("/etc/passwd", "Permission denied")])
            func testAppPreforkMasterProcessInvalidCommand(path: String, reason: String) throws {
                let subject = try Subject.start(
                    FleetRole(executable: path, recoverThreshold: .exits(3), recoverInterval: .zero))
                let error = try subject.thrownError()
                #expect(error.contains(path), subject.log)
                #expect(error.contains(reason), subject.log)
                #expect(subject.reports("onChildSpawn") == [], subject.log)
                // The master is ready without children.
                #expect(subject.reports("onMasterReady") == [""], subject.log)
                #expect(subject.reports.contains("clean"), subject.log)
                try subject.wait()
            }

            @Test func testAppPreforkChildProcessNeverShowStartupMessage() throws {
                let subject = try Subject.start(FleetRole(children: 3))
                _ = try subject.waitForReady(3)
                let lines = subject.logLines("listening on")
                try #require(lines.count == 1, subject.log)
                #expect(lines[0].contains(" prefork[\(subject.pid)]: "), subject.log("the master's"))
            }

            @Test func testHookOnForkAndPreforkLogger() throws {
                // OnFork gets each process identifier. Log and hooks agree on them.
                let subject = try Subject.start(FleetRole())
                let ready = try subject.waitForReady(2)
                #expect(
                    subject.reports("onChildSpawn").compactMap { pid_t($0) }.sorted() == ready.sorted(), subject.log)
            }

            @Test func testListenTLSPreforkBadCertificate() throws {
                let subject = try Subject.start(
                    FleetRole(tls: .files(chain: "/no/such/chain.pem", key: "/no/such/key.pem")))
                let error = try subject.thrownError()
                #expect(error.contains("/no/such/chain.pem"), subject.log)
                #expect(!subject.standardError.contains("listening on"), subject.log("before anything is bound"))
                try subject.wait()
            }
        }
    }
#endif
