@_exported import ArgumentParser
import Foundation
import Prefork

/// The command line that all examples have.
public struct ExampleOptions: ParsableCommand {
    /// Usage is told under the program's own name.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: CommandLine.arguments.first?.split(separator: "/").last.map { String($0) })
    }

    @Option(help: ArgumentHelp("How many children; by default as Prefork counts.", valueName: "n"))
    var children: Int?

    @Option(help: "How the children share an address: automatic, shared or sharded.", transform: parseListening)
    var listening = Prefork.Configuration.Sockets.Mode.automatic

    @Option(help: "Which processors a child may use: none or onePerChild.", transform: parseAffinity)
    var affinity = Prefork.Configuration.Program.Affinity.none

    @Option(help: ArgumentHelp("Replace a child that sends no beat for this long.", valueName: "seconds"))
    var heartbeatTimeout: Double?

    @Option(help: ArgumentHelp("Let a child wait before it serves, for tests.", valueName: "milliseconds"))
    var delayReady = 0

    /// Serve without Prefork, in this one process, to compare with.
    @Flag(name: .customLong("single"), help: "Serve without Prefork, to compare with.")
    public var isSingle = false

    /// Where to listen.
    @Argument(help: "HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH.", transform: { try Prefork.Address($0) })
    public var addresses: [Prefork.Address] = [.tcp("127.0.0.1", port: 8080)]

    /// For the command line's parser.
    public init() {}

    /// For the command line's parser.
    public func validate() throws {
        guard delayReady >= 0 else { throw ValidationError("--delay-ready is not negative") }
        guard !isSingle || addresses.count == 1 && addresses[0].port != nil else {
            throw ValidationError("--single serves one TCP address")
        }
    }

    /// What the options say; the rest is an example's own.
    public var configuration: Prefork.Configuration {
        Prefork.Configuration(
            children: children, sockets: .init(mode: listening), program: .init(affinity: affinity),
            health: .init(heartbeatTimeout: heartbeatTimeout.map { .seconds($0) }))
    }

    /// To be called before `Prefork.main`. In a child it blocks for the time that `--delay-ready` asks for, so that a
    /// test can connect before anybody is ready.
    public func delayChild() {
        if case .child = Prefork.role { Thread.sleep(forTimeInterval: Double(delayReady) / 1000) }
    }

    /// The address of an example that serves one only; where there are several that is told, and the process ends.
    public var onlyAddress: Prefork.Address {
        guard let address = addresses.first, addresses.count == 1 else {
            Self.exit(withError: ValidationError("this example serves one address"))
        }
        return address
    }
}

/// One line on standard error, and the end. An error that leaves `main` would be a trap with a backtrace.
public func leave(_ status: Int32, _ text: String) -> Never {
    say("error: \(text)")
    exit(status)
}

/// A line on standard error.
public func say(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }

private func parseListening(_ text: String) throws -> Prefork.Configuration.Sockets.Mode {
    switch text {
    case "automatic": .automatic
    case "shared": .shared
    case "sharded": .sharded
    default: throw ValidationError("none of automatic, shared and sharded")
    }
}

private func parseAffinity(_ text: String) throws -> Prefork.Configuration.Program.Affinity {
    switch text {
    case "none": .none
    case "onePerChild": .onePerChild
    default: throw ValidationError("neither none nor onePerChild")
    }
}
