// A child calls shutdown(2) on its listener, which ends every copy of it.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct StoppedListeners {
            /// Nothing is refused for good, the event names the child, and afterwards every child gets connections.
            @Test(arguments: FleetRole.Listening.allCases)
            func listenAgain(listening: FleetRole.Listening) throws {
                let subject = try Subject.start(
                    FleetRole(children: 4, listening: listening, serve: .answerOrShutDown))
                _ = try subject.waitForReady(4)
                let port = try subject.port()
                for round in 1...3 {
                    #expect(get("/shutdown", port: port) == .cut, subject.log)
                    try subject.eventually("an exit") { subject.reports("exited").count == round }
                    try #require(subject.logLines("with shutdown(2)").count == round, subject.log)
                    let line = try #require(subject.logLines("with shutdown(2)").last)
                    #expect(line.hasSuffix("; it listens again"), subject.log)
                    let name = listening == .sharded ? "has stopped its listener" : "has probably stopped the listener"
                    #expect(line.contains(" \(name) on 127.0.0.1:\(port) "), subject.log)
                    let exited = try #require(subject.reports("exited").last)
                    let exit = exited.prefix { $0 != " " }
                    #expect(line.contains(": child \(exit) (slot "), subject.log)
                    try subject.eventually("a replacement") { subject.readyPIDs.count == 4 + round }
                    let ready = try subject.waitForReady(4)
                    var answers: [pid_t: Int] = [:]
                    for _ in 0..<200 {
                        let pid = try #require(get("/", port: port).pid, subject.log)
                        answers[pid, default: 0] += 1
                    }
                    #expect(Set(answers.keys).isSubset(of: ready), subject.log)
                    // By chance none of four slots gets less than 15 in 10^9 runs.
                    if listening == .sharded {
                        #expect(answers.count == 4 && answers.values.allSatisfy { $0 >= 15 }, subject.log("\(answers)"))
                    }
                }
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
            }

            @Test func aRemovedFileComesBack() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/socket"
                let subject = try Subject.hello(["--children", "2"], address: "unix:\(path)")
                let pids = try subject.waitForReady(2)
                try #require(unlink(path) == 0)
                kill(pids[0], SIGKILL)
                try subject.eventually("a replacement") { subject.readyPIDs.count == 3 }
                let text = "the file of unix:\(path) was removed; children that start from now on listen on another"
                #expect(subject.logLines(text).count == 1, subject.log)
                #expect(Connection.open(path: path)?.request("/") == .hello, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(access(path, F_OK) == -1, subject.log("the master removes the file that it made"))
            }

            @Test func aUnixDomainSocketIsReplaced() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/socket"
                let subject = try Subject.start(
                    FleetRole(children: 1, addresses: [.unix(path)], serve: .answerOrShutDown))
                let first = try subject.waitForReady(1)
                #expect(Connection.open(path: path)?.request("/shutdown") == .cut, subject.log)
                try subject.eventually("a replacement") { subject.readyPIDs.count == 2 }
                let line = try #require(subject.logLines("with shutdown(2)").first)
                let text = "child \(first[0]) (slot 0) has stopped its listener on unix:\(path)"
                #expect(line.contains(text), subject.log)
                #expect(Connection.open(path: path)?.request("/").pid == subject.readyPIDs.last, subject.log)
                subject.signal(SIGTERM)
                try subject.waitForReport("clean")
                #expect(access(path, F_OK) == -1, subject.log)
            }
        }
    }
#endif
