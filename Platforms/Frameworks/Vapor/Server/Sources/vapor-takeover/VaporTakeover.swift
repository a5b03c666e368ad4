// A Vapor application as its template makes it, and one line of Prefork.
import ExampleSupport  // the command line
import Foundation
import PreforkTakeover
import Vapor

@main struct VaporTakeover {
    static func main() async throws {
        let options = ExampleOptions.parseOrExit()
        if !options.isSingle { Prefork.takeOver(options.addresses, configuration: options.configuration) }
        options.delayChild()

        // Without arguments, because Vapor would read those of this example as its own.
        let app = try await Application.make(Environment(name: "production", arguments: ["vapor-takeover"]))
        app.http.server.configuration.hostname = options.onlyAddress.host ?? ""
        app.http.server.configuration.port = options.onlyAddress.port ?? 0
        app.get { _ in "Hello world!" }
        app.get("pid") { _ in "\(getpid())" }
        app.get("big") { request in
            String(repeating: "x", count: min((try? request.query.get(Int.self, at: "mb")) ?? 1, 64) << 20)
        }
        app.get("slow") { request in
            let milliseconds = (try? request.query.get(Int.self, at: "ms")) ?? 100
            try await Task.sleep(for: .milliseconds(milliseconds))
            return "Hello world!"
        }
        try await app.startup()
        if options.isSingle, let port = app.http.server.shared.localAddress?.port {
            say("listening on \(options.onlyAddress.host ?? ""):\(port)")
        }
        try await app.running?.onStop.get()
        try await app.asyncShutdown()
    }
}
