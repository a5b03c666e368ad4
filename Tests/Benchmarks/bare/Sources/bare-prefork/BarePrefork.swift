// The cost of pre-forking without a library. A parent listens and starts itself CHILDREN times with the listener as
// descriptor 3. Then it starts itself once more for each byte on standard input, or, with `respawn`, for each child
// that has ended. Each child answers every request with its process id.
import Glibc

@main enum BarePrefork {
    static func main() {
        let arguments = CommandLine.arguments
        if arguments == [arguments[0], "child"] { Child.serve() }
        guard arguments.count > 1, let count = Int(arguments[1]), count >= 0 else {
            say("usage: bare-prefork CHILDREN [respawn]")
            exit(64)
        }
        let listener = Parent.listen()
        for _ in 0..<count { Parent.spawn(listener) }
        if arguments.last == "respawn" {
            while waitpid(-1, nil, 0) > 0 { Parent.spawn(listener) }
        }
        var byte: UInt8 = 0
        while read(0, &byte, 1) == 1 { Parent.spawn(listener) }
    }
}

enum Parent {
    /// On a free port of 127.0.0.1, which it tells as Prefork's log does.
    static func listen() -> CInt {
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let listener = check("socket", socket(AF_INET, type, 0))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                check("bind", bind(listener, address, length))
                check("listen", Glibc.listen(listener, 1024))
                check("getsockname", getsockname(listener, address, &length))
            }
        }
        say("listening on 127.0.0.1:\(UInt16(bigEndian: address.sin_port))")
        return listener
    }

    static func spawn(_ listener: CInt) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Clears close-on-exec even if the listener is 3 already.
        posix_spawn_file_actions_adddup2(&actions, listener, Child.listener)
        var arguments = [strdup("bare-prefork"), strdup("child"), nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, "/proc/self/exe", &actions, nil, &arguments, environ)
        if code != 0 {
            errno = code
            check("posix_spawn", -1)
        }
    }
}

enum Child {
    static let listener: CInt = 3

    static func serve() -> Never {
        let pid = "\(getpid())"
        let answer = Array(
            "HTTP/1.1 200 OK\r\nContent-Length: \(pid.utf8.count)\r\nConnection: close\r\n\r\n\(pid)".utf8
        )
        while true {
            let connection = check("accept", accept(listener, nil, nil))
            if hasRequest(connection) { send(connection, answer, answer.count, CInt(MSG_NOSIGNAL)) }
            close(connection)
        }
    }

    /// Reads to the empty line behind the head: unread input at close(2) would reset the connection.
    private static func hasRequest(_ connection: CInt) -> Bool {
        var head: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1024)
        while !head.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return false }
            head += buffer.prefix(count)
        }
        return true
    }
}

private func say(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    _ = write(2, bytes, bytes.count)
}

@discardableResult
private func check(_ call: String, _ result: CInt) -> CInt {
    if result < 0 {
        say("\(call) failed: error \(errno)")
        exit(1)
    }
    return result
}
