import FlyingFox
import FlyingSocks
import Foundation
import Prefork
import Synchronization

/// Makes an `HTTPServer` serve on a listener of a child's, with FlyingFox's public API alone.
///
/// FlyingFox binds a socket of its own and then waits on it in its pool. This is that pool: at the first wait it puts
/// the child's listener in the place of that socket, by dup2(2); all later waits go to FlyingFox's own pool.
///
///     var routes = RoutedHTTPHandler()
///     routes.appendRoute("/") { _ in HTTPResponse(statusCode: .ok) }
///     try await InheritedListener(child).run(routes)
public final class InheritedListener: AsyncSocketPool {
    private struct State {
        /// Where it is still the child's.
        var inherited: Int32?
        /// The number that FlyingFox knows it by.
        var file: Socket.FileDescriptor?
        var wait: Task<Void, any Error>?
        var isClosing = false
    }

    /// For FlyingFox to bind until the listener takes its place; it reaches this machine only, and for a moment.
    public let placeholder = sockaddr_in.placeholder

    private let child: Prefork.Child
    private let base: any AsyncSocketPool
    private let state: Mutex<State>

    /// Takes a listener of the child's.
    /// - Parameters:
    ///   - index: of the address in the list that was given to `Prefork`.
    ///   - pool: what waits for everything.
    /// - Throws: as `Prefork.Child.takeListener(at:)`.
    public init(_ child: Prefork.Child, at index: Int = 0, pool: any AsyncSocketPool = HTTPServer.defaultPool()) throws
    {
        self.child = child
        base = pool
        let inherited = try child.takeListener(at: index)
        // FlyingFox writes head and body apart, and with Nagle's algorithm the body waits for the client's delayed
        // acknowledgement, some 40 ms. Accepted sockets inherit this on Linux; a Unix-domain socket has no such option.
        var on: Int32 = 1
        setsockopt(inherited, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        state = Mutex(State(inherited: inherited))
    }

    deinit {
        if let inherited = state.withLock({ $0.inherited }) { close(inherited) }
    }

    /// Makes a server for these routes and runs it until the child is to leave and its connections are done. At a stop
    /// an answer says `Connection: close`, unless it is that to a request that takes longer than `timeout`, so that a
    /// client that asks on and on is not cut.
    /// - Parameters:
    ///   - handler: what answers, for example a `RoutedHTTPHandler`.
    ///   - timeout: of a request, in seconds, as `HTTPServer` takes it.
    ///   - logger: FlyingFox's.
    ///   - settle: as below.
    ///   - grace: as below.
    public func run(
        _ handler: some HTTPHandler,
        timeout: TimeInterval = 15,
        logger: any Logging = HTTPServer.defaultLogger(),
        settle: Duration = .milliseconds(100),
        grace: Duration? = nil
    ) async throws {
        let closing = ClosingHandler(base: handler, child: child)
        let server = HTTPServer(address: placeholder, timeout: timeout, pool: self, logger: logger, handler: closing)
        try await run(server, settle: settle, grace: grace)
    }

    /// Runs a server of your own until the child must exit and its connections are done. Make it with ``placeholder``
    /// as its address and this value as its pool. At a stop its answers do not say that the connection will be closed.
    /// - Parameters:
    ///   - settle: how long connections that were accepted before the stop may take to send their request.
    ///   - grace: how long requests may take after that, before they are cancelled. `nil`: until
    ///     `shutdown.gracePeriod` is nearly over, when the task of `serve` is cancelled.
    public func run(
        _ server: HTTPServer, settle: Duration = .milliseconds(100), grace: Duration? = nil
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await server.run()
                } catch {
                    // It ends with an error also where it was asked to end.
                    guard self.state.withLock({ $0.isClosing }) else { throw error }
                }
            }
            group.addTask {
                await self.child.stopRequested()
                guard !Task.isCancelled else { return }
                self.acceptNoMore()
                try await Task.sleep(for: settle)
                // It wants a number; the cancellation of this task and of the server's comes long before.
                await server.stop(timeout: grace.map { $0 / .seconds(1) } ?? 86_400)
            }
            // The server's end, by an error or by the stop; the other task ends with it.
            try await group.next()
            if !state.withLock({ $0.isClosing }) { group.cancelAll() }
            try await group.waitForAll()
        }
    }

    // FlyingFox's accept loop takes `disconnected` for an orderly end: it lets the connections finish, and
    // `stop(timeout:)` then returns with the last one. Where only the socket is closed nobody wakes the loop, and
    // `stop` takes its whole timeout.
    private func acceptNoMore() {
        state.withLock { state in
            state.isClosing = true
            return state.wait
        }?.cancel()
    }

    // MARK: AsyncSocketPool

    /// For FlyingFox.
    public func prepare() async throws { try await base.prepare() }

    /// For FlyingFox.
    public func run() async throws { try await base.run() }

    /// For FlyingFox; the first wait is that for a connection.
    public func suspendSocket(_ socket: Socket, untilReadyFor events: Socket.Events) async throws {
        let isListener = try state.withLock { state in
            if let inherited = state.inherited {
                // Nothing else waits before the accept loop does.
                guard dup2(inherited, socket.file.rawValue) != -1,
                    fcntl(socket.file.rawValue, F_SETFD, FD_CLOEXEC) != -1
                else { throw SocketError.makeFailed("dup2") }
                close(inherited)
                state.inherited = nil
                state.file = socket.file
            }
            return socket.file == state.file
        }
        guard isListener else { return try await base.suspendSocket(socket, untilReadyFor: events) }
        try await waitForConnection(socket, events)
    }

    private func waitForConnection(_ socket: Socket, _ events: Socket.Events) async throws {
        let base = base
        let wait = try state.withLock { state in
            if state.isClosing { throw SocketError.disconnected }
            let wait = Task { try await base.suspendSocket(socket, untilReadyFor: events) }
            state.wait = wait
            return wait
        }
        do {
            try await withTaskCancellationHandler {
                try await wait.value
            } onCancel: {
                wait.cancel()
            }
        } catch is CancellationError where state.withLock({ $0.isClosing }) {
            throw SocketError.disconnected
        }
    }
}

/// Tells the client at a stop that the connection ends.
private struct ClosingHandler<Base: HTTPHandler>: HTTPHandler {
    let base: Base
    let child: Prefork.Child

    func handleRequest(_ request: HTTPRequest) async throws -> HTTPResponse {
        var response: HTTPResponse
        do {
            response = try await base.handleRequest(request)
        } catch  where child.isStopping {
            // As the server itself would answer, but without a word about the connection.
            response = HTTPResponse(statusCode: error is HTTPUnhandledError ? .notFound : .internalServerError)
        }
        // An upgrade has a header of its own there.
        if child.isStopping, response.headers[.connection] == nil { response.headers[.connection] = "close" }
        return response
    }
}

extension sockaddr_in {
    /// A port of the kernel's choice on the loopback interface.
    fileprivate static var placeholder: sockaddr_in {
        var address = sockaddr_in.inet(port: 0)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }
}
