// Which sockets of a SO_REUSEPORT group get new connections: a classic BPF program, as socket(7) describes it under
// SO_ATTACH_REUSEPORT_CBPF. It needs no privilege. The group numbers its sockets in the order of listen(2); when one of
// them leaves, the last takes its number.
import PreforkLibc

/// A program that returns the number of the socket that gets the connection. A number that there is not means: as without
/// a program.
struct SteeringProgram: Equatable {
    /// struct sock_filter of linux/filter.h; the jumps are relative to the next instruction.
    struct Instruction: Equatable {
        var code: UInt16
        var whenTrue: UInt8 = 0
        var whenFalse: UInt8 = 0
        var operand: UInt32 = 0
    }

    private(set) var instructions: [Instruction] = []

    /// Evenly over `rotation`, ascending and not empty, out of the sockets 0..<count.
    static func spread(over rotation: [Int], of count: Int) -> SteeringProgram {
        var program = SteeringProgram()
        program.spread(over: rotation, count)
        return program
    }

    /// All to one.
    static func all(to index: Int) -> SteeringProgram {
        var program = SteeringProgram()
        program.finish(with: index)
        return program
    }

    /// Connections from these source ports each to its own socket, all others as `spread`.
    static func ports(
        _ ports: [(port: UInt16, index: Int)],
        othersOver rotation: [Int],
        of count: Int
    ) -> SteeringProgram {
        var program = SteeringProgram()
        program.loadSourcePort()
        for (port, index) in ports {
            program.add(.jumpIfEqual, UInt32(port), whenTrue: 0, whenFalse: 1)
            program.finish(with: index)
        }
        program.spread(over: rotation, count)
        return program
    }

    /// Of BPF_LD, BPF_ALU, BPF_JMP and BPF_RET in linux/bpf_common.h.
    private enum Code: UInt16 {
        case loadWord = 0x20
        case loadHalf = 0x28
        case loadByte = 0x30
        case add = 0x04
        case shiftRight = 0x74
        case modulo = 0x94
        case jump = 0x05
        case jumpIfEqual = 0x15
        case jumpIfAtLeast = 0x35
        case returnConstant = 0x06
        case returnAccumulator = 0x16
    }

    /// SKF_AD_OFF + SKF_AD_RANDOM: a random number, another for each connection.
    private static let random = UInt32(bitPattern: -0x1000 + 56)
    /// SKF_NET_OFF: the IP header.
    private static let network: Int32 = -0x10_0000
    private static let headerIPv4: Int32 = 20
    private static let headerIPv6: Int32 = 40
    /// Of two instructions each; the rest of a program is a few dozen. The kernel charges a program to the socket's
    /// net.core.optmem_max: with 20,480 bytes, as it was long the default, it took no more than 847 of these steps.
    private static let mostSteps = 800

    private mutating func add(_ code: Code, _ operand: UInt32 = 0, whenTrue: UInt8 = 0, whenFalse: UInt8 = 0) {
        instructions.append(
            Instruction(code: code.rawValue, whenTrue: whenTrue, whenFalse: whenFalse, operand: operand))
    }

    private mutating func finish(with index: Int) { add(.returnConstant, UInt32(truncatingIfNeeded: index)) }

    private mutating func spread(over rotation: [Int], _ count: Int) {
        let isMember = rotation.reduce(into: [Bool](repeating: false, count: count)) { $0[$1] = true }
        let missing = (0..<count).filter { !isMember[$0] }
        // The kernel limits a program's length (also by BPF_MAXINSNS, 4096): the shorter of two ways. Of a thousand that are
        // ready beside as many that are not, the first get all.
        guard min(missing.count, rotation.count) <= Self.mostSteps else {
            return spread(over: Array(rotation.prefix(Self.mostSteps)), count)
        }
        add(.loadWord, Self.random)
        add(.modulo, UInt32(truncatingIfNeeded: rotation.count))
        if missing.count <= rotation.count {
            // The k-th member lies behind as many gaps as there are below it; in ascending order each is counted once.
            for gap in missing {
                add(.jumpIfAtLeast, UInt32(truncatingIfNeeded: gap), whenTrue: 0, whenFalse: 1)
                add(.add, 1)
            }
            add(.returnAccumulator)
        } else {
            for (number, index) in rotation.enumerated().dropLast() {
                add(.jumpIfEqual, UInt32(truncatingIfNeeded: number), whenTrue: 0, whenFalse: 1)
                finish(with: index)
            }
            finish(with: rotation.last ?? 0)
        }
    }

    /// A socket of IPv6 may get IPv4 packets, too. Ours have no options, and so no other length of the header; what has, is a
    /// stranger's, and its chance to look like ours is that of any other.
    private mutating func loadSourcePort() {
        add(.loadByte, UInt32(bitPattern: Self.network))
        add(.shiftRight, 4)
        add(.jumpIfEqual, 4, whenTrue: 0, whenFalse: 2)
        add(.loadHalf, UInt32(bitPattern: Self.network + Self.headerIPv4))
        add(.jump, 1)
        add(.loadHalf, UInt32(bitPattern: Self.network + Self.headerIPv6))
    }
}

extension PlatformListener {
    #if os(Linux) || os(Android)
        private static let attachOption: CInt = 51  // SO_ATTACH_REUSEPORT_CBPF
        private static let detachOption: CInt = 68  // SO_DETACH_REUSEPORT_BPF

        /// struct sock_fprog of linux/filter.h.
        private struct Filter {
            var length: UInt16
            var instructions: UnsafeRawPointer?
        }

        /// Replaces the program of the whole group that `descriptor` is in, at once: each connection is steered by the old
        /// program or by the new one. Linux 4.6 for TCP.
        static func attach(_ program: SteeringProgram, to descriptor: CInt) throws(SystemError) {
            guard let length = UInt16(exactly: program.instructions.count) else {
                throw SystemError(call: "setsockopt", code: EMSGSIZE, context: "SO_ATTACH_REUSEPORT_CBPF")
            }
            _ = try System.call("setsockopt", "SO_ATTACH_REUSEPORT_CBPF") {
                program.instructions.withUnsafeBytes { bytes in
                    var filter = Filter(length: length, instructions: bytes.baseAddress)
                    return setsockopt(
                        descriptor, SOL_SOCKET, attachOption, &filter, socklen_t(MemoryLayout<Filter>.size))
                }
            }
        }

        /// Back to plain hashing. Linux 5.3.
        static func detachProgram(from descriptor: CInt) throws(SystemError) {
            var value: CInt = 0
            _ = try System.call("setsockopt", "SO_DETACH_REUSEPORT_BPF") {
                setsockopt(descriptor, SOL_SOCKET, detachOption, &value, socklen_t(MemoryLayout<CInt>.size))
            }
        }
    #else
        static func attach(_ program: SteeringProgram, to descriptor: CInt) throws(SystemError) {
            throw SystemError(call: "setsockopt", code: ENOPROTOOPT, context: "SO_ATTACH_REUSEPORT_CBPF")
        }

        static func detachProgram(from descriptor: CInt) throws(SystemError) {
            throw SystemError(call: "setsockopt", code: ENOPROTOOPT, context: "SO_DETACH_REUSEPORT_BPF")
        }
    #endif
}
