// What hello-prefork does with requests and connections, as a client sees it.
#if os(Linux)
    import PreforkLibc
    import Testing

    /// A fleet of one child.
    private func startOne(_ options: [String] = [], under wrapper: [String] = []) throws -> (Subject, child: pid_t) {
        let subject = try Subject.hello(["--children", "1"] + options, under: wrapper)
        return (subject, try subject.waitForReady(1)[0])
    }

    /// The bodies of answers that follow each other.
    private func bodies(_ answers: [UInt8]) -> [String] {
        var rest = String(decoding: answers, as: UTF8.self)[...]
        var bodies: [String] = []
        while let end = rest.firstRange(of: "\r\n\r\n") {
            let lengths = rest[..<end.lowerBound].split(separator: "\r\n").filter { $0.hasPrefix("Content-Length: ") }
            guard let length = lengths.first.flatMap({ Int($0.dropFirst(16)) }) else { break }
            bodies.append(String(rest[end.upperBound...].prefix(length)))
            rest = rest[end.upperBound...].dropFirst(length)
        }
        return bodies
    }

    extension Integration {
        @Suite struct DemonstrationServerTests {
            @Test func routes() throws {
                let (subject, child) = try startOne()
                let port = try subject.port()
                #expect(get("/", port: port) == .hello, subject.log)
                #expect(get("/pid", port: port).pid == child, subject.log)
                #expect(get("/slot", port: port).body == "0", subject.log)
                #expect(get("/generation", port: port).body == "1", subject.log)
                #expect(get("/build", port: port).body == "hello-prefork build 0", subject.log)
                #expect(get("/slow?x=1&ms=1", port: port) == .hello, subject.log)
                #expect(get("/?query", port: port) == .hello, subject.log)
                #expect(get("/pids", port: port) == .answer(status: 404, body: "not found", closes: true), subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test(arguments: ["/hang", "/spin"])
            func routesThatBlock(path: String) throws {
                let (subject, child) = try startOne(["--grace", "0.5"])
                let port = try subject.port()
                #expect(get(path, port: port, timeout: 0.3) == .timedOut, subject.log)
                #expect(get("/", port: port, timeout: 0.3) == .timedOut, subject.log("the child does nothing else"))
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.logLines("child \(child) ").contains { $0.contains("killing it") }, subject.log)
            }

            @Test(arguments: [
                ("HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK", keeps: true),
                ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK", keeps: false),
                ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "HTTP/1.1 200 OK", keeps: true),
                ("\r\nGET / HTTP/1.1\r\nconnection:\tTE , CLOSE\r\n\r\n", "HTTP/1.1 200 OK", keeps: false),
                ("GET / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", "HTTP/1.1 400 Bad Request", keeps: false),
                ("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400 Bad Request", keeps: false),
                ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400 Bad Request", keeps: false),
                ("GET / HTTP/2.0\r\n\r\n", "HTTP/1.1 400 Bad Request", keeps: false),
                ("GET /\r\n\r\n", "HTTP/1.1 400 Bad Request", keeps: false),
                ("\u{16}\u{3}\u{1}\r\n", "HTTP/1.1 400 Bad Request", keeps: false),
            ])
            func heads(text: String, status: String, keeps: Bool) throws {
                let (subject, _) = try startOne()
                let connection = try #require(Connection.open(port: try subject.port()))
                try #require(connection.send(text: text))
                let answer = String(decoding: connection.receive(count: status.utf8.count), as: UTF8.self)
                #expect(answer == status, subject.log)
                if keeps {
                    try #require(connection.send("/pid"))
                    let rest = String(decoding: connection.receive(count: .max), as: UTF8.self)
                    #expect(rest.contains("Connection: close"), subject.log)
                } else {
                    _ = connection.receive(count: .max)
                    #expect(connection.waitForEnd(), subject.log("the end is no reset"))
                }
            }

            @Test func pipelinedRequestsAreAnsweredInOrder() throws {
                let (subject, child) = try startOne()
                let connection = try #require(Connection.open(port: try subject.port()))
                let paths = ["/slow?ms=20", "/pid", "/slot", "/nothing", "/"]
                var text = ""
                for path in Array(repeating: paths, count: 50).joined() {
                    text += "POST \(path) HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /"
                }
                text += "GET /pid HTTP/1.1\r\nConnection: close\r\n\r\n"
                try #require(connection.send(text: text))
                let expected = ["Hello world!", "\(child)", "0", "not found", "Hello world!"]
                let received = bodies(connection.receive(count: .max))
                #expect(received == Array(Array(repeating: expected, count: 50).joined()) + ["\(child)"], subject.log)
            }

            /// Answers that the client does not read must not pile up in the child.
            @Test func aClientThatDoesNotRead() throws {
                let filler = ["FILLER": String(repeating: "x", count: 10_000)]
                let subject = try Subject.hello(["--children", "1"], environment: filler)
                let child = try subject.waitForReady(1)[0]
                let port = try subject.port()
                let connection = try #require(Connection.open(port: port))
                try #require(connection.send("/env", keepAlive: true))
                guard case .answer(200, let body, closes: false) = connection.receive() else {
                    Issue.record(subject.log("no answer"))
                    return
                }
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
                let memory = residentMemory(child)
                let count = 5000
                try #require(connection.send(text: String(repeating: "GET /env HTTP/1.1\r\n\r\n", count: count)))
                for _ in 0..<3 { #expect(get("/", port: port) == .hello, subject.log) }
                let growth = residentMemory(child) - memory
                // The address sanitizer keeps freed memory for some time.
                if !isSanitized { #expect(growth < 2048, subject.log("\(growth) KiB")) }
                let length = count * (head.utf8.count + body.utf8.count)
                let received = connection.receive(count: length)
                #expect(received.count == length, subject.log)
                #expect(received.suffix(body.utf8.count).elementsEqual(body.utf8), subject.log)
                #expect(connection.request("/slot").body == "0", subject.log)
            }

            @Test func aBodyOfOneMegabyte() throws {
                let (subject, _) = try startOne()
                let connection = try #require(Connection.open(port: try subject.port()))
                let body = String(repeating: "GET /crash HTTP/1.1\r\n\r\n ", count: 1_048_576 / 24) + "0123456789012345"
                let head = "POST / HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n"
                try #require(connection.send(text: head + body))
                let answer = Reply.answer(status: 200, body: "Hello world!", closes: false)
                #expect(connection.receive() == answer, subject.log)
                #expect(connection.request("/slot").body == "0", subject.log)
            }

            /// The client gets the answer although it goes on sending.
            @Test func aBodyThatIsTooLong() throws {
                let (subject, _) = try startOne()
                let connection = try #require(Connection.open(port: try subject.port()))
                let head = "POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n"
                try #require(connection.send(text: head + String(repeating: "x", count: 2_000_000)))
                #expect(connection.receive() == .answer(status: 400, body: "bad request", closes: true), subject.log)
            }

            @Test func headsInPieces() throws {
                let (subject, _) = try startOne()
                let port = try subject.port()
                do {
                    let connection = try #require(Connection.open(port: port))
                    try #require(connection.send(text: "GET / HTTP/1.1\r\nHost:"))
                    #expect(get("/", port: port) == .hello, subject.log)
                }
                let connection = try #require(Connection.open(port: port))
                let filler = String(repeating: "x", count: 8000)
                let long = "GET /slot HTTP/1.1\r\nX: \(filler)\r\nConnection: close\r\n\r\n"
                for piece in long { try #require(connection.send(text: String(piece))) }
                #expect(connection.receive().body == "0", subject.log)
                for length in [16_384, 16_385] {
                    let connection = try #require(Connection.open(port: port))
                    let frame = "GET / HTTP/1.1\r\nX: \r\n\r\n"
                    let filler = String(repeating: "x", count: length - frame.utf8.count)
                    try #require(connection.send(text: "GET / HTTP/1.1\r\nX: \(filler)\r\n\r\n"))
                    let expected: Reply =
                        length == 16_384
                        ? .answer(status: 200, body: "Hello world!", closes: false)
                        : .answer(status: 400, body: "bad request", closes: true)
                    #expect(connection.receive() == expected, subject.log)
                }
            }

            @Test func manyConnectionsAtOnce() throws {
                let (subject, _) = try startOne()
                let port = try subject.port()
                let connections = try (0..<2000).map { _ in try #require(Connection.open(port: port), subject.log) }
                for round in 0..<2 {
                    for connection in connections { try #require(connection.send("/", keepAlive: round == 0)) }
                    for connection in connections {
                        let expected = Reply.answer(status: 200, body: "Hello world!", closes: round == 1)
                        try #require(connection.receive() == expected, subject.log)
                    }
                }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func slowRequestsDoNotWaitForEachOther() throws {
                let (subject, _) = try startOne()
                let port = try subject.port()
                let connections = try (0..<100).map { _ in try #require(Connection.open(port: port)) }
                let start = ContinuousClock.now
                for connection in connections { try #require(connection.send("/slow?ms=1000")) }
                #expect(get("/", port: port) == .hello, subject.log)
                for connection in connections { #expect(connection.receive() == .hello, subject.log) }
                let elapsed = start.duration(to: .now)
                #expect(elapsed >= .seconds(1) && elapsed < .seconds(10), subject.log)
            }

            /// Connections wait in the queue while the child has no descriptor for them. At a stop they are answered.
            @Test func aChildWithoutDescriptors() throws {
                let script = "ulimit -n 40 && exec \"$0\" \"$@\""
                let (subject, child) = try startOne(under: ["/bin/sh", "-c", script])
                let port = try subject.port()
                let kept = try (0..<50).map { _ in try #require(Connection.open(port: port)) }
                try #require(kept[0].request("/", keepAlive: true).body != nil, subject.log)
                try subject.eventually("a child without descriptors") {
                    listDirectory("/proc/\(child)/fd").filter { CInt($0) != nil }.count == 40
                }
                let waiting = try #require(Connection.open(port: port))
                try #require(waiting.send("/"))
                #expect(!waiting.isReadable(within: 100), subject.log)
                #expect(kept[0].request("/", keepAlive: true).body != nil, subject.log)
                subject.signal(SIGTERM)
                #expect(waiting.receive() == .hello, subject.log)
                try subject.expectExit(0)
            }

            /// A shared listener wakes one process after the other.
            @Test func connectionsAreSpread() throws {
                let subject = try Subject.hello(["--children", "2", "--listening", "shared"])
                let children = try subject.waitForReady(2)
                let port = try subject.port()
                let pids = (0..<100).compactMap { _ in get("/pid", port: port).pid }
                for child in children { #expect(pids.filter { $0 == child }.count > 20, subject.log("\(pids)")) }
            }
        }
    }

    private func residentMemory(_ pid: pid_t) -> Int {
        Int(statusField("VmRSS", of: "/proc/\(pid)/status").split(separator: " ").first ?? "") ?? 0
    }
#endif
