// Which sockets of a SO_REUSEPORT group get new connections: a classic BPF program (socket(7),
// SO_ATTACH_REUSEPORT_CBPF). It needs no privilege. The group numbers its sockets in the order of listen(2). When a
// socket leaves the group, the last one takes its number.

/// A program that returns the number of the socket for a new connection. If it returns a number that does not exist,
/// the kernel chooses as if there were no program.
struct ReuseportSteering: Equatable {
    private(set) var instructions: [FilterInstruction] = []

    private static let headerIPv4: Int32 = 20
    private static let headerIPv6: Int32 = 40
    /// The largest number of gaps, of two instructions each. The rest of a program is a few dozen instructions. The
    /// kernel charges a program to the socket's net.core.optmem_max. The long-time default of 20,480 bytes has room for
    /// 847 gaps.
    private static let mostGaps = 800

    /// Spreads connections evenly over `rotation`.
    /// - Parameter rotation: the numbers of sockets, not empty.
    static func spread(over rotation: SlotSet) -> ReuseportSteering {
        var program = ReuseportSteering()
        program.finish(over: rotation)
        return program
    }

    /// Sends all connections to one socket.
    static func all(to index: Int) -> ReuseportSteering {
        var program = ReuseportSteering()
        program.finish(with: index)
        return program
    }

    /// Sends connections from each of these source ports to its own socket, and spreads all others.
    static func ports(_ ports: [(port: UInt16, index: Int)], othersOver rotation: SlotSet) -> ReuseportSteering {
        var program = ReuseportSteering()
        program.loadSourcePort()
        for (port, index) in ports {
            program.add(.jumpIfEqual, UInt32(port), whenTrue: 0, whenFalse: 1)
            program.finish(with: index)
        }
        program.finish(over: rotation)
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

    private mutating func finish(over rotation: SlotSet) {
        // The numbers that are missing, up to the last member. The kernel's compiler takes 0.2 µs for each gap, so a
        // gap of many numbers is one step.
        var gaps: [Range<Int>] = []
        var end = 0
        while let member = rotation.first(from: end) {
            if member > end { gaps.append(end..<member) }
            end = rotation.firstMissing(from: member)
        }
        // The kernel limits the length of a program (also by BPF_MAXINSNS, 4096). If a thousand slots are ready and
        // each of their neighbours is not, only the first of the ready ones get connections.
        var members = rotation
        if gaps.count > Self.mostGaps {
            members = rotation.prefix(below: gaps[Self.mostGaps].lowerBound)
            gaps.removeSubrange(Self.mostGaps...)
        }
        add(.loadWord, FilterInstruction.random)
        add(.modulo, UInt32(truncatingIfNeeded: members.count))
        // The k-th member lies behind the gaps that are below it. In ascending order each gap is counted once.
        for gap in gaps {
            add(.jumpIfAtLeast, UInt32(truncatingIfNeeded: gap.lowerBound), whenTrue: 0, whenFalse: 1)
            add(.add, UInt32(truncatingIfNeeded: gap.count))
        }
        add(.returnAccumulator)
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
