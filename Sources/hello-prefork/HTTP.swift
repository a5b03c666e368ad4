// As much of HTTP/1.1 (RFC 9112) as a demonstration needs.

typealias Bytes = UnsafeBufferPointer<UInt8>

/// The head of a request.
struct Request {
    static let largestHead = 16_384
    static let largestBody = 1_048_576

    let route: Route
    let isHead: Bool
    private(set) var keepsAlive: Bool
    private(set) var bodyLength = 0

    enum Parsed {
        /// `length` bytes are the head with its empty line. The body follows.
        case request(Request, length: Int)
        case incomplete
        case invalid
    }

    /// The first request in the bytes.
    static func parse(_ bytes: Bytes) -> Parsed {
        var lines = Lines(bytes: Bytes(rebasing: bytes.prefix(largestHead)))
        let undecided = bytes.count < largestHead ? Parsed.incomplete : .invalid
        // RFC 9112, 2.2: clients may send empty lines before a request.
        var line = lines.next()
        while let found = line, found.isEmpty { line = lines.next() }
        guard let line else { return undecided }
        guard var request = Request(line: line) else { return .invalid }
        while let field = lines.next() {
            if field.isEmpty { return .request(request, length: lines.position) }
            guard request.apply(field) else { return .invalid }
        }
        return undecided
    }

    /// METHOD SP TARGET SP HTTP/1.x
    private init?(line: Bytes) {
        guard let first = line.firstIndex(of: .space), let last = line.lastIndex(of: .space) else { return nil }
        let method = line.slice(0, first)
        let target = line.slice(first + 1, max(first + 1, last))
        let version = line.slice(last + 1, line.count)
        guard !method.isEmpty, !target.isEmpty, !target.contains(.space), version.count == 8, version.starts("HTTP/1.")
        else { return nil }
        let mark = target.firstIndex(of: UInt8(ascii: "?")) ?? target.count
        route = Route(path: target.slice(0, mark), query: target.slice(min(mark + 1, target.count), target.count))
        isHead = method.equals("HEAD")
        keepsAlive = !version.equals("HTTP/1.0")
    }

    /// - Returns: false if the request cannot be served.
    private mutating func apply(_ field: Bytes) -> Bool {
        guard let colon = field.firstIndex(of: UInt8(ascii: ":")) else { return false }
        let name = field.slice(0, colon)
        let value = field.slice(colon + 1, field.count)
        switch name.count {
        case 10 where name.equalsIgnoringCase("connection"):
            for option in value.split(separator: UInt8(ascii: ",")) {
                let option = Bytes(rebasing: option).trimmed
                if option.equalsIgnoringCase("close") { keepsAlive = false }
                if option.equalsIgnoringCase("keep-alive") { keepsAlive = true }
            }
        case 14 where name.equalsIgnoringCase("content-length"):
            guard let length = value.trimmed.number(upTo: Self.largestBody) else { return false }
            bodyLength = length
        case 17 where name.equalsIgnoringCase("transfer-encoding"):
            return false
        default: break
        }
        return true
    }
}

/// The lines of a head, without their ends.
private struct Lines {
    let bytes: Bytes
    private(set) var position = 0

    init(bytes: Bytes) { self.bytes = bytes }

    /// `nil` if there is no further whole line.
    mutating func next() -> Bytes? {
        guard let end = Posix.find(.newline, in: bytes, from: position) else { return nil }
        let start = position
        position = end + 1
        return bytes.slice(start, end > start && bytes[end - 1] == .carriageReturn ? end - 1 : end)
    }
}

enum Response {
    /// The answer to `GET /` on a connection that stays open.
    static let hello = encode("200 OK", "Hello world!", closing: false, head: false)

    static func encode(_ status: String, _ body: String, closing: Bool, head: Bool) -> [UInt8] {
        let text = """
            HTTP/1.1 \(status)\r
            Content-Type: text/plain\r
            Content-Length: \(body.utf8.count)\r
            \(closing ? "Connection: close\r\n" : "")\r\n
            """
        return Array(text.utf8) + (head ? [] : Array(body.utf8))
    }
}

extension UInt8 {
    fileprivate static let space = UInt8(ascii: " ")
    fileprivate static let newline: UInt8 = 10
    fileprivate static let carriageReturn: UInt8 = 13
}

extension Bytes {
    fileprivate func slice(_ start: Int, _ end: Int) -> Bytes { Bytes(rebasing: self[start..<end]) }

    fileprivate var trimmed: Bytes {
        var (start, end) = (0, count)
        while start < end, self[start] == .space || self[start] == 9 { start += 1 }
        while start < end, self[end - 1] == .space || self[end - 1] == 9 { end -= 1 }
        return slice(start, end)
    }

    func starts(_ text: StaticString) -> Bool {
        count >= text.utf8CodeUnitCount && slice(0, text.utf8CodeUnitCount).equals(text)
    }

    func equals(_ text: StaticString) -> Bool {
        elementsEqual(Bytes(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// - Parameter text: in lower case.
    fileprivate func equalsIgnoringCase(_ text: StaticString) -> Bool {
        elementsEqual(Bytes(start: text.utf8Start, count: text.utf8CodeUnitCount)) { byte, expected in
            (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 == expected : byte == expected
        }
    }

    /// Decimal digits and nothing else, with a value of at most `limit`.
    func number(upTo limit: Int) -> Int? {
        var value = 0
        for byte in self {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), value <= limit else { return nil }
            value = 10 * value + Int(byte - UInt8(ascii: "0"))
        }
        return isEmpty || value > limit ? nil : value
    }
}

/// Lets a `switch` compare bytes with literals.
func ~= (text: StaticString, bytes: Bytes) -> Bool { bytes.equals(text) }
