// Listeners that exist before a fleet runs.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork

    /// A listener of the test itself. Other processes inherit it only under a number that the test gives them.
    final class OwnUnixListener {
        let raw: CInt

        init(path: String) throws {
            let listener = try PlatformListener.makeSocket(family: AF_UNIX)
            try SocketAddress(unixPath: path).bind(listener.raw, context: path)
            raw = fcntl(listener.raw, F_DUPFD_CLOEXEC, 3)
            guard listen(raw, 33) == 0 else { throw Failure(description: "listen: errno \(errno)") }
        }

        deinit { close(raw) }
    }

    /// A listener of a role. Only the master makes it; children inherit it from the fleet.
    final class AdoptedListener: Sendable {
        private let descriptor = LockedValueBox<CInt>(-1)

        private func make() throws -> CInt {
            let raw = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            try SocketAddress.loopback(family: AF_INET).bind(raw, context: "the role's own")
            guard listen(raw, 33) == 0 else { throw Deliberate("listen: errno \(errno)") }
            report("adopting \(try SocketAddress(of: raw).port)")
            descriptor.withLock { $0 = raw }
            return raw
        }

        /// The same listener in each of several runs.
        var source: Prefork.SocketSource {
            .descriptors(
                [try self.descriptor.withLock { $0 } == -1 ? self.make() : self.descriptor.withLock { $0 }],
                names: ["own"])
        }

        var state: String {
            let raw = descriptor.withLock { $0 }
            let flags = fcntl(raw, F_GETFL)
            guard flags != -1 else { return "closed" }
            let listens = Listener.fault(of: raw) == nil ? "listening" : "not listening"
            let limit = PlatformListener.queue(of: raw)?.limit ?? -1
            return "\(listens) \(flags & O_NONBLOCK == 0 ? "blocking" : "non-blocking") \(limit)"
        }
    }
#endif
