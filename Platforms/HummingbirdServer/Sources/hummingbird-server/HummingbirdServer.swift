// A Hummingbird application, with router and middleware, in several processes.
#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import HTTPTypes
import Hummingbird
import Logging
import Prefork
import PreforkHummingbird
import PreforkNIO

@main struct HummingbirdServer {
    static func main() async {
        let options = Options.fromCommandLine()
        if options.isSingle { await serveAlone(options) }
        await Prefork.main(options.addresses, configuration: options.configuration) { child in
            try await Task.sleep(for: options.delay)
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
    static func serveAlone(_ options: Options) async -> Never {
        guard let (host, port) = options.hostAndPort else { Options.fail("--single needs HOST:PORT", status: 64) }
        let application = Application(
            router: makeRouter(slot: 0),
            configuration: ApplicationConfiguration(address: .hostname(host, port: port), backlog: 4096),
            onServerRunning: { Options.say("listening on \(host):\($0.localAddress?.port ?? port)") },
            logger: logger
        )
        do {
            try await application.runService()
            Options.leave()
        } catch {
            Options.fail("\(error)", status: 70)
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
