import NIOCore
import NIOExtras
import NIOPosix
import Prefork

extension Prefork.Child {
    /// The one event loop of this child, made when it is first asked for.
    ///
    /// One, because the fleet has a child for each processor already: with SwiftNIO's own default, a loop for each
    /// processor in each process, N processors would run N × N loops, and connections would go from the accepting loop
    /// to another.
    public static let eventLoop: any EventLoopGroup = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// Takes a listener and accepts on it. Call ``Prefork/Prefork/Child/ready()`` afterwards: SwiftNIO has called
    /// listen(2) with a backlog of 128 by then, and that is when the master puts its own back.
    ///
    /// Release builds accept by `ServerBootstrap.withBoundSocket`. Debug builds accept in a way of their own, for
    /// SwiftNIO's assertions end a process when another one was quicker to accept from a shared listener
    /// (https://github.com/apple/swift-nio/issues/3500); there the `parent` of a connection is no server channel.
    /// - Parameters:
    ///   - index: of the listener, in the order of the addresses.
    ///   - group: what accepts and serves.
    ///   - initializer: fills the pipeline of a connection; called on its event loop.
    /// - Throws: ``PreforkError`` of `takeListener(at:)`; what SwiftNIO throws.
    public func listen(
        at index: Int = 0,
        on group: any EventLoopGroup = Prefork.Child.eventLoop,
        initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) async throws -> InheritedListener {
        let listener = try takeListener(at: index)
        let quiescing = ServerQuiescingHelper(group: group)
        let channel =
            if InheritedListener.hasAssertions {
                try await WatchedListener.open(listener, group, quiescing, initializer)
            } else {
                try await InheritedListener.bootstrap(listener, group, quiescing, initializer)
            }
        return InheritedListener(child: self, channel: channel, quiescing: quiescing)
    }
}

/// SwiftNIO has closed the listener by itself: accept(2) failed with an error that it does not expect to pass. The
/// child that passes this on is replaced.
public struct ListenerClosed: Error, CustomStringConvertible {
    /// One line.
    public var description: String { "the listener was closed before the stop; no more connections are accepted" }
}

/// A listener of the master's that SwiftNIO accepts on.
public struct InheritedListener: Sendable {
    private let child: Prefork.Child
    /// Open as long as connections are accepted. In release builds the server's channel.
    public let channel: any Channel
    private let quiescing: ServerQuiescingHelper

    fileprivate init(child: Prefork.Child, channel: any Channel, quiescing: ServerQuiescingHelper) {
        self.child = child
        self.channel = channel
        self.quiescing = quiescing
    }

    /// Serves until the child is to stop; then as ``quiesce()``.
    /// - Throws: also ``ListenerClosed``: a child that accepts no more must not go on as if it did.
    public func serveUntilStop() async throws {
        let child = child
        try await serve { await child.stopRequested() }
    }

    /// The same, until something else asks for the end.
    /// - Parameter end: returns when it is time to quiesce, or when its task is cancelled.
    public func serve(until end: @escaping @Sendable () async -> Void) async throws {
        let isOver = channel.eventLoop.makePromise(of: Bool.self)  // Whoever completes a promise first wins.
        channel.closeFuture.whenComplete { _ in isOver.succeed(false) }
        let waiting = Task {
            await end()
            isOver.succeed(true)
        }
        defer { waiting.cancel() }
        let isAsked = try await withTaskCancellationHandler {
            try await isOver.futureResult.get()
        } onCancel: {
            waiting.cancel()
        }
        guard isAsked else { throw ListenerClosed() }
        try await quiesce()
    }

    /// Accepts no more, tells each connection so by a `ChannelShouldQuiesceEvent`, and returns when the last one is
    /// closed. SwiftNIO's HTTP pipeline closes idle connections then, and others after the answer: see
    /// ``LingerHandler``.
    /// - Throws: `CancellationError` if the task is cancelled, for example by a drain that takes too long. Open
    ///   connections stay open.
    public func quiesce() async throws {
        let closed = channel.eventLoop.makePromise(of: Void.self)
        quiescing.initiateShutdown(promise: closed)
        try await withTaskCancellationHandler {
            try await closed.futureResult.get()
        } onCancel: {
            closed.fail(CancellationError())  // Whoever completes a promise first wins.
        }
    }

    fileprivate static func bootstrap(
        _ listener: CInt,
        _ group: any EventLoopGroup,
        _ quiescing: ServerQuiescingHelper,
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) async throws -> any Channel {
        try await ServerBootstrap(group: group)
            .serverChannelInitializer { server in
                server.eventLoop.makeCompletedFuture {
                    // At no descriptor left: tries again later, where a server channel would be closed.
                    try server.pipeline.syncOperations.addHandler(AcceptBackoffHandler())
                    try server.pipeline.syncOperations.addHandler(quiescing.makeServerChannelHandler(channel: server))
                }
            }
            .childChannelInitializer(initializer)
            .withBoundSocket(listener)
            .get()
    }

    /// Whether this build, and so SwiftNIO in it, checks assertions.
    fileprivate static var hasAssertions: Bool {
        var isChecked = false
        assert(
            {
                isChecked = true
                return true
            }()
        )
        return isChecked
    }
}
