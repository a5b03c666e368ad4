import Hummingbird
import PreforkTakeover

@main struct Server {
    static func main() async throws {
        Prefork.takeOver()  // The one line. The rest is the program as it was.
        let router = Router()
        router.get("/") { _, _ in "hello\n" }
        try await Application(router: router, configuration: .init(address: .hostname("127.0.0.1", port: 8080)))
            .runService()
    }
}
