import Foundation
import Prefork

/// The command line that all examples have: `[--children N] [--listening automatic|shared|sharded] [--single]
/// [--delay-ready MS] ADDRESS`, and options of an example's own.
public struct ExampleOptions: Sendable {
    /// What the example is about; some options have gone into it already.
    public var configuration = Prefork.Configuration()
    /// Serve without Prefork, in this one process, to compare with.
    public var isSingle = false
    /// A child waits that long before it goes on, so that a test can connect before anybody is ready.
    public var delayReady: Duration = .zero
    /// Where to listen.
    public var address = Prefork.Address.tcp("127.0.0.1", port: 8080)
    /// The values of the options of an example's own, by name.
    public var extra: [String: String] = [:]

    /// Those of this process; in a child, after the delay that they ask for. Where they make no sense: one line on standard
    /// error, and status 64.
    /// - Parameter extra: the names of further options that have a value, for example `--child-signals`.
    public static func fromCommandLine(extra: [String] = []) -> ExampleOptions {
        do {
            let options = try ExampleOptions(Array(CommandLine.arguments.dropFirst()), extra: extra)
            if case .child = Prefork.role, options.delayReady > .zero {
                Thread.sleep(forTimeInterval: options.delayReady / .seconds(1))
            }
            return options
        } catch {
            leave(64, "\(error)")
        }
    }

    /// Parses the words of a command line.
    public init(_ words: [String], extra names: [String] = []) throws {
        var words = words[...]
        var hasAddress = false
        func value(of name: String) throws -> String {
            guard let value = words.popFirst() else { throw Mistake("\(name) needs a value") }
            return value
        }
        func number(of name: String) throws -> Int {
            let text = try value(of: name)
            guard let number = Int(text), number >= 0 else { throw Mistake("\(name) needs a number, not \(text)") }
            return number
        }
        while let word = words.popFirst() {
            switch word {
            case "--children": configuration.children = try number(of: word)
            case "--single": isSingle = true
            case "--delay-ready": delayReady = .milliseconds(try number(of: word))
            case "--listening":
                switch try value(of: word) {
                case "automatic": configuration.listening = .automatic
                case "shared": configuration.listening = .shared
                case "sharded": configuration.listening = .sharded
                case let other: throw Mistake("--listening is automatic, shared or sharded, not \(other)")
                }
            case _ where names.contains(word): extra[word] = try value(of: word)
            case _ where word.hasPrefix("-"): throw Mistake("there is no option \(word)")
            default:
                if hasAddress { throw Mistake("this example serves one address, not also \(word)") }
                address = try Prefork.Address(word)
                hasAddress = true
            }
        }
    }

    /// One line on standard error, and the end. An error that leaves `main` would be a trap with a backtrace.
    public static func leave(_ status: Int32, _ text: String) -> Never {
        FileHandle.standardError.write(Data("error: \(text)\n".utf8))
        exit(status)
    }

    private struct Mistake: Error, CustomStringConvertible {
        let description: String

        init(_ description: String) { self.description = description }
    }
}
