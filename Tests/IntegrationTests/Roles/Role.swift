// The entry of every process that a test starts from its own executable. Prefork executes the same again for the children:
// same arguments, same filter, same variable.
#if os(Linux)
    import PreforkLibc
    import Prefork
    import Testing

    @Suite struct Roles {
        static let variable = "ROLE"

        /// Runs as a role where a test has asked for one; nothing to do in the test run itself.
        @Test(.enabled(if: currentEnvironment()[variable] != nil))
        func role() async throws {
            let name = currentEnvironment()[Self.variable] ?? ""
            guard let role = roles[name] else { leave(99) }
            await role(Settings())
            leave(0)
        }
    }

    typealias Role = @Sendable (Settings) async -> Void

    /// `key=value;flag` in the variable SETTINGS: what a role is to do.
    struct Settings: Sendable {
        private let values: [String: String]

        init(_ text: String = currentEnvironment()["SETTINGS"] ?? "") {
            values = Dictionary(
                text.split(separator: ";").map { pair in
                    let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    return (String(parts[0]), parts.count == 2 ? String(parts[1]) : "")
                },
                uniquingKeysWith: { $1 }
            )
        }

        subscript(_ key: String) -> String? { values[key] }
        func number(_ key: String) -> Int? { values[key].flatMap { Int($0) } }
        func milliseconds(_ key: String) -> Duration? { number(key).map { .milliseconds($0) } }
        func has(_ key: String) -> Bool { values[key] != nil }
    }

    extension Subject {
        /// Starts a role from this test's own executable.
        /// - Parameters:
        ///   - wrapper: what is started with the role's command line behind its own.
        ///   - program: where the executable is; nil: the one that this test runs.
        ///   - ignored: names of signals that it inherits as ignored, through a shell.
        static func role(
            _ name: String,
            _ settings: String = "",
            under wrapper: [String] = [],
            program: String? = nil,
            environment: [String: String] = [:],
            ignored: String? = nil,
            blocked: [CInt] = [],
            closed: [CInt] = [],
            standardError: CInt? = nil
        ) throws -> Subject {
            let program = program ?? executablePath()
            let arguments = [
                program, "--testing-library", "swift-testing", "--filter", "IntegrationTests.Roles/role",
            ]
            let shell = ignored.map { ["/bin/sh", "-c", "trap '' \($0); exec \"$0\" \"$@\""] } ?? []
            let command = wrapper + shell + arguments
            return try Subject(
                command[0],
                command,
                environment: environment.merging([Roles.variable: name, "SETTINGS": settings]) { $1 },
                blocked: blocked,
                closed: closed,
                standardError: standardError
            )
        }

        /// Starts the demonstration server on a port that the kernel chooses.
        static func hello(
            _ options: [String] = [],
            address: String = "127.0.0.1:0",
            under wrapper: [String] = [],
            program: String? = nil,
            environment: [String: String] = [:],
            closed: [CInt] = [],
            standardError: CInt? = nil
        ) throws -> Subject {
            let command = wrapper + [program ?? product("hello-prefork")] + options + [address]
            return try Subject(
                command[0],
                command,
                environment: environment,
                closed: closed,
                standardError: standardError
            )
        }

        /// The first line of the log that contains a text, once it is there.
        func line(_ text: String) throws -> Substring {
            var found: Substring?
            try eventually("\"\(text)\" in the log") {
                found = errors.split(separator: "\n").first { $0.contains(text) }
                if found == nil, ProcessState(pid)?.isZombie != false { throw explained("it ended before \"\(text)\"") }
                return found != nil
            }
            return found ?? ""
        }

        /// The port that the master reports, once it does.
        func port() throws -> Int {
            guard let port = try line(": listening on ").split(separator: ":").last.flatMap({ Int($0) }) else {
                throw explained("no port in the log")
            }
            return port
        }
    }

    // MARK: - What roles use

    /// One whole line in one write, for the test to read.
    func tell(_ line: String) {
        let bytes = Array("@ \(line)\n".utf8)
        _ = write(1, bytes, bytes.count)
    }

    func leave(_ status: CInt) -> Never { exit(status) }

    /// What a master must not leave behind.
    struct Leftovers: CustomStringConvertible {
        /// What each is, by number.
        var descriptors: [Int: String]
        var threads: Int
        var handlers: [UInt]
        var mask: String

        init() {
            // Without the directory that lists them, whose number depends on the others.
            let numbers = listDirectory("/proc/self/fd").compactMap { Int($0) }.filter {
                fcntl(CInt($0), F_GETFD) != -1
            }
            descriptors = Dictionary(uniqueKeysWithValues: numbers.map { ($0, readLinkText("/proc/self/fd/\($0)")) })
            // libdispatch makes these when it wants them.
            descriptors = descriptors.filter { !Self.ofDispatch.contains($0.value) }
            threads = listDirectory("/proc/self/task").count
            handlers = [SIGTERM, SIGINT, SIGUSR1, SIGCHLD].map { number in
                var action = sigaction()
                sigaction(number, nil, &action)
                return unsafeBitCast(action.__sigaction_handler, to: UInt.self)
            }
            mask = statusField("SigBlk", of: "/proc/thread-self/status")
        }

        private static let ofDispatch = ["anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[timerfd]"]

        /// The pool's threads may have ended meanwhile; one more than before would be ours.
        func isNoMore(than before: Leftovers) -> Bool {
            descriptors == before.descriptors && threads <= before.threads && handlers == before.handlers
                && mask == before.mask
        }

        private var list: String {
            descriptors.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        }

        var description: String { "fds [\(list)] threads \(threads) handlers \(handlers) mask \(mask)" }
    }

    func statusField(_ name: String, of path: String = "/proc/self/status") -> String {
        let line = (readText(path) ?? "").split(separator: "\n").first { $0.hasPrefix("\(name):") }
        return line?.dropFirst(name.count + 1).drop { $0 == "\t" || $0 == " " }.description ?? "?"
    }

    /// An error for hooks and closures to throw.
    struct Deliberate: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    /// Accepts until the drain begins and answers each connection with this process's id.
    func answerWithPID(_ listener: CInt, _ child: Prefork.Child) {
        while true {
            var requests = [
                pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
                pollfd(fd: child.stopDescriptor, events: Int16(POLLIN), revents: 0),
            ]
            poll(&requests, 2, -1)
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0 { break }
                var buffer = [UInt8](repeating: 0, count: 1024)
                recv(connection, &buffer, buffer.count, 0)
                let text = "\(getpid())"
                let answer = Array(
                    "HTTP/1.1 200 OK\r\nContent-Length: \(text.count)\r\nConnection: close\r\n\r\n\(text)".utf8
                )
                send(connection, answer, answer.count, CInt(MSG_NOSIGNAL))
                close(connection)
            }
            if requests[1].revents != 0 { return }
        }
    }
#endif
