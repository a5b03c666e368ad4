/// A message from a child to its master over their channel.
///
/// A message is a frame: its type (1 byte), the length of its payload (2 bytes, the lower one first), the payload. A
/// reader skips unknown types and extra bytes at the end of a payload, so that an old master understands the children
/// of a newer build.
enum ChildMessage: Equatable, Sendable {
    /// The child serves. `startCost` is the processor time that it has used so far, `handover` the version of
    /// `Handover` that its build reads. 0 if it reads none.
    case ready(startCost: Duration, handover: Int)
    /// The child has begun to drain.
    case draining(Prefork.DrainOrigin)
    /// The end of the grace period is near: the child cancels `serve` after it has drained for this long.
    case cancelling(after: Duration)
    /// The child asks to be replaced.
    case replace
    /// The child's program responds.
    case beat
    /// The program binds an address. A descriptor for the answer comes with the message.
    case bind(BindRequest)

    /// The longest payload of any version.
    static let longestPayload = 1024

    fileprivate enum Kind: UInt8 {
        case ready = 1
        case draining = 2
        case cancelling = 3
        case bind = 4
        case replace = 5
        case beat = 6
    }

    fileprivate enum Origin: UInt8 {
        case program = 0
        case signal = 1
    }

    /// The bytes of the message.
    var frame: [UInt8] {
        switch self {
        case .ready(let cost, let version):
            Self.frame(.ready, Self.bytes(cost) + Self.bytes(UInt16(clamping: version)))
        case .cancelling(let drained): Self.frame(.cancelling, Self.bytes(drained))
        case .draining(let origin): Self.frame(.draining, Self.bytes(origin))
        case .bind(let request): Self.frame(.bind, request.payload)
        case .replace: Self.frame(.replace, [])
        case .beat: Self.frame(.beat, [])
        }
    }

    private static func frame(_ kind: Kind, _ payload: [UInt8]) -> [UInt8] {
        [kind.rawValue] + bytes(UInt16(truncatingIfNeeded: payload.count)) + payload
    }

    private static func bytes(_ origin: Prefork.DrainOrigin) -> [UInt8] {
        guard case .signal(let sender, let user) = origin.payload else { return [Origin.program.rawValue] }
        return [Origin.signal.rawValue] + bytes(UInt32(bitPattern: sender)) + bytes(user)
    }

    /// The duration in nanoseconds.
    private static func bytes(_ duration: Duration) -> [UInt8] {
        bytes(UInt64(clamping: max(.zero, duration).clampedNanoseconds))
    }

    /// The bytes of a number, the lowest first.
    private static func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        (0..<(Number.bitWidth / 8)).map { UInt8(truncatingIfNeeded: number >> Number(truncatingIfNeeded: $0 * 8)) }
    }
}

/// Assembles the bytes of a channel into messages, and notices a child that breaks the protocol.
struct ChildMessageReader: Sendable {
    /// A child that sends more than this within a second floods its channel. A message has about ten bytes. Requests to
    /// bind do not count, because a thread sends one only after the answer to the one before.
    static let mostBytesPerSecond = 16_384

    /// A violation of the protocol by a child.
    enum Fault: Error, Equatable, CustomStringConvertible {
        case flood
        case tooLong(Int)
        case malformed(type: UInt8)
        /// A descriptor came without a message that needs it, or the message came without it.
        case descriptors

        var description: String {
            switch self {
            case .flood: "more than \(ChildMessageReader.mostBytesPerSecond) bytes within a second"
            case .tooLong(let length): "a message of \(length) bytes"
            case .malformed(let type): "a malformed message of type \(type)"
            case .descriptors: "descriptors that belong to no message"
            }
        }
    }

    /// The part of a message that has come so far.
    private(set) var buffer: [UInt8] = []
    private var secondBegan: Instant?
    private var bytesInSecond = 0

    /// - Parameter buffer: the part of a message that another reader has read.
    init(continuing buffer: [UInt8] = []) { self.buffer = buffer }

    /// Takes the bytes that have come and returns the messages that are complete.
    mutating func read(_ bytes: [UInt8], at now: Instant) throws(Fault) -> [ChildMessage] {
        if let secondBegan, now - secondBegan < .seconds(1) {
            bytesInSecond += bytes.count
        } else {
            (secondBegan, bytesInSecond) = (now, bytes.count)
        }
        guard bytesInSecond <= Self.mostBytesPerSecond else { throw .flood }
        buffer += bytes
        var messages: [ChildMessage] = []
        while let (type, payload) = try nextFrame() {
            if type == ChildMessage.Kind.bind.rawValue { bytesInSecond -= min(bytesInSecond, 3 + payload.count) }
            if let message = try Self.decode(type, payload) { messages.append(message) }
        }
        return messages
    }

    private mutating func nextFrame() throws(Fault) -> (type: UInt8, payload: ArraySlice<UInt8>)? {
        guard buffer.count >= 3 else { return nil }
        let length = Int(buffer[1]) | Int(buffer[2]) << 8
        guard length <= ChildMessage.longestPayload else { throw .tooLong(length) }
        guard buffer.count >= 3 + length else { return nil }
        let frame = (buffer[0], buffer[3..<(3 + length)])
        buffer.removeFirst(3 + length)
        return frame
    }

    /// - Returns: `nil` for a type that this version does not know.
    private static func decode(_ type: UInt8, _ payload: ArraySlice<UInt8>) throws(Fault) -> ChildMessage? {
        switch ChildMessage.Kind(rawValue: type) {
        case nil: return nil
        case .replace: return .replace
        case .beat: return .beat
        case .ready:
            // A build from before handovers ends here.
            let version = number(payload.dropFirst(8), UInt16.self) ?? 0
            return .ready(startCost: try duration(payload, type), handover: Int(version))
        case .cancelling: return .cancelling(after: try duration(payload, type))
        case .bind:
            guard let request = BindRequest(payload: payload) else { throw .malformed(type: type) }
            return .bind(request)
        case .draining:
            guard let first = payload.first else { throw .malformed(type: type) }
            // An origin that only a newer version knows is still a drain.
            guard ChildMessage.Origin(rawValue: first) == .signal else { return .draining(.program) }
            guard let sender = number(payload.dropFirst(), UInt32.self),
                let user = number(payload.dropFirst(5), UInt32.self)
            else { throw .malformed(type: type) }
            return .draining(.signal(sender: Int32(bitPattern: sender), user: user))
        }
    }

    private static func duration(_ payload: ArraySlice<UInt8>, _ type: UInt8) throws(Fault) -> Duration {
        guard let nanoseconds = number(payload, UInt64.self) else { throw .malformed(type: type) }
        return .nanoseconds(Int64(clamping: nanoseconds))
    }

    private static func number<Number: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>, _: Number.Type) -> Number? {
        let count = Number.bitWidth / 8
        guard bytes.count >= count else { return nil }
        return bytes.prefix(count).reversed().reduce(0) { $0 << 8 | Number($1) }
    }
}
