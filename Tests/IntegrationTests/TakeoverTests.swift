// Programs that bind and listen by themselves, with one line of Prefork.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    extension Subject {
        static func takeover(
            _ steps: String..., environment: [String: String] = [:], under wrapper: [String] = []
        ) throws -> Subject {
            let command = wrapper + [product("takeover-server")] + steps
            return try Subject(command[0], command, environment: environment)
        }

        /// The ports that the children's sockets have, in the order of the reports.
        var boundPorts: [Int] {
            reports("name").compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
        }
    }

    /// The processes that answer at a port.
    func answering(_ port: Int, host: String = "127.0.0.1", tries: Int = 40) -> Set<pid_t> {
        Set((0..<tries).compactMap { _ in get("/", port: port, host: host).pid })
    }

    extension Integration {
        @Suite struct TakeoverTests {
            // MARK: Serving

            @Test("Children share the address that the program binds, and replacements get it")
            func requested() throws {
                let subject = try Subject.takeover("bind:127.0.0.1:0", "serve")
                let children = try subject.waitForReady(2)
                let port = try subject.port()
                // A child reports its socket after listen(2), which makes it ready.
                try subject.eventually("two sockets") { subject.boundPorts.count == 2 }
                #expect(subject.boundPorts == [port, port], subject.log)
                #expect(answering(port) == Set(children), subject.log)
                kill(children[0], SIGKILL)
                try subject.eventually("a replacement") { subject.readyPIDs.count == 3 }
                #expect(answering(port) == [children[1], subject.readyPIDs[2]], subject.log)
                try subject.eventually("three sockets") { subject.boundPorts.count == 3 }
                #expect(subject.boundPorts == [port, port, port], subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.reports.filter { $0 == "drained" }.count == 2, subject.log)
            }

            @Test("A request in flight is answered at a stop")
            func drain() throws {
                let subject = try Subject.takeover("bind:127.0.0.1:0", "serve")
                _ = try subject.waitForReady(2)
                let connection = try #require(Connection.open(port: try subject.port()))
                try #require(connection.send("/slow"))
                // Accepted, that is, no longer in the queue, before the stop.
                try subject.eventually("an empty queue") {
                    subject.signal(SIGUSR1)
                    return subject.logLines("  ready  ").suffix(2).allSatisfy { columns($0)[7] == "0" }
                }
                subject.signal(SIGTERM)
                #expect(connection.receive().pid != nil, subject.log)
                try subject.expectExit(0)
            }

            @Test("Given addresses are bound first, and one on all interfaces stands for a specific one")
            func given() throws {
                let subject = try Subject.takeover("give:0.0.0.0:0", "bind:127.0.0.1:0", "bind:127.0.0.1:0", "serve")
                let children = try subject.waitForReady(2)
                let port = try subject.port()
                // The second one of each child is its own, because the fleet has no other port of the kernel's choice.
                // A child is ready before it has bound that one.
                try subject.eventually("four sockets") { subject.boundPorts.count == 4 }
                let ports = subject.boundPorts
                #expect(ports.filter { $0 == port }.count == 2, subject.log)
                #expect(Set(ports).count == 3, subject.log)
                #expect(answering(port) == Set(children), subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test("The n-th bind to port 0 has the same port in all children")
            func chosenPorts() throws {
                let subject = try Subject.takeover("bind:127.0.0.1:0", "bind:127.0.0.1:0", "serve")
                let children = try subject.waitForReady(2)
                try subject.eventually("four sockets") { subject.boundPorts.count == 4 }
                let ports = Set(subject.boundPorts)
                #expect(ports.count == 2, subject.log)
                for port in ports { #expect(answering(port) == Set(children), subject.log) }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test("A socket can be bound again after it was closed")
            func again() throws {
                let free = try Subject.takeover("bind:127.0.0.1:0", "serve")
                _ = try free.waitForReady(2)
                let port = try free.port()
                free.signal(SIGTERM)
                try free.expectExit(0)
                let subject = try Subject.takeover(
                    "bind:127.0.0.1:\(port)", "close", "bind:127.0.0.1:\(port)", "serve")
                let children = try subject.waitForReady(2)
                try subject.eventually("both serve") { subject.reports.filter { $0 == "serving" }.count == 2 }
                #expect(answering(port) == Set(children), subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test(
                "IPv6: a socket for both families, or for its own alone", .enabled(if: hasIPv6),
                arguments: [true, false])
            func dualStack(isV6Only: Bool) throws {
                let subject = try Subject.takeover("bind:[::]:0\(isV6Only ? ",v6only" : "")", "serve")
                let children = try subject.waitForReady(2)
                let port = try subject.port()
                #expect(answering(port, host: "::1") == Set(children), subject.log)
                #expect((get("/", port: port) == .refused) == isV6Only, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test("A program lets the kernel choose a port, and binds it by its number later")
            func chosenPortAgain() throws {
                let subject = try Subject.takeover("children:1", "rebind", "bind:127.0.0.1:0", "serve")
                try subject.waitForReport("serving")
                #expect(subject.reports("rebind") == ["0"], subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            // MARK: Unix-domain sockets

            @Test("A relative path belongs to the working directory of the program")
            func relativePath() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let subject = try Subject.takeover("children:1", "chdir:\(directory)", "bind:./socket", "serve")
                let child = try subject.waitForReady(1)[0]
                #expect(Connection.open(path: "\(directory)/socket")?.request("/").pid == child, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// The program removes the path before it binds, and at its end, as if it were alone.
            @Test(arguments: [[], ["give"]])
            func unixSocketsSurviveTheProgram(words: [String]) throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/socket"
                let given = words.isEmpty ? "children:2" : "give:unix:\(path)"
                let subject = try Subject.takeover(given, "bind:\(path),unlink,nonblocking", "serve:\(path)")
                let children = try subject.waitForReady(2)
                func answers() -> Set<pid_t> {
                    Set((0..<40).compactMap { _ in Connection.open(path: path)?.request("/").pid })
                }
                #expect(!answers().isEmpty, subject.log)
                // It drains, removes the path and exits.
                kill(children[0], SIGTERM)
                try subject.eventually("a replacement") { subject.readyPIDs.count == 3 }
                let left = Set(subject.readyPIDs).subtracting([children[0]])
                try subject.eventually("answers of both") { answers() == left }
                #expect(subject.logLines("has its path again").count <= 1, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(listDirectory(directory) == [], subject.log)
            }

            // MARK: Errors

            @Test("The master's error is the child's errno, and the fleet gives up with the exits")
            func addressInUse() throws {
                let other = try Subject.hello()
                _ = try other.waitForReady(1)
                let port = try other.port()
                let subject = try Subject.takeover("never-recover", "bind:127.0.0.1:\(port)", "bind:127.0.0.1:\(port)")
                try subject.expectExit(70)
                #expect(subject.reports.contains("bind 127.0.0.1:\(port) errno \(EADDRINUSE)"), subject.log)
                #expect(subject.logLines("error: recovery is off and child ").count == 1, subject.log)
                other.signal(SIGTERM)
            }

            @Test("A wider address than the fleet's is in use, and a foreign one is the program's own")
            func excluded() throws {
                let free = try Subject.hello()
                _ = try free.waitForReady(1)
                let port = try free.port()
                free.signal(SIGTERM)
                try free.expectExit(0)
                let subject = try Subject.takeover(
                    "give:127.0.0.1:\(port)", "children:1", "bind:0.0.0.0:\(port)", "bind:127.0.0.2:0",
                    "bind:127.0.0.1:\(port)", "serve")
                let child = try subject.waitForReady(1)[0]
                #expect(subject.reports.contains("bind 0.0.0.0:\(port) errno \(EADDRINUSE)"), subject.log)
                #expect(subject.reports.contains("bind 127.0.0.2:0 0"), subject.log)
                #expect(answering(port) == [child], subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test("A program that has given up its privileges does not get them back", .enabled(if: getuid() == 0))
            func privileges() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let subject = try Subject.takeover(
                    "children:1", "user:65534", "bind:127.0.0.1:1", "bind:\(directory)/socket", "bind:127.0.0.1:0",
                    "serve")
                try subject.waitForReport("serving")
                #expect(subject.reports.contains("bind 127.0.0.1:1 errno \(EACCES)"), subject.log)
                #expect(subject.reports.contains("bind \(directory)/socket errno \(EACCES)"), subject.log)
                #expect(subject.reports.contains("bind 127.0.0.1:0 0"), subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test("A program that binds nothing is found, and the log says so")
            func nothingBound() throws {
                let subject = try Subject.takeover("children:1", "timeout:300", "idle")
                try subject.waitForLog("has bound none of the fleet's addresses")
                try subject.waitForLog("not ready after")
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test(
                "A takeover that cannot work ends with one line and a status",
                arguments: [
                    ("twice", CInt(78), "error: invalid takeOver: it was called a second time"),
                    ("run", 70, "run a fleet is already running in this process"),
                ])
            func misuse(step: String, status: CInt, text: String) throws {
                let subject = try Subject.takeover("never-recover", "children:1", step)
                try subject.expectExit(status)
                #expect(subject.standardError.contains(text) || subject.reports.contains(text), subject.log)
            }

            @Test("A fleet that never gets its address ends with that error, and not with its children's exits")
            func neverBound() throws {
                let other = try Subject.hello()
                _ = try other.waitForReady(1)
                let port = try other.port()
                let subject = try Subject.takeover("children:1", "bind:127.0.0.1:\(port)")
                try subject.expectExit(75, within: 60)
                #expect(subject.logLines("error: cannot listen on 127.0.0.1:\(port): bind ").count == 1, subject.log)
                other.signal(SIGTERM)
            }

            // MARK: Calls that reach the C library

            @Test("Flags stay as the program has set them, and so does errno")
            func flags() throws {
                let subject = try Subject.takeover(
                    "children:1", "bind:127.0.0.1:0", "bind:127.0.0.1:0,nonblocking", "bind:127.0.0.1:0,cloexec",
                    "bind:127.0.0.1:0,nonblocking,cloexec", "bind:127.0.0.1:0,nodelay", "serve")
                try subject.waitForReport("serving")
                #expect(
                    subject.reports("bind") == [
                        "127.0.0.1:0 0", "127.0.0.1:0 0 nonblocking", "127.0.0.1:0 0 cloexec",
                        "127.0.0.1:0 0 nonblocking cloexec", "127.0.0.1:0 0 nodelay",
                    ], subject.log)
                #expect(subject.reports("errno") == [], subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test("Earlier calls, datagrams and forked processes reach the C library")
            func passed() throws {
                let subject = try Subject.takeover(
                    "children:1", "early:bind:127.0.0.1:0", "udp", "bind:127.0.0.1:0", "fork:127.0.0.1:0", "serve")
                try subject.waitForReport("serving")
                // In the master and in the child, each with a port of its own.
                #expect(Set(subject.boundPorts).count == 3, subject.log)
                #expect(subject.reports("udp") == ["0"], subject.log)
                #expect(subject.reports("forked") == ["0"], subject.log)
                #expect(
                    subject.logLines(": listening on ").count == 1,
                    subject.log("the forked process asked the master for nothing"))
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test("A socket with the number of one that was taken over and closed is the program's own")
            func reusedNumber() throws {
                let subject = try Subject.takeover("children:1", "bind:127.0.0.1:0", "close", "listen", "idle")
                try subject.eventually("the step") { !subject.reports("listen").isEmpty }
                #expect(subject.reports("listen") == ["0 listening"], subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test("Several threads bind at the same time")
            func threads() throws {
                let subject = try Subject.takeover("children:1", "threads:16", "bind:127.0.0.1:0", "serve")
                try subject.waitForReport("serving")
                let ports = subject.reports("thread")
                #expect(ports.count == 16 && Set(ports).count == 16, subject.log)
                #expect(ports.allSatisfy { $0.hasPrefix("0 ") }, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }
        }
    }
#endif
