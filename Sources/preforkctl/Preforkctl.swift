// The command line for a running fleet.
import PreforkLibc

enum ExitStatus {
    static let refused: CInt = 1
    static let usage: CInt = 64  // EX_USAGE of sysexits.h
    static let unavailable: CInt = 69  // EX_UNAVAILABLE
    static let connectionLost: CInt = 75  // EX_TEMPFAIL
}

@main struct Preforkctl {
    static let usage = """
        usage: preforkctl PATH COMMAND [--json]

        PATH is the control socket of a master (Configuration.controlSocket). Commands:
          status        prints a table of the children
          watch         shows that table and keeps it up to date; ends with Ctrl-C
          restart       replaces all children by those of the program as it is on disk now
          rollback      goes back to the build that served before
          resize N      changes the number of children
          recycle SLOT  replaces the child of one slot
          upgrade       replaces the master's own program
          stop          stops the fleet
        Each command returns when its work is done. --json prints the master's answer as it is.
        watch prints a line for each change if standard output is not a terminal. NO_COLOR turns colors off.

        exit status: 0 done; 1 refused or failed; 64 wrong usage; 69 cannot connect; 75 connection lost
        """

    static func main() {
        // A write to a socket whose other end is closed must fail, and not kill this process.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        sigprocmask(SIG_BLOCK, &signals, nil)

        let arguments = CommandLine.arguments.dropFirst()
        if arguments.contains("--help") || arguments.contains("-h") {
            Terminal.write(usage + "\n")
            exit(0)
        }
        let command: Command
        do throws(Command.Fault) {
            command = try Command(arguments)
        } catch {
            fail("\(error.reason); see preforkctl --help", ExitStatus.usage)
        }
        let connection: MasterConnection
        do throws(MasterConnection.Refusal) {
            connection = try MasterConnection(path: command.path)
        } catch {
            fail("cannot connect to \(command.path): \(error.reason)", ExitStatus.unavailable)
        }
        connection.send(command.request)
        if command.name == "watch" {
            var watch = Watch(connection, isRaw: command.isRaw)
            watch.run()
        }
        finish(command, answer(of: connection))
    }

    private static func finish(_ command: Command, _ answer: [UInt8]) -> Never {
        let value = check(answer, isRaw: command.isRaw)
        if command.isRaw {
            Terminal.write(String(decoding: answer, as: UTF8.self) + "\n")
        } else if command.name == "status" {
            guard let fleet = Fleet(value) else { fail("the answer is not a status", ExitStatus.refused) }
            let columns = Terminal.isTerminal ? Terminal.size.columns : nil
            let table = FleetTable(isColored: Terminal.hasColor, columns: columns)
            Terminal.write(table.lines(fleet, .total).joined(separator: "\n") + "\n")
        } else {
            Terminal.write(summary(command, value) + "\n")
        }
        exit(0)
    }

    private static func summary(_ command: Command, _ answer: JSONValue) -> String {
        switch command.name {
        case "stop": return "stopped"
        case "resize": return "\(answer["children"].integer.map { "\($0)" } ?? "?") children"
        case "recycle": return "child \(answer["pid"].integer.map { "\($0)" } ?? "?") serves"
        default: return answer["generation"].integer.map { "generation \($0) serves" } ?? "done"
        }
    }

    private static func answer(of connection: MasterConnection) -> [UInt8] {
        guard case .line(let line) = connection.receive() else { connectionLost() }
        return line
    }

    static func connectionLost() -> Never {
        fail("the master has closed the connection", ExitStatus.connectionLost)
    }

    /// Ends this process if the master has refused the request.
    static func check(_ answer: [UInt8], isRaw: Bool) -> JSONValue {
        guard let value = JSONValue(answer), let isDone = value["ok"].bool else {
            fail("the answer is not that of a master", ExitStatus.refused)
        }
        if isDone { return value }
        if isRaw { Terminal.write(String(decoding: answer, as: UTF8.self) + "\n") }
        fail(value["error"]["message"].text ?? "the master has refused the request", ExitStatus.refused)
    }

    static func fail(_ message: String, _ status: CInt) -> Never {
        Terminal.write("preforkctl: \(message)\n", to: 2)
        exit(status)
    }
}

/// The command line.
struct Command: Equatable {
    let path: String
    let name: String
    /// The line that is sent to the master.
    let request: String
    let isRaw: Bool

    struct Fault: Error, Equatable { let reason: String }

    private static let arguments: [String: String?] = [
        "status": nil, "watch": nil, "restart": nil, "rollback": nil, "resize": "a number of children",
        "recycle": "a slot", "upgrade": nil, "stop": nil,
    ]

    init(_ arguments: some Sequence<String>) throws(Fault) {
        var words = Array(arguments)
        isRaw = words.contains("--json")
        words.removeAll { $0 == "--json" }
        if let option = words.first(where: { $0.utf8.first == UInt8(ascii: "-") }) {
            throw Fault(reason: "unknown option \"\(option)\"")
        }
        guard words.count >= 2 else {
            throw Fault(reason: words.isEmpty ? "no path of a control socket" : "no command")
        }
        path = words[0]
        name = words[1]
        guard let argument = Self.arguments[name] else { throw Fault(reason: "unknown command \"\(name)\"") }
        if let argument {
            guard words.count == 3, let number = UInt32(words[2]) else {
                throw Fault(reason: "\(name) needs \(argument)")
            }
            request = "\(name) \(number)"
        } else {
            guard words.count == 2 else { throw Fault(reason: "\(name) has no argument") }
            request = name
        }
    }
}
