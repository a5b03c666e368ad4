// A gRPC server as its documentation shows it, and one line of Prefork.
import Calls
import Dispatch
import ExampleSupport  // the command line
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import PreforkTakeover

@main struct GRPCTakeover {
    static func main() async throws {
        let options = ExampleOptions.parseOrExit()
        if !options.isSingle { Prefork.takeOver(options.addresses, configuration: options.configuration) }
        options.delayChild()

        let (host, port) = (options.onlyAddress.host ?? "", options.onlyAddress.port ?? 0)
        let server = GRPCServer(
            transport: .http2NIOPosix(address: .ipv4(host: host, port: port), transportSecurity: .plaintext),
            services: [Calls()])
        // A server that stops at SIGTERM, as every server in a container must.
        signal(SIGTERM, SIG_IGN)
        let term = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .global())
        term.setEventHandler { @Sendable in server.beginGracefulShutdown() }
        term.resume()
        async let serving: Void = server.serve()
        if options.isSingle, let address = try await server.listeningAddress?.ipv4 {
            say("listening on \(address.host):\(address.port)")
        }
        try await serving
    }
}
