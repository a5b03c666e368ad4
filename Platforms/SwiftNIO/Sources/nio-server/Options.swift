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
        usage: nio-server [--children N] [--listening automatic|shared|sharded]
                          [--tls-files CHAIN KEY | --tls-embedded CHAIN KEY]
                          [--delay-ready MILLISECONDS] [--single] [ADDRESS...]
        ADDRESS is HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH; default 127.0.0.1:8080. All are served.
        --delay-ready lets a child wait before it serves, and --single does without Prefork: for tests and comparisons.
        --tls-embedded hands over the contents of the files, as a program would whose certificate is built in.
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
        say("nio-server: \(text)")
        exit(status)
    }

    /// Writes a line to standard error.
    static func say(_ text: String) {
        let line = Array("\(text)\n".utf8)
        _ = write(2, line, line.count)
    }

    private init(parsing arguments: ArraySlice<String>) throws {
        configuration.readiness = .explicit  // A child is ready when SwiftNIO accepts.
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
            case "--tls-files":
                configuration.tlsIdentity = .files(certificateChain: try value(), privateKey: try value())
            case "--tls-embedded":
                configuration.tlsIdentity = .embedded(
                    certificateChain: try contents(try value()), privateKey: try contents(try value()))
            default:
                guard argument.first != "-" else { throw UsageError(text: "unknown option \"\(argument)\"") }
                addresses.append(try Prefork.Address(argument))
            }
        }
        if addresses.isEmpty { addresses = [.tcp("127.0.0.1", port: 8080)] }
    }
}

private func contents(_ path: String) throws -> String {
    guard let file = fopen(path, "r") else {
        throw PreforkError.invalidTLSIdentity("\"\(path)\" cannot be read: \(String(cString: strerror(errno)))")
    }
    defer { fclose(file) }
    var text: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 4096)
    while case let count = fread(&part, 1, part.count, file), count > 0 { text += part[..<count] }
    return String(decoding: text, as: UTF8.self)
}
