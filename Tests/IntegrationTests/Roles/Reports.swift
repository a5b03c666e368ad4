// The reports of roles, and the servers of their children.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork

    /// Writes one whole line for the test to read, in one call.
    func report(_ line: String) {
        let bytes = Array("@ \(line)\n".utf8)
        _ = write(1, bytes, bytes.count)
    }

    /// The possessions of a child: its place in the fleet, processors, listeners, descriptors.
    func reportState(of child: Prefork.Child) {
        hasServed.withLock { $0 = true }
        report("processors \(child.slot) \(statusField("Cpus_allowed_list"))")
        let descriptors = listDirectory("/proc/self/fd").compactMap { CInt($0) }.sorted()
        let open = descriptors.filter { fcntl($0, F_GETFD) != -1 }
        report("child \(getpid()) slot \(child.slot) launch \(child.launch) master \(child.masterPID)")
        let inodes = child.addresses.indices.compactMap { System.identity(of: 3 + CInt($0))?.inode }
        report("inodes \(child.slot) \(inodes.map { "\($0)" }.joined(separator: " "))")
        report("fds \(open.map { "\($0)" }.joined(separator: " "))")
    }

    /// Things that a master must not leave behind.
    struct Leftovers: CustomStringConvertible {
        /// The file of each descriptor, by number.
        private var descriptors: [Int: String]
        private var threads: Int
        private var handlers: [UInt]
        private var mask: String
        /// As ps(1) shows it.
        private var name: String?

        init() {
            // Without the descriptor of the listing itself, whose number depends on the others.
            let numbers = listDirectory("/proc/self/fd").compactMap { Int($0) }.filter {
                fcntl(CInt($0), F_GETFD) != -1
            }
            descriptors = Dictionary(uniqueKeysWithValues: numbers.map { ($0, readLinkText("/proc/self/fd/\($0)")) })
            // libdispatch opens these at any time.
            descriptors = descriptors.filter { !Self.ofDispatch.contains($0.value) }
            threads = listDirectory("/proc/self/task").count
            handlers = [SIGTERM, SIGINT, SIGUSR1, SIGCHLD].map { number in
                var action = sigaction()
                sigaction(number, nil, &action)
                return unsafeBitCast(action.__sigaction_handler, to: UInt.self)
            }
            mask = statusField("SigBlk", of: "/proc/thread-self/status")
            name = readText("/proc/self/comm")
        }

        private static let ofDispatch = ["anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[timerfd]"]

        /// Threads of the pool may have ended meanwhile. An additional thread would be Prefork's.
        func isNoMore(than before: Leftovers) -> Bool {
            descriptors == before.descriptors && threads <= before.threads && handlers == before.handlers
                && mask == before.mask && name == before.name
        }

        var description: String {
            let list = descriptors.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            return "fds [\(list.joined(separator: ", "))] threads \(threads) handlers \(handlers) mask \(mask) "
                + "name \(name ?? "?")"
        }
    }

    /// An error for hooks and closures to throw.
    struct Deliberate: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    /// Accepts until the drain begins and answers each connection with this process's identifier.
    /// - Parameter inspect: gets each request before it is answered.
    func answerWithPID(_ listener: CInt, _ child: Prefork.Child, _ inspect: (String) -> Void = { _ in }) {
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
                let received = recv(connection, &buffer, buffer.count, 0)
                inspect(String(decoding: buffer.prefix(max(0, received)), as: UTF8.self))
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

    func waitForStop(_ child: Prefork.Child) {
        var request = pollfd(fd: child.stopDescriptor, events: Int16(POLLIN), revents: 0)
        while poll(&request, 1, -1) != 1 || request.revents & Int16(POLLIN) == 0 {}
    }

    /// Returns when `body` has. Not in a file that imports Foundation, which has a `Thread`, too.
    func inThreadOfItsOwn(_ body: @escaping @Sendable () -> Void) throws {
        let thread = try Thread(body)
        thread.join()
    }

    /// Returns when the process has exited, and leaves its status for another caller.
    func waitForZombie(_ pid: pid_t) {
        var information = siginfo_t()
        while waitid(P_PID, id_t(pid), &information, CInt(WEXITED | WNOWAIT)) == -1, errno == EINTR {}
    }
#endif
