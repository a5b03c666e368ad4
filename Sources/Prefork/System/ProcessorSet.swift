// Which processors a thread may use.
import PreforkLibc

/// A set of processors, as the kernel's affinity mask.
struct ProcessorSet: Equatable, Sendable {
    /// Room for 8192 processors. A kernel with a larger mask answers EINVAL. No kernel has one.
    var words = [UInt64](repeating: 0, count: 128)

    init() {}

    init(_ number: Int) { words[number / 64] = 1 << UInt64(number % 64) }

    /// The numbers of the processors, ascending.
    var numbers: [Int] {
        words.indices.flatMap { index in
            (0..<64).filter { words[index] & (1 << UInt64($0)) != 0 }.map { index * 64 + $0 }
        }
    }

    #if os(Linux) || os(Android)
        /// The processors that this thread may use.
        static func current() throws(SystemError) -> ProcessorSet { try HiddenSymbols.affinity() }

        /// Restricts this thread to these processors. Threads and processes that it starts afterwards inherit that.
        func apply() throws(SystemError) { try HiddenSymbols.setAffinity(self) }
    #else
        static func current() throws(SystemError) -> ProcessorSet {
            throw SystemError(call: "sched_getaffinity", code: ENOSYS)
        }

        func apply() throws(SystemError) { throw SystemError(call: "sched_setaffinity", code: ENOSYS) }
    #endif
}
