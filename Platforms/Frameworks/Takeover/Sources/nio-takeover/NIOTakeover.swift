// A SwiftNIO server as its documentation shows it, with the quiescing helper of swift-nio-extras, and one line of
// Prefork.
import Dispatch
import ExampleSupport  // the command line
import NIOCore
import NIOExtras
import NIOHTTP1
import NIOPosix
import PreforkTakeover

@main struct NIOTakeover {
    static func main() async throws {
        let options = ExampleOptions.parseOrExit()
        if !options.isSingle { Prefork.takeOver(options.addresses, configuration: options.configuration) }
        options.delayChild()

        let (host, port) = (options.onlyAddress.host ?? "", options.onlyAddress.port ?? 0)
        let group = MultiThreadedEventLoopGroup.singleton
        let quiesce = ServerQuiescingHelper(group: group)
        let server = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        quiesce.makeServerChannelHandler(channel: channel))
                }
            }
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline()
                    try pipeline.addHandler(HTTPHandler())
                }
            }
            .bind(host: host, port: port).get()
        if options.isSingle { say("listening on \(host):\(server.localAddress?.port ?? port)") }

        signal(SIGTERM, SIG_IGN)
        let stopped = group.any().makePromise(of: Void.self)
        let term = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .global())
        term.setEventHandler { @Sendable in quiesce.initiateShutdown(promise: stopped) }
        term.resume()
        try await stopped.futureResult.get()
    }
}
