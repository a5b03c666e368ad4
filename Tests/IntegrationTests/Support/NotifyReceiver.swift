// The socket of a service manager, as systemd has one.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    /// Receives what masters send to `NOTIFY_SOCKET`.
    final class NotifyReceiver {
        /// The value of the variable.
        let name: String
        private let descriptor: CInt
        private var received: [String] = []

        /// - Parameter name: a path, or a name of the abstract namespace that begins with @.
        init(_ name: String) throws {
            self.name = name
            descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            try SocketAddress(unixPath: name.hasPrefix("@") ? "\0" + name.dropFirst() : name).bind(
                descriptor, context: name)
        }

        deinit { close(descriptor) }

        /// All datagrams so far, in order.
        var datagrams: [String] {
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT))
                if count < 0 { return received }
                received.append(String(decoding: buffer.prefix(count), as: UTF8.self))
            }
        }

        /// The lines of all datagrams so far.
        var lines: [String] { datagrams.flatMap { $0.split(separator: "\n").map { String($0) } } }

        func count(_ line: String) -> Int { lines.count { $0 == line } }

        /// Waits until a line has come so often.
        func wait(
            for line: String, count: Int = 1, from subject: Subject, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            try subject.eventually("\(count) × \(line) in \(lines)", sourceLocation: sourceLocation) {
                self.count(line) >= count
            }
        }
    }
#endif
