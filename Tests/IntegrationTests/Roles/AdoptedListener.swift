// A listener that a role has before it runs a fleet.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork

    /// A test's own, which no other process inherits but by a number that it is given.
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

    /// Made in the master only: a child has inherited what came of it.
    final class AdoptedListener: Sendable {
        private let descriptor = LockedValueBox<CInt>(-1)

        private func make() throws -> CInt {
            let raw = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            try SocketAddress.loopback(family: AF_INET).bind(raw, context: "the role's own")
            guard listen(raw, 33) == 0 else { throw Deliberate("listen: errno \(errno)") }
            tell("adopting \(try SocketAddress(of: raw).port)")
            descriptor.withLock { $0 = raw }
            return raw
        }

        /// The same in each of several runs.
        var adoption: Prefork.SocketSource {
            .descriptors(
                [try self.descriptor.withLock { $0 } == -1 ? self.make() : self.descriptor.withLock { $0 }],
                names: ["own"])
        }

        var state: String {
            let raw = descriptor.withLock { $0 }
            let flags = fcntl(raw, F_GETFL)
            guard flags != -1 else { return "closed" }
            let listens = Listener.fault(of: raw) == nil ? "listening" : "deaf"
            let limit = PlatformListener.queue(of: raw)?.limit ?? -1
            return "\(listens) \(flags & O_NONBLOCK == 0 ? "blocking" : "non-blocking") \(limit)"
        }
    }
#endif
