import Foundation

/// Answers the HTTP/1.1 requests of one connection, in the calling thread, until the client has no more or `stop` is
/// readable: `/` with `hello`, `/pid` with the process id, `/slow?ms=100` after that time, `/big?mb=1` with that much.
/// Requests have no bodies.
/// - Parameter count: Called before each answer.
public func answerRequests(on connection: Int32, until stop: Int32, count requests: () -> Void = {}) {
    let readable = Int16(POLLIN)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
        while let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
            let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
            bytes.removeSubrange(..<end.upperBound)
            let body = body(of: head.split(separator: " ").dropFirst().first ?? "/")
            var ends = [pollfd(fd: stop, events: readable, revents: 0)]
            let isLast = poll(&ends, 1, 0) > 0 || head.lowercased().contains("\r\nconnection: close")
            let answer =
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: \(body.utf8.count)\r\n"
                + (isLast ? "Connection: close\r\n\r\n" : "\r\n") + body
            requests()
            guard write(connection, answer, answer.utf8.count) == answer.utf8.count, !isLast else { return }
        }
        var wanted = [
            pollfd(fd: connection, events: readable, revents: 0), pollfd(fd: stop, events: readable, revents: 0),
        ]
        poll(&wanted, 2, -1)
        // A request that is on its way when the stop comes is answered; a silent client is let go.
        if wanted[0].revents == 0, wanted[1].revents != 0, poll(&wanted, 1, 100) == 0 { return }
        let count = read(connection, &buffer, buffer.count)
        guard count > 0, bytes.count < 65_536 else { return }
        bytes += buffer[..<count]
    }
}

private func body(of target: Substring) -> String {
    if target == "/pid" { return "\(getpid())\n" }
    if target.hasPrefix("/big?mb="), let megabytes = Int(target.dropFirst(8)), (0...64).contains(megabytes) {
        return String(repeating: "x", count: megabytes << 20)
    }
    guard target.hasPrefix("/slow?ms="), let pause = Int(target.dropFirst(9)), pause >= 0 else { return "hello\n" }
    Thread.sleep(forTimeInterval: Double(pause) / 1000)
    return "slow \(pause)\n"
}
