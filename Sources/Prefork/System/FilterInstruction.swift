/// An instruction of a classic BPF program: struct sock_filter of linux/filter.h. Jumps are relative to the next
/// instruction.
struct FilterInstruction: Equatable {
    /// Combinations of BPF_LD, BPF_ALU, BPF_JMP and BPF_RET in linux/bpf_common.h.
    enum Code: UInt16 {
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

    var code: UInt16
    var whenTrue: UInt8 = 0
    var whenFalse: UInt8 = 0
    var operand: UInt32 = 0

    /// SKF_AD_OFF + SKF_AD_RANDOM: loads a random number, a new one for each packet.
    static let random = UInt32(bitPattern: -0x1000 + 56)
    /// SKF_NET_OFF: loads from the IP header.
    static let network: Int32 = -0x10_0000

    init(_ code: Code, _ operand: UInt32 = 0, whenTrue: UInt8 = 0, whenFalse: UInt8 = 0) {
        self.code = code.rawValue
        self.whenTrue = whenTrue
        self.whenFalse = whenFalse
        self.operand = operand
    }
}
