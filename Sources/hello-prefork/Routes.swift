// The paths of the demonstration server, and the answer for each.
import Prefork

/// The route of a request, with its parameters.
enum Route {
    case hello, pid, slot, generation, build, replace, crash, hang, spin, fds, env, unknown
    case slow(milliseconds: Int)
    case exit(status: Int)
    case eat(megabytes: Int)

    init(path: Bytes, query: Bytes) {
        self =
            switch path {
            case "/": .hello
            case "/pid": .pid
            case "/slot": .slot
            case "/generation": .generation
            case "/build": .build
            case "/replace": .replace
            case "/slow": .slow(milliseconds: Self.number("ms=", in: query) ?? 100)
            case "/crash": .crash
            case "/exit": .exit(status: Self.number("code=", in: query) ?? 0)
            case "/hang": .hang
            case "/spin": .spin
            case "/eat": .eat(megabytes: Self.number("mb=", in: query) ?? 100)
            case "/fds": .fds
            case "/env": .env
            default: .unknown
            }
    }

    /// The value of the parameter. `prefix` is its name with an equals sign.
    private static func number(_ prefix: StaticString, in query: Bytes) -> Int? {
        for pair in query.split(separator: UInt8(ascii: "&")) where Bytes(rebasing: pair).starts(prefix) {
            return Bytes(rebasing: pair.dropFirst(prefix.utf8CodeUnitCount)).number(upTo: 1_000_000)
        }
        return nil
    }
}

/// The answers of this child.
struct Routes {
    /// The tests change the digit in copies of the program, so that builds can be told apart.
    private static let build = "hello-prefork build 0"

    let child: Prefork.Child
    let descriptorsAtStart: [CInt]

    /// The bytes of the answer. Some routes block this child, or end it.
    func answer(_ route: Route, closing: Bool, head: Bool) -> [UInt8] {
        if case .hello = route, !closing, !head { return Response.hello }
        let (status, body) =
            switch route {
            case .unknown: ("404 Not Found", "not found")
            default: ("200 OK", text(route))
            }
        return Response.encode(status, body, closing: closing, head: head)
    }

    private func text(_ route: Route) -> String {
        switch route {
        case .hello, .slow, .unknown: return "Hello world!"
        case .pid: return "\(Posix.pid)"
        case .slot: return "\(child.slot)"
        case .generation: return "\(child.generation)"
        case .build: return Self.build
        case .replace:
            child.requestReplacement()
            return "asked"
        case .crash: fatalError("asked to crash")
        case .exit(let status): Posix.leave(CInt(truncatingIfNeeded: status))
        case .eat(let megabytes):
            Posix.keepMemory(megabytes: megabytes)
            return "eaten"
        case .hang: while true { Posix.sleep(milliseconds: 1_000_000) }
        case .spin: while true {}
        case .fds: return descriptorsAtStart.map { "\($0)" }.joined(separator: "\n")
        case .env: return Posix.environment().joined(separator: "\n")
        }
    }
}
