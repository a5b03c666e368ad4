// One processor for each child: what a child starts with is what the thread has that starts it (sched_setaffinity(2)).
import PreforkLibc

/// The processors that a thread may run on, as the kernel's mask.
struct ProcessorSet: Equatable, Sendable {
    /// For 8192 processors: EINVAL where the kernel's is larger, which no kernel's is.
    var words = [UInt64](repeating: 0, count: 128)

    init() {}

    init(_ number: Int) { words[number / 64] = 1 << UInt64(number % 64) }

    /// Ascending.
    var numbers: [Int] {
        words.indices.flatMap { index in
            (0..<64).filter { words[index] & (1 << UInt64($0)) != 0 }.map { index * 64 + $0 }
        }
    }
}

/// A processor for each slot, out of those that this process may use: slot 0 gets the first, and where there are more slots than
/// processors they begin anew.
struct Affinity: Sendable {
    private let whole: ProcessorSet
    private let numbers: [Int]

    #if os(Linux) || os(Android)
        /// - Throws: the error of a system that does not tell.
        init() throws(SystemError) { self.init(try HiddenSymbols.affinity()) }

        private static func run(on processors: ProcessorSet) throws(SystemError) {
            try HiddenSymbols.setAffinity(processors)
        }
    #else
        init() throws(SystemError) { throw SystemError(call: "sched_setaffinity", code: ENOSYS) }

        private static func run(on processors: ProcessorSet) throws(SystemError) {}
    #endif

    init(_ whole: ProcessorSet) {
        self.whole = whole
        numbers = whole.numbers
    }

    /// Calls `body` while this thread has the slot's processor, which a child that it starts then has; no other thread is touched.
    /// Nobody else's work runs in the master's thread, so nothing else is held on that processor meanwhile.
    /// - Parameter report: told of a processor that is gone by now, which is no reason not to serve.
    func withProcessor<Result>(ofSlot slot: Int, report: (SystemError) -> Void, _ body: () throws -> Result) rethrows
        -> Result
    {
        func attempt(_ processors: ProcessorSet) {
            do throws(SystemError) { try Self.run(on: processors) } catch { report(error) }
        }
        attempt(processors(of: slot))
        defer { attempt(whole) }
        return try body()
    }

    func processors(of slot: Int) -> ProcessorSet {
        numbers.isEmpty ? whole : ProcessorSet(numbers[slot % numbers.count])
    }
}
