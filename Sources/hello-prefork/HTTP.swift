// As much of HTTP/1.1 (RFC 9112) as a demonstration needs.

struct Request {
    let path: String
    let query: Substring
    let isHead: Bool
    let keepsAlive: Bool

    /// The value of `name=NUMBER` in the query.
    func number(_ name: String) -> Int? {
        for pair in query.split(separator: "&") where pair.hasPrefix("\(name)=") {
            return Int(pair.dropFirst(name.count + 1)).flatMap { $0 >= 0 && $0 <= 1_000_000 ? $0 : nil }
        }
        return nil
    }
}

enum Answer {
    case text(String)
    case notFound
    case badRequest
}

/// The bytes that have arrived on a connection and are not answered yet.
struct RequestBuffer {
    private static let largestHead = 16_384

    var bytes: [UInt8] = []
    private(set) var isBroken = false

    /// The next whole request, without its body. `nil` until it has arrived.
    mutating func next() -> Request? {
        guard !isBroken, let end = endOfHead() else {
            if bytes.count > Self.largestHead { isBroken = true }
            return nil
        }
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
        let words = (lines.first ?? "").split(separator: " ")
        guard words.count == 3, words[2].hasPrefix("HTTP/1.") else {
            isBroken = true
            return nil
        }
        var keepsAlive = words[2] != "HTTP/1.0"
        var bodyLength = 0
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let name = line[..<colon].lowercased()
            let value = line[line.index(after: colon)...].drop { $0 == " " }.lowercased()
            if name == "connection" { keepsAlive = value == "close" ? false : value == "keep-alive" || keepsAlive }
            if name == "content-length" { bodyLength = Int(value) ?? -1 }
            if name == "transfer-encoding" { bodyLength = -1 }
        }
        guard (0...1_048_576).contains(bodyLength) else {
            isBroken = true
            return nil
        }
        guard bytes.count >= end + 4 + bodyLength else { return nil }
        bytes.removeFirst(end + 4 + bodyLength)
        let target = words[1].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        return Request(
            path: String(target[0]),
            query: target.count == 2 ? target[1] : "",
            isHead: words[0] == "HEAD",
            keepsAlive: keepsAlive
        )
    }

    /// The position of the empty line.
    private func endOfHead() -> Int? {
        guard bytes.count >= 4 else { return nil }
        return (0...(bytes.count - 4)).first {
            bytes[$0] == 13 && bytes[$0 + 1] == 10 && bytes[$0 + 2] == 13 && bytes[$0 + 3] == 10
        }
    }
}

enum Response {
    static func encode(_ answer: Answer, closing: Bool, head: Bool) -> [UInt8] {
        let (status, body) =
            switch answer {
            case .text(let text): ("200 OK", text)
            case .notFound: ("404 Not Found", "not found")
            case .badRequest: ("400 Bad Request", "bad request")
            }
        let text = """
            HTTP/1.1 \(status)\r
            Content-Type: text/plain\r
            Content-Length: \(body.utf8.count)\r
            \(closing ? "Connection: close\r\n" : "")\r\n
            """
        return Array(text.utf8) + (head ? [] : Array(body.utf8))
    }
}
