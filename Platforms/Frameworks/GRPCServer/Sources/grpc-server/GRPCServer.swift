// A gRPC server on the listener of a child. It needs no takeover, because the transport takes a descriptor.
import Calls
import ExampleSupport  // the command line
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Prefork

@main struct ListeningSocketServer {
    static func main() async {
        let options = ExampleOptions.parseOrExit()
        var configuration = options.configuration
        configuration.readiness.mode = .explicit
        options.delayChild()
        await Prefork.main(options.onlyAddress, configuration: configuration) { child in
            let transport = HTTP2ServerTransport.Posix(
                listeningSocketDescriptor: Int(try child.takeListener()), transportSecurity: .plaintext)
            let server = GRPCServer(transport: transport, services: [Calls()])
            async let serving: Void = server.serve()
            // Without an address it does not listen, and `serve` throws the reason.
            if (try? await transport.listeningAddress) != nil {
                child.onStop { server.beginGracefulShutdown() }
                child.ready()  // After SwiftNIO's own listen(2), whose backlog is smaller.
            }
            try await serving
        }
    }
}
