// Accepts on the calling thread, serves each connection on its own thread, and drains when the child must exit.
import Prefork

final class Server: Sendable {
    /// Idle connections are closed this long after the start of a drain. A request may be on its way on them.
    private static let linger: Duration = .milliseconds(900)

    private let child: Prefork.Child
    private let connections = Connections()
    private let routes: Routes

    init(child: Prefork.Child, descriptorsAtStart: [CInt]) {
        self.child = child
        routes = Routes(child: child, descriptorsAtStart: descriptorsAtStart)
    }

    /// Returns when the drain has begun and the last connection is closed.
    func run() throws {
        var listeners: [CInt] = []
        for index in child.addresses.indices { listeners.append(try child.takeListener(at: index)) }
        child.ready()
        while !child.isStopping {
            Posix.waitForInput(listeners + [child.stopDescriptor], timeout: nil)
            acceptAll(listeners)
        }
        // Closing the last copy of the listener would reset the connections that the kernel has completed.
        acceptAll(listeners)
        for listener in listeners { Posix.close(listener) }
        connections.waitUntilEmpty()
    }

    private func acceptAll(_ listeners: [CInt]) {
        for listener in listeners {
            while let connection = Posix.accept(listener) {
                connections.enter()
                let started = Posix.startThread { [self] in
                    serve(connection)
                    Posix.close(connection)
                    connections.leave()
                }
                if !started {
                    Posix.close(connection)
                    connections.leave()
                }
            }
        }
    }

    private func serve(_ connection: CInt) {
        var input = RequestBuffer()
        var drainStart: Duration?
        while true {
            while let request = input.next() {
                let body = routes.answer(request)
                let isLast = !request.keepsAlive || child.isStopping
                guard Posix.sendAll(connection, Response.encode(body, closing: isLast, head: request.isHead)) else {
                    return
                }
                if isLast {
                    // Unread input at close(2) makes TCP send a reset, which may overtake the answer.
                    Posix.finishSending(connection, timeout: child.isStopping ? 250 : 0)
                    return
                }
            }
            if input.isBroken {
                _ = Posix.sendAll(connection, Response.encode(.badRequest, closing: true, head: false))
                return
            }
            if child.isStopping {
                let start = drainStart ?? Posix.now()
                drainStart = start
                let left = Self.linger - (Posix.now() - start)
                guard left > .zero, Posix.waitForInput([connection], timeout: left) else { return }
            } else {
                Posix.waitForInput([connection, child.stopDescriptor], timeout: nil)
            }
            switch Posix.receive(connection, into: &input.bytes) {
            case .received, .nothing: continue
            case .ended: return
            }
        }
    }
}

/// The answer for each path.
struct Routes: Sendable {
    /// The tests change the digit in copies of the program, so that builds can be told apart.
    private static let build = "hello-prefork build 0"

    let child: Prefork.Child
    let descriptorsAtStart: [CInt]

    func answer(_ request: Request) -> Answer {
        switch request.path {
        case "/": return .text("Hello world!")
        case "/pid": return .text("\(Posix.pid)")
        case "/slot": return .text("\(child.slot)")
        case "/generation": return .text("\(child.generation)")
        case "/build": return .text(Self.build)
        case "/slow":
            Posix.sleep(milliseconds: request.number("ms") ?? 100)
            return .text("Hello world!")
        case "/crash": fatalError("asked to crash")
        case "/exit": Posix.leave(CInt(truncatingIfNeeded: request.number("code") ?? 0))
        case "/eat":
            Posix.keepMemory(megabytes: request.number("mb") ?? 100)
            return .text("eaten")
        case "/replace":
            child.requestReplacement()
            return .text("asked")
        case "/hang": while true { Posix.sleep(milliseconds: 1_000_000) }
        case "/fds": return .text(descriptorsAtStart.map { "\($0)" }.joined(separator: "\n"))
        case "/env": return .text(Posix.environment().joined(separator: "\n"))
        default: return .notFound
        }
    }
}
