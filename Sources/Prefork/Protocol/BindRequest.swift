/// A child's request for the listener of an address that its program binds (takeover of bind(2)). The child sends it
/// over its channel with one end of a new pair of sockets (SCM_RIGHTS, unix(7)). The answer comes there.
struct BindRequest: Equatable, Sendable {
    /// The lengths that a `sockaddr` can have, in bytes.
    static let addressLengths = 3...128

    /// The address, as the program gave it to bind(2).
    var address: [UInt8]
    /// IPV6_V6ONLY of the program's socket.
    var isV6Only = false
    /// How often the process has bound this host with port 0 before.
    var ordinal: UInt16 = 0

    private static let v6OnlyFlag: UInt8 = 1

    var payload: [UInt8] {
        [isV6Only ? Self.v6OnlyFlag : 0, UInt8(truncatingIfNeeded: ordinal), UInt8(truncatingIfNeeded: ordinal >> 8)]
            + address
    }

    init(address: [UInt8], isV6Only: Bool = false, ordinal: UInt16 = 0) {
        self.address = address
        self.isV6Only = isV6Only
        self.ordinal = ordinal
    }

    /// `nil` if the payload is not a request. Unknown flags are ignored.
    init?(payload: ArraySlice<UInt8>) {
        let bytes = Array(payload)
        guard bytes.count > 3, Self.addressLengths ~= bytes.count - 3 else { return nil }
        isV6Only = bytes[0] & Self.v6OnlyFlag != 0
        ordinal = UInt16(bytes[1]) | UInt16(bytes[2]) << 8
        address = Array(bytes[3...])
    }
}

/// The master's answer to a `BindRequest`.
enum BindAnswer: Equatable, Sendable {
    /// The address is not the fleet's. The program binds it itself.
    case notTaken
    /// The listener comes with the answer.
    case listener
    /// The value of `errno` of the master's call.
    case failed(CInt)

    var bytes: [UInt8] {
        switch self {
        case .notTaken: [0, 0, 0, 0, 0]
        case .listener: [1, 0, 0, 0, 0]
        case .failed(let code): [2] + (0..<4).map { UInt8(truncatingIfNeeded: code >> ($0 * 8)) }
        }
    }

    /// `nil` if the bytes are not an answer.
    init?(bytes: [UInt8]) {
        guard bytes.count >= 5 else { return nil }
        switch bytes[0] {
        case 0: self = .notTaken
        case 1: self = .listener
        case 2: self = .failed(bytes[1..<5].reversed().reduce(0) { $0 << 8 | CInt($1) })
        default: return nil
        }
    }
}
