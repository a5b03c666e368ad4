// A FlyingFox server as its documentation shows it, and one line of Prefork.
import ExampleSupport  // the command line
import FlyingFox
import FlyingSocks
import Foundation
import PreforkTakeover

@main struct FlyingFoxTakeover {
    static func main() async throws {
        let options = ExampleOptions.parseOrExit()
        if !options.isSingle { Prefork.takeOver(options.addresses, configuration: options.configuration) }
        options.delayChild()

        let (host, port) = (options.onlyAddress.host ?? "", options.onlyAddress.port ?? 0)
        let server = HTTPServer(address: try sockaddr_in.inet(ip4: host, port: UInt16(port)), logger: .disabled)
        await server.appendRoute("/") { _ in HTTPResponse(statusCode: .ok, body: Data("hello\n".utf8)) }
        await server.appendRoute("/pid") { _ in HTTPResponse(statusCode: .ok, body: Data("\(getpid())".utf8)) }
        await server.appendRoute("/big") { request in
            let megabytes = request.query.first { $0.name == "mb" }.flatMap { Int($0.value) } ?? 1
            return HTTPResponse(statusCode: .ok, body: Data(count: min(megabytes, 64) << 20))
        }
        await server.appendRoute("/slow") { request in
            let pause = request.query.first { $0.name == "ms" }.flatMap { Int($0.value) } ?? 100
            try await Task.sleep(for: .milliseconds(pause))
            return HTTPResponse(statusCode: .ok, body: Data("slow\n".utf8))
        }
        // A server that stops at SIGTERM, as every one in a container must.
        signal(SIGTERM, SIG_IGN)
        let term = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .global())
        term.setEventHandler { @Sendable in Task { await server.stop(timeout: 3) } }
        term.resume()
        async let running: Void = server.run()
        try await server.waitUntilListening()
        if options.isSingle, case .ip4(let host, let port) = await server.listeningAddress {
            say("listening on \(host):\(port)")
        }
        // It throws if it had to close connections.
        do { try await running } catch { say("\(error)") }
    }
}
