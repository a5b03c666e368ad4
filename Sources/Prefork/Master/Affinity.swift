// How a fleet uses the processors: how many children by default, and which processor each child gets.

extension ProcessorCount {
    /// How many children a fleet has by default. It is at least one. A quota of 1.5 makes two, because one child would
    /// leave half a processor unused. Go rounds the same way since 1.25, but never below two.
    var allowed: Int {
        guard let quota else { return max(1, processors) }
        return max(1, min(processors, Int(min(quota.rounded(.up), 1e6))))
    }
}

/// One processor for each slot, out of those that this process may use. Slot 0 gets the first one. If there are more
/// slots than processors, slots share them in turn.
struct Affinity: Sendable {
    private let whole: ProcessorSet
    private let numbers: [Int]

    /// - Throws: an error if the system does not say which processors this process may use.
    init() throws(SystemError) { self.init(try .current()) }

    init(_ whole: ProcessorSet) {
        self.whole = whole
        numbers = whole.numbers
    }

    /// Calls `body` while this thread is restricted to the slot's processor. A child that it starts inherits the
    /// restriction (sched_setaffinity(2)). Other threads are not affected, and the master's thread has no other work to
    /// delay.
    /// - Parameter report: receives the error if the processor is no longer there. The child is started anyway.
    func withProcessor<Result>(ofSlot slot: Int, report: (SystemError) -> Void, _ body: () throws -> Result) rethrows
        -> Result
    {
        func attempt(_ processors: ProcessorSet) {
            do throws(SystemError) { try processors.apply() } catch { report(error) }
        }
        attempt(processors(of: slot))
        defer { attempt(whole) }
        return try body()
    }

    func processors(of slot: Int) -> ProcessorSet {
        numbers.isEmpty ? whole : ProcessorSet(numbers[slot % numbers.count])
    }
}
