// The requests and the answers of the control socket.

/// One line of a client.
enum ControlRequest: Equatable, Sendable {
    case status
    case watch
    case restart
    case rollback
    case resize(to: Int)
    case recycle(slot: Int)
    case upgrade
    case stop

    /// - Parameter line: without its end.
    init(_ line: some Collection<UInt8>) throws(ControlError) {
        let words = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }
            .map { String(decoding: $0, as: UTF8.self) }
        let name = words.first ?? ""
        switch name {
        case "resize": self = .resize(to: try Self.argument(words, "a number of children", 1...4096))
        case "recycle": self = .recycle(slot: try Self.argument(words, "a slot", 0...4095))
        case "status": self = .status
        case "watch": self = .watch
        case "restart": self = .restart
        case "rollback": self = .rollback
        case "upgrade": self = .upgrade
        case "stop": self = .stop
        default: throw .unknownRequest
        }
        if words.count > 1, self.count == 1 {
            throw ControlError(.invalidArgument, "\(name) has no argument")
        }
    }

    /// The number of words.
    private var count: Int {
        switch self {
        case .resize, .recycle: 2
        default: 1
        }
    }

    private static func argument(
        _ words: [String], _ what: String, _ range: ClosedRange<Int>
    ) throws(ControlError) -> Int {
        guard words.count == 2, let number: Int = plainNumber(words[1]), range.contains(number) else {
            throw ControlError(
                .invalidArgument, "\(words[0]) needs \(what), \(range.lowerBound)...\(range.upperBound)")
        }
        return number
    }
}

/// Why a request has not been carried out.
struct ControlError: Error, Equatable, Sendable {
    /// Clients compare these names, so they stay.
    enum Code: String, Sendable {
        /// The first word of the line is not a request.
        case unknownRequest
        case invalidArgument
        /// There was no end of a line within the limit.
        case requestTooLong
        /// The request is part of the protocol, but this version cannot carry it out.
        /// The client's user is neither the master's nor root.
        case forbidden
        case tooManyClients
        /// The client has neither sent a request nor read its answer for a while.
        case idle
        /// The fleet stops.
        case stopping
        /// Another request has taken the place of this one.
        case superseded
        /// It was tried. The message says what went wrong.
        case failed
    }

    let code: Code
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    static let unknownRequest = ControlError(
        .unknownRequest,
        "requests are: status, watch, restart, rollback, resize N, recycle SLOT, upgrade, stop")

    var answer: [UInt8] {
        ControlAnswer.line([
            .init("ok", .bool(false)),
            .init("error", .object([.init("code", .string(code.rawValue)), .init("message", .string(message))])),
        ])
    }
}

enum ControlAnswer {
    /// The request has been carried out.
    static func success(_ members: [JSON.Member] = []) -> [UInt8] { line([.init("ok", .bool(true))] + members) }

    fileprivate static func line(_ members: [JSON.Member]) -> [UInt8] {
        JSON.object(members).bytes + [UInt8(ascii: "\n")]
    }
}
