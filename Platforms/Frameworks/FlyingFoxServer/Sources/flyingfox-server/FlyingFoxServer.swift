import ExampleSupport  // the command line
import FlyingFox
import FlyingSocks
import Foundation
import Prefork
import PreforkFlyingFox

@main struct FlyingFoxServer {
    static func main() async {
        let options = ExampleOptions.parseOrExit()
        if options.isSingle { return await serveAlone(options.onlyAddress) }
        options.delayChild()
        await Prefork.main(options.onlyAddress, configuration: options.configuration) { child in
            try await InheritedListener(child).run(makeRoutes(), logger: .disabled)
        }
    }

    static func makeRoutes() -> RoutedHTTPHandler {
        var routes = RoutedHTTPHandler()
        routes.appendRoute("/") { _ in text("hello\n") }
        routes.appendRoute("/pid") { _ in text("\(getpid())\n") }
        routes.appendRoute("/big") { request in
            let megabytes = request.query.first { $0.name == "mb" }.flatMap { Int($0.value) } ?? 1
            return text(String(repeating: "x", count: min(max(megabytes, 0), 64) << 20))
        }
        routes.appendRoute("/slow") { request in
            let pause = request.query.first { $0.name == "ms" }.flatMap { Int($0.value) } ?? 100
            try await Task.sleep(for: .milliseconds(pause))
            return text("slow \(pause)\n")
        }
        return routes
    }

    static func text(_ body: String) -> HTTPResponse {
        HTTPResponse(statusCode: .ok, headers: [.contentType: "text/plain"], body: Data(body.utf8))
    }

    /// FlyingFox without Prefork, to compare with.
    static func serveAlone(_ address: Prefork.Address) async {
        do {
            guard let host = address.host, let port = address.port.flatMap({ UInt16(exactly: $0) }) else {
                throw SocketError.unsupportedAddress
            }
            let server = HTTPServer(
                address: try sockaddr_in.inet(ip4: host, port: port), pool: NoDelayPool(), logger: .disabled,
                handler: makeRoutes())
            async let running: Void = server.run()
            try await server.waitUntilListening()
            if case .ip4(let host, let port) = await server.listeningAddress {
                say("listening on \(host):\(port)")
            }
            try await running
        } catch {
            leave(70, "\(error)")
        }
    }
}

/// What `InheritedListener` does about Nagle's algorithm, for a listener of FlyingFox's own.
struct NoDelayPool: AsyncSocketPool {
    let base: any AsyncSocketPool = HTTPServer.defaultPool()

    func prepare() async throws { try await base.prepare() }

    func run() async throws { try await base.run() }

    func suspendSocket(_ socket: Socket, untilReadyFor events: Socket.Events) async throws {
        var on: Int32 = 1
        setsockopt(socket.file.rawValue, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        try await base.suspendSocket(socket, untilReadyFor: events)
    }
}
