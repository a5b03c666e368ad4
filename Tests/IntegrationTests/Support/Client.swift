// A blocking HTTP/1.1 client over the loopback interface, which distinguishes what a user would.
#if os(Linux)
    import PreforkLibc
    import Prefork

    /// By default a Docker container has no IPv6, not even on the loopback interface.
    let hasIPv6: Bool = {
        let probe = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(probe) }
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        inet_pton(AF_INET6, "::1", &address.sin6_addr)
        return withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(probe, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        } == 0
    }()

    /// An address other than 127.0.0.1:0, of the other family if there is IPv6.
    let otherLoopback = Prefork.Address.tcp(hasIPv6 ? "::1" : "127.0.0.2", port: 0)

    enum Reply: Equatable {
        case answer(status: Int, body: String, closes: Bool)
        /// There is no listener (ECONNREFUSED), or no such socket file.
        case refused
        /// The connection ended before the answer was whole.
        case cut
        case timedOut

        /// The answer of hello-prefork.
        static let hello = Reply.answer(status: 200, body: "Hello world!", closes: true)

        /// The body of a 200 answer.
        var body: String? { if case .answer(200, let body, _) = self { body } else { nil } }

        /// The process identifier that a role's child answers with.
        var pid: pid_t? { body.flatMap { pid_t($0) } }
    }

    /// One connection.
    final class Connection {
        private let descriptor: CInt

        private init(_ descriptor: CInt) { self.descriptor = descriptor }
        deinit { close(descriptor) }

        static func open(port: Int, host: String = "127.0.0.1", timeout: Double = 10) -> Connection? {
            if host.contains(":") {
                var address = sockaddr_in6()
                address.sin6_family = sa_family_t(AF_INET6)
                address.sin6_port = UInt16(port).bigEndian
                inet_pton(AF_INET6, host, &address.sin6_addr)
                return open(address, AF_INET6, timeout)
            }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            inet_pton(AF_INET, host, &address.sin_addr)
            return open(address, AF_INET, timeout)
        }

        static func open(path: String, timeout: Double = 10) -> Connection? {
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
            return open(address, AF_UNIX, timeout)
        }

        private static func open<Address>(_ address: Address, _ family: CInt, _ timeout: Double) -> Connection? {
            let raw = socket(family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            guard raw >= 0 else { return nil }
            let connection = Connection(raw)
            var limit = timeval(
                tv_sec: Int(timeout),
                tv_usec: Int(timeout.truncatingRemainder(dividingBy: 1) * 1_000_000)
            )
            setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            let result = withUnsafePointer(to: address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(raw, $0, socklen_t(MemoryLayout<Address>.size))
                }
            }
            return result == 0 ? connection : nil
        }

        func send(_ path: String, keepAlive: Bool = false) -> Bool {
            let text = "GET \(path) HTTP/1.1\r\nHost: test\r\n\(keepAlive ? "" : "Connection: close\r\n")\r\n"
            let bytes = Array(text.utf8)
            return PreforkLibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL)) == bytes.count
        }

        /// Sends a text as it is.
        func send(text: String) -> Bool {
            let bytes = Array(text.utf8)
            var sent = 0
            while sent < bytes.count {
                let count = sendWithoutWaiting(bytes[sent...])
                if count == -1 { return false }
                var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                if count == 0, poll(&request, 1, 10_000) != 1 { return false }
                sent += count
            }
            return true
        }

        /// - Returns: the number of bytes for which there was room, or -1 if the other side is gone.
        func sendWithoutWaiting(_ bytes: ArraySlice<UInt8>) -> Int {
            let count = bytes.withUnsafeBytes {
                PreforkLibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
            }
            return count == -1 && errno == EAGAIN ? 0 : count
        }

        /// - Returns: that many bytes, or fewer if the connection ends before.
        func receive(count: Int) -> [UInt8] {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while bytes.count < count {
                let received = recv(descriptor, &buffer, min(buffer.count, count - bytes.count), 0)
                if received <= 0 { break }
                bytes.append(contentsOf: buffer.prefix(received))
            }
            return bytes
        }

        func request(_ path: String, keepAlive: Bool = false) -> Reply {
            send(path, keepAlive: keepAlive) ? receive() : .cut
        }

        func receive() -> Reply {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 16_384)
            while true {
                if let reply = Self.parse(bytes) { return reply }
                let count = recv(descriptor, &buffer, buffer.count, 0)
                if count > 0 {
                    bytes.append(contentsOf: buffer.prefix(count))
                } else if count == -1, errno == EINTR {
                    continue
                } else if count == -1, errno == EAGAIN {
                    return .timedOut
                } else {
                    return .cut
                }
            }
        }

        /// Whether there is something to read, or the other side has closed.
        func isReadable(within milliseconds: CInt) -> Bool {
            var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            return poll(&request, 1, milliseconds) == 1
        }

        /// The user that had last called listen(2) when the connection was made (SO_PEERCRED, unix(7)).
        var peerUser: uid_t? {
            // struct ucred, which Swift's Glibc hides: pid, uid, gid.
            var credentials: (UInt32, UInt32, UInt32) = (0, 0, 0)
            var length = socklen_t(MemoryLayout.size(ofValue: credentials))
            guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 else { return nil }
            return credentials.1
        }

        /// Waits until the other side closes.
        /// - Returns: false at the timeout.
        func waitForEnd() -> Bool {
            var byte: UInt8 = 0
            return recv(descriptor, &byte, 1, 0) == 0
        }

        private static func parse(_ bytes: [UInt8]) -> Reply? {
            let text = String(decoding: bytes, as: UTF8.self)
            guard let end = text.firstRange(of: "\r\n\r\n") else { return nil }
            let head = text[..<end.lowerBound].lowercased()
            let body = text[end.upperBound...]
            guard let status = Int(head.dropFirst(9).prefix(3)),
                let length = head.split(separator: "\r\n").first(where: { $0.hasPrefix("content-length:") }),
                let count = Int(length.dropFirst(15).drop { $0 == " " }), body.utf8.count >= count
            else { return nil }
            return .answer(status: status, body: String(body), closes: head.contains("connection: close"))
        }
    }

    /// One request on a connection of its own.
    func get(_ path: String, port: Int, host: String = "127.0.0.1", timeout: Double = 10) -> Reply {
        guard let connection = Connection.open(port: port, host: host, timeout: timeout) else { return .refused }
        return connection.request(path)
    }
#endif
