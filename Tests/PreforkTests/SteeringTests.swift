import Testing

@testable import Prefork

/// The kernel's interpreter of such programs (Documentation/networking/filter.rst), as far as Prefork's programs use
/// it.
private struct Machine {
    /// The IP header and the bytes after it.
    var packet: [UInt8] = []
    var random: UInt32 = 0

    /// The result of the program. `nil` if it is invalid.
    func run(_ program: ReuseportSteering) -> Int? {
        var accumulator: UInt32 = 0
        var position = 0
        while program.instructions.indices.contains(position) {
            let instruction = program.instructions[position]
            let operand = instruction.operand
            position += 1
            switch instruction.code {
            case 0x20:
                guard Int32(bitPattern: operand) == -0x1000 + 56 else { return nil }
                accumulator = random
            case 0x28, 0x30:
                let offset = Int(Int32(bitPattern: operand)) + 0x10_0000
                let size = instruction.code == 0x28 ? 2 : 1
                // A load outside of the packet ends the program with 0.
                guard offset >= 0, offset + size <= packet.count else { return 0 }
                accumulator = packet[offset..<offset + size].reduce(0) { $0 << 8 | UInt32($1) }
            case 0x04: accumulator &+= operand
            case 0x74: accumulator >>= operand
            case 0x94: accumulator %= operand
            case 0x05: position += Int(operand)
            case 0x15: position += Int(accumulator == operand ? instruction.whenTrue : instruction.whenFalse)
            case 0x35: position += Int(accumulator >= operand ? instruction.whenTrue : instruction.whenFalse)
            case 0x06: return Int(operand)
            case 0x16: return Int(accumulator)
            default: return nil
            }
        }
        return nil
    }

    static func packet(version: UInt8, sourcePort: UInt16) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: version == 4 ? 40 : 60)
        bytes[0] = version << 4 | 5
        let offset = version == 4 ? 20 : 40
        bytes[offset] = UInt8(sourcePort >> 8)
        bytes[offset + 1] = UInt8(truncatingIfNeeded: sourcePort)
        return bytes
    }
}

@Suite("Steering") struct SteeringTests {
    private static let rotations: [(rotation: SlotSet, count: Int)] = [
        ([0], 1), ([0, 1], 2), ([1], 2), ([0, 1, 2, 3], 4), ([0, 1, 3], 4), ([2], 4), ([3], 4), ([0, 3], 4),
        ([1, 2, 5, 6, 7], 8), (SlotSet(0..<4096), 4096), (SlotSet(1..<4095), 4096), ([0, 4095], 4096),
        (SlotSet(stride(from: 0, to: 600, by: 2)), 600), (SlotSet(stride(from: 1, to: 601, by: 2)), 601),
    ]

    @Test("gives each member the same share, and other sockets none", arguments: rotations)
    func spread(rotation: SlotSet, count: Int) {
        let program = ReuseportSteering.spread(over: rotation)
        // Each remainder twice, because the remainder of a random number decides.
        let hits = (0..<UInt32(rotation.count * 2)).map { Machine(random: $0).run(program) ?? -1 }
        #expect(hits == Array(rotation) + Array(rotation))
    }

    @Test("has a step for each gap between members, however long it is", arguments: rotations)
    func length(rotation: SlotSet, count: Int) {
        let program = ReuseportSteering.spread(over: rotation)
        let gaps = rotation.count { $0 > 0 && !rotation.contains($0 - 1) }
        #expect(program.instructions.count == 3 + 2 * gaps)
        #expect(gaps <= min(rotation.count, count - rotation.count))
    }

    @Test("is never longer than the kernel accepts") func limit() {
        for first in [0, 1] {
            let rotation = SlotSet(stride(from: first, to: 4096, by: 2))
            let program = ReuseportSteering.spread(over: rotation)
            #expect(program.instructions.count <= 4096)
            let hits = Set((0..<8192).map { Machine(random: $0).run(program) ?? -1 })
            #expect(hits.isSubset(of: rotation) && hits.count >= 800)
        }
    }

    @Test("sends all connections to one socket") func all() {
        for index in [0, 1, 4097] { #expect(Machine(random: 7).run(.all(to: index)) == index) }
    }

    @Test("sends certain source ports elsewhere, of IPv4 and IPv6") func ports() {
        let program = ReuseportSteering.ports(
            [(port: 40_000, index: 4), (port: 65_535, index: 5)], othersOver: [1, 3])
        for version: UInt8 in [4, 6] {
            func hit(_ port: UInt16, _ random: UInt32) -> Int? {
                Machine(packet: Machine.packet(version: version, sourcePort: port), random: random).run(program)
            }
            #expect(hit(40_000, 0) == 4)
            #expect(hit(40_000, 1) == 4)
            #expect(hit(65_535, 1) == 5)
            #expect([hit(40_001, 0), hit(40_001, 1), hit(39_999, 2), hit(0, 3)] == [1, 3, 1, 3])
        }
    }

    #if os(Linux)
        @Test("is a program that the kernel accepts", arguments: rotations)
        func isAccepted(rotation: SlotSet, count: Int) throws {
            let socket = try PlatformListener.makeSocket(family: 2)
            try PlatformListener.setReuseport(socket.raw)
            try SocketAddress.loopback(family: 2).bind(socket.raw, context: "test")
            try ReuseportSteering.spread(over: rotation).attach(to: socket.raw)
            try ReuseportSteering.all(to: count).attach(to: socket.raw)
            try ReuseportSteering.ports([(port: UInt16(1), index: count)], othersOver: rotation)
                .attach(to: socket.raw)
            try PlatformListener.detachProgram(from: socket.raw)
        }

        @Test("is refused on a socket that is not in a group") func isRefused() throws {
            let socket = try PlatformListener.makeSocket(family: 2)
            let error = failure { () throws(SystemError) in
                try ReuseportSteering.all(to: 0).attach(to: socket.raw)
            }
            #expect(error?.call == "setsockopt")
            #expect(error?.context == "SO_ATTACH_REUSEPORT_CBPF")
        }
    #endif
}
