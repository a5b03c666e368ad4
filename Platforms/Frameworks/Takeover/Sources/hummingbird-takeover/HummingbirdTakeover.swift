// A Hummingbird application as its documentation shows it, and one line of Prefork.
import ExampleSupport  // the command line
import Foundation
import Hummingbird
import PreforkTakeover

@main struct HummingbirdTakeover {
    static func main() async throws {
        let options = ExampleOptions.parseOrExit()
        if !options.isSingle { Prefork.takeOver(options.addresses, configuration: options.configuration) }
        options.delayChild()

        let isSingle = options.isSingle
        let (host, port) = (options.onlyAddress.host ?? "", options.onlyAddress.port ?? 0)
        let router = Router()
        router.get("/") { _, _ in "Hello world!" }
        router.get("/pid") { _, _ in "\(getpid())" }
        router.get("/big") { request, _ in
            String(repeating: "x", count: min(request.uri.queryParameters.get("mb", as: Int.self) ?? 1, 64) << 20)
        }
        router.get("/slow") { request, _ in
            let milliseconds = request.uri.queryParameters.get("ms", as: Int.self) ?? 100
            try await Task.sleep(for: .milliseconds(milliseconds))
            return "Hello world!"
        }
        router.get("/block") { request, _ in
            // As a call that waits for a lock, or for a file: it holds its thread.
            usleep(1000 * UInt32(request.uri.queryParameters.get("ms", as: Int.self) ?? 100))
            return "Hello world!"
        }
        let application = Application(
            router: router,
            configuration: .init(address: .hostname(host, port: port)),
            onServerRunning: { if isSingle { say("listening on \(host):\($0.localAddress?.port ?? port)") } }
        )
        try await application.runService()
    }
}
