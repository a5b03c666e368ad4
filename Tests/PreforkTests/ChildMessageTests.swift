import Testing

@testable import Prefork

private let begin = Instant(nanoseconds: 1_000_000_000_000)

private let samples: [ChildMessage] = [
    .replace, .beat,
    .ready(startCost: .zero, handover: 1), .ready(startCost: .nanoseconds(1), handover: 1),
    .ready(startCost: .milliseconds(1234), handover: 1),
    .ready(startCost: .nanoseconds(Int64.max), handover: 1),
    .cancelling(after: .zero), .cancelling(after: .seconds(4) + .nanoseconds(0x0102_0304)),
    .draining(.program),
    .draining(.signal(sender: 0, user: 0)), .draining(.signal(sender: 4711, user: 1000)),
    .draining(.signal(sender: .max, user: .max)), .draining(.signal(sender: -1, user: 0x0102_0304)),
]

/// A frame as an older or newer build may write it.
private func frame(_ type: UInt8, _ payload: [UInt8]) -> [UInt8] {
    [type, UInt8(payload.count % 256), UInt8(payload.count / 256)] + payload
}

@Suite("Child messages")
struct ChildMessageTests {
    private typealias Fault = ChildMessageReader.Fault

    private static func read(_ bytes: [UInt8]) throws(Fault) -> [ChildMessage] {
        var reader = ChildMessageReader()
        return try reader.read(bytes, at: begin)
    }

    private static func fault(_ bytes: [UInt8]) -> Fault? { failure { () throws(Fault) in try read(bytes) } }

    @Test("Each message comes back as it was", arguments: samples)
    func roundTrip(message: ChildMessage) throws {
        #expect(try Self.read(message.frame) == [message])
    }

    @Test("The bytes are the same for every build: type, length, payload, lower bytes first")
    func bytes() {
        #expect(
            ChildMessage.ready(startCost: .nanoseconds(0x0102), handover: 1).frame == [
                1, 10, 0, 2, 1, 0, 0, 0, 0, 0, 0, 1, 0,
            ])
        #expect(ChildMessage.draining(.program).frame == [2, 1, 0, 0])
        #expect(
            ChildMessage.draining(.signal(sender: 0x0403_0201, user: 5)).frame == [2, 9, 0, 1, 1, 2, 3, 4, 5, 0, 0, 0])
        #expect(ChildMessage.cancelling(after: .nanoseconds(3)).frame == [3, 8, 0, 3, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test("Durations that a frame cannot hold are clamped")
    func clamped() throws {
        #expect(
            try Self.read(ChildMessage.ready(startCost: .seconds(-1), handover: 1).frame) == [
                .ready(startCost: .zero, handover: 1)
            ])
        #expect(
            try Self.read(ChildMessage.ready(startCost: .seconds(Int64.max), handover: 1).frame)
                == [.ready(startCost: .nanoseconds(Int64.max), handover: 1)])
        #expect(
            try Self.read(frame(1, Array(repeating: 0xff, count: 8))) == [
                .ready(startCost: .nanoseconds(Int64.max), handover: 0)
            ])
    }

    @Test("Several messages may come at once, in order")
    func several() throws {
        #expect(try Self.read(samples.flatMap(\.frame)) == samples)
        #expect(try Self.read([]) == [])
    }

    @Test("A message may come in pieces, cut at any byte", arguments: 1...13)
    func pieces(size: Int) throws {
        var reader = ChildMessageReader()
        var rest = samples.flatMap(\.frame)[...]
        var messages: [ChildMessage] = []
        while !rest.isEmpty {
            messages += try reader.read(Array(rest.prefix(size)), at: begin)
            rest = rest.dropFirst(size)
        }
        #expect(messages == samples)
    }

    @Test("A message is not understood before its last byte")
    func incomplete() throws {
        var reader = ChildMessageReader()
        let bytes = ChildMessage.ready(startCost: .seconds(1), handover: 1).frame
        #expect(try reader.read(Array(bytes.dropLast()), at: begin) == [])
        #expect(
            try reader.read(Array(bytes.suffix(1)), at: begin + .seconds(100)) == [
                .ready(startCost: .seconds(1), handover: 1)
            ])
    }

    // MARK: Newer builds

    @Test("Types that this version does not know are skipped", arguments: [UInt8(0), 7, 82, 255])
    func unknownTypes(type: UInt8) throws {
        let ready = ChildMessage.ready(startCost: .zero, handover: 1)
        for length in [0, 1, 8, 300, ChildMessage.longestPayload] {
            // The payload would be frames itself.
            let payload = Array((0..<length).map { _ in ready.frame }.joined().prefix(length))
            #expect(try Self.read(ready.frame + frame(type, payload) + ready.frame) == [ready, ready])
        }
    }

    @Test("A payload may be longer than this version expects", arguments: samples)
    func longerPayloads(message: ChildMessage) throws {
        let bytes = message.frame
        let payload = Array(bytes.dropFirst(3))
        for extra in [1, 7, 256, ChildMessage.longestPayload - payload.count] {
            let longer = frame(bytes[0], payload + Array(repeating: 0xaa, count: extra))
            #expect(try Self.read(longer + bytes) == [message, message])
        }
    }

    @Test("A drain for a reason that only a newer version knows is still a drain")
    func unknownOrigin() throws {
        #expect(try Self.read(frame(2, [9])) == [.draining(.program)])
        #expect(try Self.read(frame(2, [2, 1, 2, 3])) == [.draining(.program)])
    }

    // MARK: Children that break the protocol

    @Test("A payload that is longer than any is refused by its length alone", arguments: [UInt8(0), 1, 2, 200])
    func tooLong(type: UInt8) {
        #expect(Self.fault([type, 1, 4]) == .tooLong(1025))
        #expect(Self.fault([type, 255, 255]) == .tooLong(65_535))
        #expect(Self.fault([type, 0, 4]) == nil)
        #expect(Fault.tooLong(1025).description == "a message of 1025 bytes")
    }

    @Test("A payload that is too short is malformed", arguments: [UInt8(1), 2, 3])
    func malformed(type: UInt8) {
        #expect(Self.fault(frame(type, [])) == .malformed(type: type))
        let short: [UInt8] = type == 2 ? [1, 0, 0, 0, 0, 0, 0, 0] : [0, 0, 0, 0, 0, 0, 0]
        #expect(Self.fault(frame(type, short)) == .malformed(type: type))
        #expect(Self.fault(frame(type, short + [0])) == nil)
        #expect(Fault.malformed(type: type).description == "a malformed message of type \(type)")
    }

    @Test("A drain by a signal without its sender is malformed")
    func shortSender() {
        for length in 0..<8 { #expect(Self.fault(frame(2, [1] + Array(repeating: 0, count: length))) != nil) }
    }

    @Test("More than 16384 bytes within a second are a flood, even if all of them are valid")
    func flood() throws {
        let most = ChildMessageReader.mostBytesPerSecond
        let message = ChildMessage.draining(.program)
        #expect(most % message.frame.count == 0)
        let bytes = Array(repeating: message.frame, count: most / message.frame.count).flatMap { $0 }
        #expect(try Self.read(bytes).count == bytes.count / message.frame.count)
        #expect(Self.fault(bytes + [0]) == .flood)
        #expect(Fault.flood.description == "more than 16384 bytes within a second")

        // The bytes come in pieces over nearly a second.
        var reader = ChildMessageReader()
        let piece = Array(bytes.prefix(most / 4))
        for number in 0..<4 { _ = try reader.read(piece, at: begin + .milliseconds(333 * number)) }
        let early = begin + .seconds(1) - .nanoseconds(1)
        #expect(failure { () throws(Fault) in try reader.read([0], at: early) } == .flood)
    }

    @Test("The same number of bytes every second is not a flood")
    func steady() throws {
        var reader = ChildMessageReader()
        let frame = ChildMessage.draining(.program).frame
        let count = ChildMessageReader.mostBytesPerSecond / frame.count
        let bytes = Array(repeating: frame, count: count).flatMap { $0 }
        for second in 0..<20 {
            #expect(try reader.read(bytes, at: begin + .seconds(second)).count == count)
        }
    }

    @Test("Any bytes are messages, nothing, or a fault", arguments: 0..<50)
    func noise(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var reader = ChildMessageReader()
        for second in 0..<200 {
            let count = Int.random(in: 0...512, using: &random)
            // Small numbers, so that many frames are nearly right.
            let bytes = (0..<count).map { _ in
                let isSmall = Bool.random(using: &random)
                return UInt8.random(in: 0...(isSmall ? 3 : 255), using: &random)
            }
            do throws(Fault) {
                // A frame has at least three bytes, and one may have been begun before.
                let messages = try reader.read(bytes, at: begin + .seconds(second))
                #expect(messages.count <= count / 3 + 1)
            } catch {
                reader = ChildMessageReader()
            }
        }
    }
}
