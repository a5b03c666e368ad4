import Foundation
import Prefork
import Synchronization
import Testing

/// The events of a real fleet whose children are shell scripts. It listens on a socket file of its own.
struct RealFleet {
    var events: [Prefork.Event] = []
    var error: (any Error)?

    /// - Parameters:
    ///   - script: what each child runs; it never serves, and so is never ready.
    ///   - executable: what runs it.
    init(
        _ script: String, executable: String = "/bin/sh",
        configure: (inout Prefork.Configuration) -> Void = { _ in }
    ) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "o-\(UUID().uuidString.prefix(13)).sock").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let seen = Events()
        var configuration = Prefork.Configuration(children: 1) { seen.append($0) }
        configuration.program.executable = executable
        configuration.program.arguments = ["-c", script]
        configuration.signals.master = .unhandled
        configuration.recovery.threshold = .never
        configure(&configuration)
        let fleet = Prefork(.unix(path), configuration: configuration)
        do {
            try fleet.run { _ in Issue.record("this process is no child") }
        } catch {
            self.error = error
        }
        events = seen.all
    }
}

private final class Events: Sendable {
    private let list = Mutex<[Prefork.Event]>([])

    var all: [Prefork.Event] { list.withLock { $0 } }

    func append(_ event: Prefork.Event) { list.withLock { $0.append(event) } }
}
