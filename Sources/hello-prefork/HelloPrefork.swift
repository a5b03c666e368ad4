// The demonstration server: an HTTP/1.1 server with an event loop in each of as many processes as asked for.
import Prefork

@main struct HelloPrefork {
    static func main() {
        // Before this process opens anything, its descriptors are those that the master has handed over.
        let descriptors = if case .child = Prefork.role { Posix.openDescriptors() } else { [CInt]() }
        let options = Options(parsing: Prefork.arguments.dropFirst())
        let adopting = options.isInheriting ? Prefork.SocketSource.systemd : .none
        Prefork.main(options.addresses, adopting: adopting, configuration: options.configuration) { child in
            let server = try Server(
                child: child, descriptorsAtStart: descriptors,
                sendsBeats: options.configuration.health.heartbeatTimeout != nil)
            try server.run()
        }
    }
}

/// The command line.
struct Options {
    static let usage = """
        usage: hello-prefork [--children N] [--listening automatic|shared|sharded] [--grace SECONDS]
                             [--recover-threshold N] [--recover-window SECONDS] [--recover-interval SECONDS]
                             [--readiness implicit|explicit] [--master-death drain|exit|ignore]
                             [--restart-concurrency N] [--restart-bake SECONDS] [--recycle-after SECONDS]
                             [--recycle-above MB] [--heartbeat-timeout SECONDS] [--queue-stall-timeout SECONDS]
                             [--abort-grace SECONDS] [--bind-interval SECONDS] [--inherited] [--control PATH]
                             [ADDRESS ...]
        ADDRESS is HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH; default 127.0.0.1:8080.
        --inherited serves on the sockets that systemd has handed over, beside ADDRESS or alone.
        --control takes the commands of preforkctl on the Unix-domain socket PATH.
        A --recover-window of 0 counts exits over the whole life of the fleet.
        """

    var addresses: [Prefork.Address] = []
    var isInheriting = false
    var configuration = Prefork.Configuration()

    /// Ends the process with one line and status 64 if something is wrong.
    init(parsing arguments: some Sequence<String>) {
        var rest = Array(arguments)[...]
        while let argument = rest.popFirst() {
            if argument == "--help" || argument == "-h" {
                print(Self.usage)
                Posix.leave(0)
            }
            if argument == "--inherited" {
                isInheriting = true
                continue
            }
            guard argument.utf8.first == UInt8(ascii: "-") else {
                addresses.append(Self.address(argument))
                continue
            }
            let equals = UInt8(ascii: "=")
            let parts = argument.utf8.split(separator: equals, maxSplits: 1, omittingEmptySubsequences: false)
                .map { String(Substring($0)) }
            let name = parts[0]
            guard Self.names.contains(name) else { Self.refuse("unknown option \"\(name)\"") }
            guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
                Self.refuse("\(name) needs a value")
            }
            apply(name, value)
        }
        if addresses.isEmpty, !isInheriting { addresses = [.tcp("127.0.0.1", port: 8080)] }
    }

    private static let names = [
        "--children", "--listening", "--grace", "--recover-threshold", "--recover-window", "--recover-interval",
        "--readiness", "--master-death", "--restart-concurrency", "--restart-bake", "--recycle-after",
        "--recycle-above", "--heartbeat-timeout", "--queue-stall-timeout", "--abort-grace", "--bind-interval",
        "--control",
    ]

    private mutating func apply(_ name: String, _ value: String) {
        switch name {
        case "--children": configuration.children = Self.number(name, value, 1...4096)
        case "--grace": configuration.shutdown.gracePeriod = Self.seconds(name, value)
        case "--recover-threshold":
            configuration.recovery.threshold = .exits(Self.number(name, value, 0...Int(Int32.max)))
        case "--recover-window":
            let window = Self.seconds(name, value)
            configuration.recovery.window = window == .zero ? nil : window
        case "--restart-concurrency": configuration.restart.concurrency = Self.number(name, value, 1...4096)
        case "--restart-bake": configuration.restart.bake = Self.seconds(name, value)
        case "--recycle-after": configuration.recycling.after = Self.seconds(name, value)
        case "--recycle-above": configuration.recycling.above = Self.number(name, value, 1...1_048_576) * 1_048_576
        case "--heartbeat-timeout": configuration.health.heartbeatTimeout = Self.seconds(name, value)
        case "--queue-stall-timeout": configuration.health.queueStallTimeout = Self.seconds(name, value)
        case "--abort-grace": configuration.health.abortGrace = Self.seconds(name, value)
        case "--bind-interval": configuration.sockets.bindRetry.interval = Self.seconds(name, value)
        case "--recover-interval": configuration.recovery.delays = .constant(Self.seconds(name, value))
        case "--listening":
            switch value {
            case "automatic": configuration.sockets.mode = .automatic
            case "shared": configuration.sockets.mode = .shared
            case "sharded": configuration.sockets.mode = .sharded
            default: Self.refuse("--listening: \"\(value)\" is none of automatic, shared and sharded")
            }
        case "--control": configuration.controlSocket = value
        case "--readiness":
            switch value {
            case "implicit": configuration.readiness.mode = .implicit
            case "explicit": configuration.readiness.mode = .explicit
            default: Self.refuse("--readiness: \"\(value)\" is neither implicit nor explicit")
            }
        default:
            switch value {
            case "drain": configuration.masterDeath.policy = .drain
            case "exit": configuration.masterDeath.policy = .exit(1)
            case "ignore": configuration.masterDeath.policy = .ignore
            default: Self.refuse("--master-death: \"\(value)\" is none of drain, exit and ignore")
            }
        }
    }

    private static func address(_ text: String) -> Prefork.Address {
        do throws(PreforkError) {
            return try Prefork.Address(text)
        } catch {
            refuse("\(error)")
        }
    }

    private static func number(_ name: String, _ text: String, _ range: ClosedRange<Int>) -> Int {
        guard let number = Int(text), range.contains(number) else {
            refuse("\(name): \"\(text)\" is not a number in \(range.lowerBound)...\(range.upperBound)")
        }
        return number
    }

    private static func seconds(_ name: String, _ text: String) -> Duration {
        guard let seconds = Double(text), seconds >= 0, seconds <= 1e9 else {
            refuse("\(name): \"\(text)\" is not a number of seconds")
        }
        return .seconds(seconds)
    }

    private static func refuse(_ message: String) -> Never {
        Posix.printError("hello-prefork: \(message)")
        Posix.leave(64)  // EX_USAGE of sysexits.h
    }
}
