// An HTTP/1.1 and HTTPS server on SwiftNIO in several processes.
import ExampleSupport  // the command line
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Prefork
import PreforkNIO
import PreforkNIOSSL

@main struct NIOServer {
    static func main() async {
        let options = Options.parseOrExit()
        let configuration: Prefork.Configuration
        do { configuration = try options.configuration() } catch { leave(78, "\(error)") }
        if options.common.isSingle { await serveAlone(options.common.onlyAddress, configuration.tlsIdentity) }
        options.common.delayChild()
        await Prefork.main(options.common.addresses, configuration: configuration) { child in
            let tls = try child.tlsIdentity?.serverContext()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for index in child.addresses.indices {
                    let listener = try await child.listen(at: index) { connection in configure(connection, tls) }
                    tasks.addTask { try await listener.serveUntilStop() }
                }
                child.ready()
                for try await _ in tasks {}  // Not `waitForAll`: the first that fails ends the child.
            }
        }
    }

    @Sendable static func configure(_ connection: any Channel, _ tls: NIOSSLContext?) -> EventLoopFuture<Void> {
        connection.eventLoop.makeCompletedFuture {
            let pipeline = connection.pipeline.syncOperations
            if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
            try pipeline.configureHTTPServerPipeline()
            let requests = try pipeline.handler(type: HTTPServerPipelineHandler.self)
            try pipeline.addHandler(LingerHandler(), position: .before(requests))
            try pipeline.addHandler(HTTPHandler())
        }
    }

    /// Without Prefork: one process, with as many event loops as SwiftNIO takes.
    static func serveAlone(_ address: Prefork.Address, _ identity: Prefork.TLSIdentity?) async -> Never {
        do {
            let (host, port) = (address.host ?? "", address.port ?? 0)
            let tls = try identity?.serverContext()
            let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.backlog, value: 4096)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelInitializer { connection in configure(connection, tls) }
                .bind(host: host, port: port)
                .get()
            say("listening on \(host):\(server.localAddress?.port ?? port)")
            try await server.closeFuture.get()
            leave(70, "the listener was closed")
        } catch {
            leave((error as? PreforkError)?.exitStatus ?? 70, "\(error)")
        }
    }
}
