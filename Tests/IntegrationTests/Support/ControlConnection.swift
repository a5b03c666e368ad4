// A blocking client of a control socket.
#if os(Linux)
    import Foundation
    import Testing

    final class ControlConnection {
        private let descriptor: CInt
        private var input: [UInt8] = []

        /// `nil` if the connection is refused.
        init?(_ path: String) {
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
            descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            let result = withUnsafePointer(to: address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            if result != 0 { return nil }
        }

        deinit { close(descriptor) }

        /// - Returns: whether all of it was taken within a second.
        @discardableResult
        func send(_ text: String) -> Bool {
            var limit = timeval(tv_sec: 1, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            let bytes = Array(text.utf8)
            return Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL)) == bytes.count
        }

        /// The next line. `nil` if the connection has ended.
        func line(within seconds: CInt = 20, sourceLocation: SourceLocation = #_sourceLocation) throws -> [UInt8]? {
            while true {
                if let end = input.firstIndex(of: 10) {
                    defer { input.removeFirst(end + 1) }
                    return Array(input[..<end])
                }
                var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                guard poll(&request, 1, seconds * 1000) == 1 else {
                    throw Failure(description: "no line within \(seconds) s (\(sourceLocation.line))")
                }
                var buffer = [UInt8](repeating: 0, count: 65_536)
                let count = recv(descriptor, &buffer, buffer.count, 0)
                if count <= 0 { return nil }
                input += buffer.prefix(count)
            }
        }

        func answer(sourceLocation: SourceLocation = #_sourceLocation) throws -> Answer {
            guard let line = try line(sourceLocation: sourceLocation) else {
                throw Failure(description: "the connection has ended (\(sourceLocation.line))")
            }
            return try Answer(line)
        }

        func request(_ line: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Answer {
            send(line + "\n")
            return try answer(sourceLocation: sourceLocation)
        }

        /// An answer, as Foundation reads it.
        struct Answer {
            private let members: [String: Any]

            init(_ line: [UInt8]) throws {
                members = try #require(JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
            }

            var isDone: Bool { members["ok"] as? Bool ?? false }
            var error: String? { (members["error"] as? [String: Any])?["code"] as? String }
            var status: [String: Any] { members["status"] as? [String: Any] ?? [:] }
            var slots: [[String: Any]] { status["slots"] as? [[String: Any]] ?? [] }
            var masterPID: Int? { status["pid"] as? Int }
            var uptime: Double { status["uptime"] as? Double ?? 0 }
            var pids: [Int] { slots.compactMap { $0["pid"] as? Int } }
            func number(_ name: String) -> Int? { members[name] as? Int }
        }
    }
#endif
