// The control socket of a real fleet, and preforkctl.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Control {
            /// A fleet with a control socket in a directory of its own.
            final class Fleet {
                let directory: String
                let path: String
                let subject: Subject

                init(
                    _ options: [String] = ["--children", "2"], under wrapper: [String] = [],
                    prepare: (String) throws -> Void = { _ in }
                ) throws {
                    directory = try makeDirectory()
                    path = "\(directory)/control"
                    try prepare(path)
                    subject = try Subject.hello(options + ["--control", path], under: wrapper)
                }

                deinit { removeTree(directory) }

                func connect() throws -> ControlConnection {
                    var connection: ControlConnection?
                    try subject.eventually("a control socket") {
                        connection = ControlConnection(path)
                        return connection != nil
                    }
                    return try #require(connection)
                }

                func stop() throws {
                    subject.signal(SIGTERM)
                    try subject.expectExit(0)
                    #expect(access(path, F_OK) != 0, subject.log("the socket is removed"))
                }
            }

            /// - Returns: the exit status, and what preforkctl has printed.
            func preforkctl(
                _ arguments: [String], under wrapper: [String] = []
            ) throws -> (status: CInt, output: String, error: String) {
                let command = wrapper + [product("preforkctl")] + arguments
                let subject = try Subject(command[0], command)
                let status = try subject.wait()
                return (status, readText("\(subject.directory)/out") ?? "", subject.standardError)
            }

            func mode(_ path: String) -> mode_t {
                var status = stat()
                lstat(path, &status)
                return status.st_mode & 0o7777
            }

            // MARK: Requests

            @Test func statusSaysWhatTheFleetIs() throws {
                let fleet = try Fleet()
                let children = try fleet.subject.waitForReady(2)
                let client = try fleet.connect()
                let answer = try client.request("status")
                #expect(answer.isDone, fleet.subject.log)
                #expect(answer.masterPID == Int(fleet.subject.pid), fleet.subject.log)
                #expect(Set(answer.pids) == Set(children.map { Int($0) }), fleet.subject.log)
                #expect(answer.slots.allSatisfy { $0["state"] as? String == "ready" })
                #expect(answer.slots.allSatisfy { $0["memory"] as? Int ?? 0 > 100_000 })
                #expect(answer.slots.allSatisfy { $0["cpu"] as? Double ?? -1 >= 0 })
                #expect(mode(fleet.path) == 0o600)
                for (request, error) in [
                    ("recycle 2", "failed"), ("hello", "unknownRequest"),
                    ("resize 0", "invalidArgument"),
                ] {
                    #expect(try client.request(request).error == error, "\(request)")
                }
                #expect(try client.request("status").isDone)
                try fleet.stop()
            }

            @Test func stopAnswersWhenTheLastChildIsGone() throws {
                let fleet = try Fleet()
                _ = try fleet.subject.waitForReady(2)
                let slow = try #require(Connection.open(port: fleet.subject.port()))
                #expect(slow.send("/slow?ms=700"))
                poll(nil, 0, 100)  // Until a child has it.
                let (stopping, watching) = (try fleet.connect(), try fleet.connect())
                stopping.send("stop\n")
                try fleet.subject.waitForLog(
                    "stopping: requested on the control socket from process \(getpid()) (user ")
                let status = try watching.request("status")
                #expect(status.status["isStopping"] as? Bool == true, fleet.subject.log)
                #expect(!status.pids.isEmpty, fleet.subject.log("the slow request goes on"))
                #expect(try watching.request("stop").isDone, fleet.subject.log)
                #expect(try stopping.answer().isDone)
                #expect(fleet.subject.descendants.isEmpty, fleet.subject.log)
                #expect(slow.receive() == .hello, fleet.subject.log)
                #expect(try stopping.line() == nil, "the connection is closed")
                try fleet.subject.expectExit(0)
                #expect(access(fleet.path, F_OK) != 0)
            }

            @Test func watchersGetALineAtEachChange() throws {
                let fleet = try Fleet()
                let children = try fleet.subject.waitForReady(2)
                let client = try fleet.connect()
                var last = try client.request("watch")
                #expect(Set(last.pids) == Set(children.map { Int($0) }), fleet.subject.log)
                kill(children[1], SIGKILL)
                var isReplaced = false
                while !isReplaced {
                    let next = try client.answer()
                    #expect(next.uptime - last.uptime >= 0.499, fleet.subject.log)
                    last = next
                    isReplaced = next.slots.contains {
                        $0["launches"] as? Int == 2 && $0["state"] as? String == "ready"
                            && ($0["lastExit"] as? [String: Any])?["signal"] as? Int == 9
                    }
                }
                fleet.subject.signal(SIGTERM)
                while try client.line() != nil {}
                try fleet.subject.expectExit(0)
            }

            @Test func restartRollbackAndResizeAnswerWhenTheWorkIsDone() throws {
                let fleet = try Fleet()
                let first = try fleet.subject.waitForReady(2)
                let client = try fleet.connect()
                let early = try client.request("rollback")
                #expect(early.error == "failed", fleet.subject.log("there is no build before"))

                let restarted = try client.request("restart")
                #expect(restarted.isDone && restarted.number("generation") == 2, fleet.subject.log)
                let status = try client.request("status")
                #expect(status.status["generation"] as? Int == 2, fleet.subject.log)
                #expect(status.slots.allSatisfy { $0["generation"] as? Int == 2 }, fleet.subject.log)
                #expect(Set(status.pids).isDisjoint(with: first.map { Int($0) }), fleet.subject.log)

                let recycled = try client.request("recycle 1")
                #expect(recycled.isDone, fleet.subject.log)
                let after = try client.request("status")
                #expect(after.pids[0] == status.pids[0], fleet.subject.log)
                #expect(recycled.number("pid") == after.pids[1] && after.pids[1] != status.pids[1], fleet.subject.log)

                let grown = try client.request("resize 4")
                #expect(grown.isDone && grown.number("children") == 4, fleet.subject.log)
                #expect(try client.request("status").slots.count { $0["state"] as? String == "ready" } == 4)
                let shrunk = try client.request("resize 1")
                #expect(shrunk.isDone && shrunk.number("children") == 1, fleet.subject.log)
                #expect(fleet.subject.descendants.count == 1, fleet.subject.log)
                #expect(try client.request("resize 1").isDone)

                let rolledBack = try client.request("rollback")
                #expect(rolledBack.isDone && rolledBack.number("generation") == 1, fleet.subject.log)
                #expect(try client.request("status").slots[0]["generation"] as? Int == 1, fleet.subject.log)
                try fleet.stop()
            }

            /// The new build fails, or is rolled back, or the fleet stops meanwhile.
            @Test func aRestartThatFailsSaysWhy() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let program = "\(directory)/hello"
                func install(_ text: String) throws {
                    let file = try #require(fopen("\(program).new", "we"))
                    fputs(text, file)
                    fclose(file)
                    chmod("\(program).new", 0o755)
                    try #require(rename("\(program).new", program) == 0)
                }
                try #require(symlink(product("hello-prefork"), program) == 0)
                let control = "\(directory)/control"
                let subject = try Subject.hello(["--children", "2", "--control", control], program: program)
                let children = try subject.waitForReady(2)
                let client = try #require(ControlConnection(control))
                try install("#!/bin/sh\nexit 3\n")
                let failed = try client.request("restart")
                #expect(!failed.isDone && failed.error == "failed", subject.log)
                #expect(Set(try client.request("status").pids) == Set(children.map { Int($0) }), subject.log)
                let command = try preforkctl([control, "restart"])
                #expect(command.status == 1 && command.error.contains("status 3"), subject.log("\(command)"))
                // The first slot gets a child of the new build, and goes back.
                try install(
                    "#!/bin/sh\n[ \"$PREFORK_SLOT\" = 0 ] || exit 4\nexec \(product("hello-prefork")) \"$@\"\n")
                let second = try client.request("restart")
                #expect(second.error == "failed", subject.log)
                #expect(subject.logLines("drains, because").count == 2, subject.log)
                let status = try client.request("status")
                #expect(status.slots.allSatisfy { $0["generation"] as? Int == 1 }, subject.log)
                try install("#!/bin/sh\nexec sleep 60\n")
                client.send("restart\n")
                try subject.eventually("a new child") { subject.descendants.count > 2 }
                let queued = try #require(ControlConnection(control))
                queued.send("restart\n")
                let other = try #require(ControlConnection(control))
                #expect(try other.request("status").status["isRestarting"] as? Bool == true, subject.log)
                #expect(try other.request("rollback").number("generation") == 1, subject.log)
                #expect(try client.answer().error == "failed", subject.log)
                #expect(try queued.answer().error == "superseded", subject.log)
                client.send("restart\n")
                try subject.eventually("a new child") { subject.descendants.count > 2 }
                #expect(try other.request("stop").isDone, subject.log)
                #expect(try client.answer().error == "stopping", subject.log)
                try subject.expectExit(0)
            }

            // MARK: preforkctl

            @Test func theCommandLinePrintsAndExitsAsItSays() throws {
                let fleet = try Fleet()
                let children = try fleet.subject.waitForReady(2)
                let status = try preforkctl([fleet.path, "status"])
                #expect(status.status == 0 && status.error.isEmpty, "\(status)")
                let lines = status.output.split(separator: "\n")
                #expect(lines.count == 4, "\(status)")
                #expect(lines[0].hasPrefix("master \(fleet.subject.pid) on 127.0.0.1:"), "\(status)")
                #expect(children.allSatisfy { pid in lines.contains { $0.contains(" \(pid) ") } }, "\(status)")
                #expect(!status.output.contains("\u{1B}"))
                let raw = try preforkctl([fleet.path, "status", "--json"])
                #expect(try ControlConnection.Answer(Array(raw.output.utf8)).masterPID == Int(fleet.subject.pid))

                let upgraded = try preforkctl([fleet.path, "upgrade"])
                #expect(upgraded.status == 0 && upgraded.output == "generation 2 serves\n", "\(upgraded)")
                let refused = try preforkctl([fleet.path, "recycle", "9"])
                #expect(refused.status == 1, "\(refused)")
                #expect(refused.error == "preforkctl: slot 9 has no child\n", "\(refused)")
                for arguments in [[], [fleet.path], [fleet.path, "reload"], [fleet.path, "resize"]] {
                    let wrong = try preforkctl(arguments)
                    #expect(wrong.status == 64 && wrong.output.isEmpty, "\(wrong)")
                    #expect(wrong.error.hasSuffix("; see preforkctl --help\n"), "\(wrong)")
                }
                let help = try preforkctl(["--help"])
                #expect(help.status == 0 && help.output.hasPrefix("usage: preforkctl PATH COMMAND"))
                #expect(try preforkctl([fleet.path + "x", "status"]).status == 69)
                #expect(try preforkctl([String(repeating: "x", count: 200), "status"]).status == 69)

                let watch = try Subject(product("preforkctl"), ["preforkctl", fleet.path, "watch"])
                try fleet.subject.eventually("lines of watch") {
                    readText("\(watch.directory)/out")?.split(separator: "\n").count == 2
                }
                let stop = try preforkctl([fleet.path, "stop"])
                #expect(stop.status == 0 && stop.output == "stopped\n", "\(stop)")
                try watch.expectExit(75)
                #expect(watch.standardError == "preforkctl: the master has closed the connection\n")
                try fleet.subject.expectExit(0)
                #expect(try preforkctl([fleet.path, "status"]).status == 69)
            }
        }
    }
#endif
