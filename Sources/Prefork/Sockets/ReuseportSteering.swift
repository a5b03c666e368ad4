// Which sockets of a SO_REUSEPORT group get new connections: a classic BPF program (socket(7),
// SO_ATTACH_REUSEPORT_CBPF). It needs no privilege. The group numbers its sockets in the order of listen(2). When a
// socket leaves the group, the last one takes its number.

/// A program that returns the number of the socket for a new connection. If it returns a number that does not exist,
/// the kernel chooses as if there were no program.
struct ReuseportSteering: Equatable {
    private(set) var instructions: [FilterInstruction] = []

    private static let headerIPv4: Int32 = 20
    private static let headerIPv6: Int32 = 40
    /// The largest number of steps, of two instructions each. The rest of a program is a few dozen instructions. The
    /// kernel charges a program to the socket's net.core.optmem_max. The long-time default of 20,480 bytes has room for
    /// 847 of these steps.
    private static let mostSteps = 800

    /// Spreads connections evenly over `rotation`.
    /// - Parameters:
    ///   - rotation: ascending, not empty, out of 0..<count.
    ///   - count: the number of sockets.
    static func spread(over rotation: [Int], of count: Int) -> ReuseportSteering {
        var program = ReuseportSteering()
        program.spread(over: rotation, count)
        return program
    }

    /// Sends all connections to one socket.
    static func all(to index: Int) -> ReuseportSteering {
        var program = ReuseportSteering()
        program.finish(with: index)
        return program
    }

    /// Sends connections from each of these source ports to its own socket, and spreads all others.
    static func ports(
        _ ports: [(port: UInt16, index: Int)],
        othersOver rotation: [Int],
        of count: Int
    ) -> ReuseportSteering {
        var program = ReuseportSteering()
        program.loadSourcePort()
        for (port, index) in ports {
            program.add(.jumpIfEqual, UInt32(port), whenTrue: 0, whenFalse: 1)
            program.finish(with: index)
        }
        program.spread(over: rotation, count)
        return program
    }

    /// Replaces the program of the group that `descriptor` belongs to.
    func attach(to descriptor: CInt) throws(SystemError) {
        try PlatformListener.attach(instructions, to: descriptor)
    }

    private mutating func add(
        _ code: FilterInstruction.Code, _ operand: UInt32 = 0, whenTrue: UInt8 = 0, whenFalse: UInt8 = 0
    ) {
        instructions.append(FilterInstruction(code, operand, whenTrue: whenTrue, whenFalse: whenFalse))
    }

    private mutating func finish(with index: Int) { add(.returnConstant, UInt32(truncatingIfNeeded: index)) }

    private mutating func spread(over rotation: [Int], _ count: Int) {
        let isMember = rotation.reduce(into: [Bool](repeating: false, count: count)) { $0[$1] = true }
        let missing = (0..<count).filter { !isMember[$0] }
        // The kernel limits the length of a program (also by BPF_MAXINSNS, 4096), so this takes the shorter of two
        // forms. If a thousand slots are ready and as many are not, only the first of the ready ones get connections.
        guard min(missing.count, rotation.count) <= Self.mostSteps else {
            return spread(over: Array(rotation.prefix(Self.mostSteps)), count)
        }
        add(.loadWord, FilterInstruction.random)
        add(.modulo, UInt32(truncatingIfNeeded: rotation.count))
        if missing.count <= rotation.count {
            // The k-th member lies behind as many gaps as are below it. In ascending order each gap is counted once.
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

    /// An IPv6 socket may get IPv4 packets, too. Our own packets have no IP options, and so a header of this length. A
    /// packet with options comes from elsewhere. Misread, it matches one of our ports no more often than any other
    /// value.
    private mutating func loadSourcePort() {
        let network = FilterInstruction.network
        add(.loadByte, UInt32(bitPattern: network))
        add(.shiftRight, 4)
        add(.jumpIfEqual, 4, whenTrue: 0, whenFalse: 2)
        add(.loadHalf, UInt32(bitPattern: network + Self.headerIPv4))
        add(.jump, 1)
        add(.loadHalf, UInt32(bitPattern: network + Self.headerIPv6))
    }
}
