// A Hummingbird application, with router and middleware, in several processes.
import ExampleSupport  // the command line
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import Prefork
import PreforkHummingbird
import PreforkNIO

@main struct HummingbirdServer {
    static func main() async {
        let options = ExampleOptions.parseOrExit()
        if options.isSingle { await serveAlone(options.onlyAddress) }
        var configuration = options.configuration
        configuration.readiness.mode = .explicit  // A child is ready when Hummingbird serves.
        options.delayChild()
        await Prefork.main(options.addresses, configuration: configuration) { child in
            try await child.serve(
                Application(
                    router: makeRouter(slot: child.slot),
                    eventLoopGroupProvider: .shared(Prefork.Child.eventLoop),
                    logger: logger))
        }
    }

    static func makeRouter(slot: Int) -> Router<BasicRequestContext> {
        let router = Router(options: .autoGenerateHeadEndpoints)
        router.middlewares.add(SlotHeader(slot: slot))
        router.get("/") { _, _ in "Hello world!" }
        router.get("/pid") { _, _ in "\(getpid())" }
        router.get("/big") { request, _ in
            let megabytes = request.uri.queryParameters.get("mb", as: Int.self) ?? 1
            guard (0...64).contains(megabytes) else { throw HTTPError(.badRequest) }
            return String(repeating: "x", count: megabytes << 20)
        }
        router.get("/slow") { request, _ in
            let milliseconds = request.uri.queryParameters.get("ms", as: Int.self) ?? 100
            guard (0...60_000).contains(milliseconds) else { throw HTTPError(.badRequest) }
            try await Task.sleep(for: .milliseconds(milliseconds))
            return "Hello world!"
        }
        return router
    }

    static var logger: Logger {
        var logger = Logger(label: "hummingbird-server")
        logger.logLevel = .notice
        return logger
    }

    /// Without Prefork: one process, as Hummingbird starts it.
    static func serveAlone(_ address: Prefork.Address) async -> Never {
        let (host, port) = (address.host ?? "", address.port ?? 0)
        let application = Application(
            router: makeRouter(slot: 0),
            configuration: ApplicationConfiguration(address: .hostname(host, port: port), backlog: 4096),
            onServerRunning: { say("listening on \(host):\($0.localAddress?.port ?? port)") },
            logger: logger
        )
        do {
            try await application.runService()
            exit(0)
        } catch {
            leave(70, "\(error)")
        }
    }
}

/// Says which child has answered.
struct SlotHeader<Context: RequestContext>: RouterMiddleware {
    let slot: Int

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        if let name = HTTPField.Name("X-Slot") { response.headers[name] = "\(slot)" }
        return response
    }
}
