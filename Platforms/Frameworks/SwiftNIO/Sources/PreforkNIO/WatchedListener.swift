#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import NIOCore
import NIOExtras
import NIOPosix
import Prefork

/// Accepts without a server channel, which is where debug builds of SwiftNIO take a lost race for a bug.
///
/// A thread waits for the listener; the event loop accepts. In place of the server channel stands a pipe's: it collects
/// the connections, and the thread sees at the other end that it was closed.
enum WatchedListener {
    /// How many connections are accepted before the event loop does something else.
    private static let batch = 16

    static func open(
        _ listener: CInt,
        _ group: any EventLoopGroup,
        _ quiescing: ServerQuiescingHelper,
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) async throws -> any Channel {
        var ends: (reader: CInt, writer: CInt) = (-1, -1)
        let made = withUnsafeMutableBytes(of: &ends) { pipe($0.assumingMemoryBound(to: CInt.self).baseAddress) }
        guard made == 0 else { throw IOError(errnoCode: errno, reason: "pipe") }
        let writer = ends.writer
        _ = fcntl(ends.reader, F_SETFD, FD_CLOEXEC)
        _ = fcntl(writer, F_SETFD, FD_CLOEXEC)
        let server = try await NIOPipeBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = quiescing.makeServerChannelHandler(channel: channel)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .takingOwnershipOfDescriptor(input: ends.reader)
            .get()
        let watch = NIOThreadPool(numberOfThreads: 1)
        watch.start()
        watch.submit { _ in
            wait(for: listener, orErrorOf: writer) {
                let accepting = server.eventLoop.submit { accept(listener, group, server, initializer) }
                switch (try? accepting.wait()) ?? .isClosed {
                case .isOpen: return true
                // The connection stays in the queue, and poll would say so at once, again and again.
                case .isExhausted: return poll(nil, 0, 10) >= 0 || errno == EINTR
                case .isClosed: return false
                }
            }
            close(listener)
            close(writer)
        }
        return server
    }

    /// Calls `body` whenever something waits in `listener`, until it returns false or the reader of `pipe` is closed.
    private static func wait(for listener: CInt, orErrorOf pipe: CInt, _ body: () -> Bool) {
        var watched = [
            pollfd(fd: listener, events: Int16(POLLIN), revents: 0), pollfd(fd: pipe, events: 0, revents: 0),
        ]
        while poll(&watched, 2, -1) >= 0 || errno == EINTR {
            if watched[1].revents != 0 { return }
            if watched[0].revents != 0, !body() { return }
        }
    }

    private enum Outcome {
        case isOpen
        /// There are no descriptors, or there is no memory, for now.
        case isExhausted
        case isClosed
    }

    /// On the event loop of `server`.
    private static func accept(
        _ listener: CInt,
        _ group: any EventLoopGroup,
        _ server: any Channel,
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> Outcome {
        for _ in 0..<batch where server.isActive {
            let connection = acceptConnection(listener)
            guard connection >= 0 else {
                switch errno {
                case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .isExhausted
                // It does not listen any more: somebody has called shutdown(2). `serveUntilStop` tells of it.
                case EINVAL, EBADF, ENOTSOCK:
                    server.close(promise: nil)
                    return .isClosed
                // Another child was quicker, or the client has gone (accept(2)).
                default: return .isOpen
                }
            }
            _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
            ClientBootstrap(group: group)
                .channelInitializer { channel in
                    server.pipeline.fireChannelRead(channel)
                    return initializer(channel)
                }
                .withConnectedSocket(connection)
                .whenFailure { error in server.pipeline.fireErrorCaught(error) }
        }
        return server.isActive ? .isOpen : .isClosed
    }
}

// Where the method above hides the function.
private func acceptConnection(_ listener: CInt) -> CInt { accept(listener, nil, nil) }
