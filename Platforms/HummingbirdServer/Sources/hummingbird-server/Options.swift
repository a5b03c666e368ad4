#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Prefork

/// The command line.
struct Options {
    static let usage = """
        usage: hummingbird-server [--children N] [--listening automatic|shared|sharded]
                                  [--delay-ready MILLISECONDS] [--single] [ADDRESS...]
        ADDRESS is HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH; default 127.0.0.1:8080. All are served.
        --delay-ready lets a child wait before it serves, and --single does without Prefork: for tests and comparisons.
        """

    struct UsageError: Error {
        let text: String
    }

    private(set) var addresses: [Prefork.Address] = []
    private(set) var configuration = Prefork.Configuration()
    private(set) var delay = Duration.zero
    private(set) var isSingle = false

    /// Host and port of an address like 127.0.0.1:8080.
    var hostAndPort: (String, Int)? {
        guard addresses.count == 1, let text = addresses.first?.description else { return nil }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]) else { return nil }
        return (String(text[..<colon]), port)
    }

    /// Ends the process with one line where something is wrong: 64 is EX_USAGE of sysexits.h.
    static func fromCommandLine() -> Options {
        if CommandLine.arguments.contains("--help") {
            print(usage)
            exit(0)
        }
        do {
            return try Options(parsing: CommandLine.arguments.dropFirst())
        } catch {
            fail("\((error as? UsageError)?.text ?? "\(error)")", status: (error as? PreforkError)?.exitStatus ?? 64)
        }
    }

    static func fail(_ text: String, status: Int32) -> Never {
        say("hummingbird-server: \(text)")
        exit(status)
    }

    static func leave() -> Never { exit(0) }

    /// Writes a line to standard error.
    static func say(_ text: String) {
        let line = Array("\(text)\n".utf8)
        _ = write(2, line, line.count)
    }

    private init(parsing arguments: ArraySlice<String>) throws {
        configuration.readiness = .explicit  // A child is ready when Hummingbird serves.
        var rest = arguments
        while let argument = rest.popFirst() {
            func value() throws -> String {
                guard let value = rest.popFirst() else { throw UsageError(text: "\(argument) needs a value") }
                return value
            }
            func number() throws -> Int {
                let text = try value()
                guard let number = Int(text) else { throw UsageError(text: "\(argument): no number: \"\(text)\"") }
                return number
            }
            switch argument {
            case "--children": configuration.children = try number()
            case "--delay-ready": delay = .milliseconds(try number())
            case "--single": isSingle = true
            case "--listening":
                switch try value() {
                case "automatic": configuration.listening = .automatic
                case "shared": configuration.listening = .shared
                case "sharded": configuration.listening = .sharded
                default: throw UsageError(text: "\(argument): none of automatic, shared and sharded")
                }
            default:
                guard argument.first != "-" else { throw UsageError(text: "unknown option \"\(argument)\"") }
                addresses.append(try Prefork.Address(argument))
            }
        }
        if addresses.isEmpty { addresses = [.tcp("127.0.0.1", port: 8080)] }
    }
}
