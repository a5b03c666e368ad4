import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import Prefork
import PreforkNIO
import ServiceLifecycle

extension Prefork.Child {
    /// Runs an application on the listeners of this child, with everything that it has but its address, until the child
    /// is to stop; then the application shuts down gracefully, in its own order: first the server, when the last
    /// request is answered, then its services.
    ///
    /// Hummingbird has no way to hand a descriptor to its own server. So this does what `Application.run()` does, with
    /// public API; what cannot be had so is `server` (give `http` in its place) and `availableConnectionsDelegate`.
    /// - Parameters:
    ///   - application: its responder, logger, services, `beforeServerStarts` and `onServerRunning` are used.
    ///   - indices: of the listeners, in the order of the addresses. All by default, because an application's services
    ///     run only once.
    ///   - group: replaces the application's own. One event loop by default, because the fleet has a child for each
    ///     processor.
    ///   - http: makes the protocol from what answers a request. HTTP/1.1 by default; wrap it for TLS.
    public func serve<Application: ApplicationProtocol, HTTP: ServerChildChannel>(
        _ application: Application,
        at indices: [Int]? = nil,
        on group: any EventLoopGroup = Prefork.Child.eventLoop,
        http: (@escaping HTTPChannelHandler.Responder) throws -> HTTP
    ) async throws {
        let responder = try await application.responder
        let server = InheritedServer(
            child: self,
            indices: indices ?? Array(addresses.indices),
            group: group,
            application: application,
            http: try http { request, writer, channel in
                try await self.answer(request, writer, channel, responder: responder, application: application)
            }
        )
        let services = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: application.services + [server], logger: application.logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                await self.stopRequested()  // Also where this task is cancelled, below.
                await services.triggerGracefulShutdown()
            }
            defer { tasks.cancelAll() }
            try await services.run()
        }
    }

    /// The same over HTTP/1.1.
    public func serve(
        _ application: some ApplicationProtocol,
        at indices: [Int]? = nil,
        on group: any EventLoopGroup = Prefork.Child.eventLoop
    ) async throws {
        try await serve(application, at: indices, on: group) { responder in
            HTTP1Channel(responder: responder, configuration: .init(additionalChannelHandlers: [LingerHandler()]))
        }
    }

    /// What `Application.run()` does with a request. While the child stops it also tells the client that the connection
    /// ends.
    private func answer<Application: ApplicationProtocol>(
        _ request: Request,
        _ writer: consuming ResponseWriter,
        _ channel: any Channel,
        responder: Application.Responder,
        application: Application
    ) async throws {
        var logger = application.logger
        logger[metadataKey: "hb.request.id"] = .stringConvertible(RequestID())
        var response = try await withLogger(logger) { logger in
            let context = Application.Context(source: .init(channel: channel, logger: logger))
            do {
                return try await responder.respond(to: request, context: context)
            } catch let error as HTTPParserError {
                throw error  // In the request's body: Hummingbird answers 400.
            } catch {
                logger.debug("Unrecognised error", metadata: ["error.type": "\(error)"])
                return Response(status: .internalServerError)
            }
        }
        response.headers[.date] = currentDate()
        if let name = application.configuration.serverName { response.headers[.server] = name }
        if isStopping { response.headers[.connection] = "close" }
        do {
            try await writer.write(response: response.head, body: response.body)
        } catch let error as HTTPParserError {
            throw BrokenRequest(error: error)
        }
    }
}

/// A request whose body breaks while the answer is being written: Hummingbird must not write another one.
private struct BrokenRequest: Error {
    let error: HTTPParserError
}

/// Serves on an inherited listener as Hummingbird's own server does on its address.
private struct InheritedServer<Application: ApplicationProtocol, HTTP: ServerChildChannel>: Service {
    let child: Prefork.Child
    let indices: [Int]
    let group: any EventLoopGroup
    let application: Application
    let http: HTTP

    func run() async throws {
        for prepare in application.processesRunBeforeServerStart { try await prepare() }
        let logger = application.logger
        let (connections, accepted) = AsyncStream<HTTP.Value>.makeStream()
        var listeners: [InheritedListener] = []
        for index in indices {
            let listener = try await child.listen(at: index, on: group) { [http] channel in
                channel.setOption(.allowRemoteHalfClosure, value: true)
                    .flatMap { http.setup(channel: channel, logger: logger) }
                    .map { connection in
                        guard case .terminated = accepted.yield(connection) else { return }
                        // Cancelled meanwhile. Who has set up a connection must handle it, if only to close it.
                        channel.close(promise: nil)
                        Task { await http.handle(value: connection, logger: logger) }
                    }
            }
            listeners.append(listener)
        }
        if let first = listeners.first { await application.onServerRunning(first.channel) }
        child.ready()
        try await withThrowingDiscardingTaskGroup { [listeners] tasks in
            tasks.addTask {
                defer { accepted.finish() }
                try await withThrowingDiscardingTaskGroup { drains in
                    for listener in listeners {
                        drains.addTask {
                            do {
                                // Or cancellation; then this quiesces and is not waited for.
                                try await listener.serve { try? await gracefulShutdown() }
                            } catch let error as ListenerClosed {
                                throw error
                            } catch {
                                logger.debug("not drained", metadata: ["error": "\(error)"])
                            }
                        }
                    }
                }
            }
            for await connection in connections {
                tasks.addTask { await http.handle(value: connection, logger: logger) }
            }
        }
    }
}
