/// A set of slots, one bit for each, so that a large fleet takes a few words. Its elements come in ascending order.
struct SlotSet: Sequence, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
    private var words: [UInt64] = []
    private(set) var count = 0

    init(_ elements: some Sequence<Int>) {
        for element in elements { insert(element) }
    }

    init(arrayLiteral elements: Int...) { self.init(elements) }

    /// All slots of a fleet.
    init(_ slots: Range<Int>) {
        words = Array(repeating: ~0, count: (slots.upperBound + 63) / 64)
        count = words.count * 64
        self = prefix(below: slots.upperBound)
        for slot in 0..<slots.lowerBound { remove(slot) }
    }

    var isEmpty: Bool { count == 0 }
    var description: String { "\(Array(self))" }

    func contains(_ slot: Int) -> Bool {
        let (word, bit) = Self.place(slot)
        return words.indices.contains(word) && words[word] & bit != 0
    }

    /// - Returns: whether it was not there before.
    @discardableResult
    mutating func insert(_ slot: Int) -> Bool {
        let (word, bit) = Self.place(slot)
        while words.count <= word { words.append(0) }
        if words[word] & bit != 0 { return false }
        words[word] |= bit
        count += 1
        return true
    }

    mutating func remove(_ slot: Int) {
        guard contains(slot) else { return }
        let (word, bit) = Self.place(slot)
        words[word] &= ~bit
        count -= 1
    }

    mutating func formUnion(_ other: SlotSet) {
        while words.count < other.words.count { words.append(0) }
        for (index, word) in other.words.enumerated() { words[index] |= word }
        count = words.reduce(0) { $0 + $1.nonzeroBitCount }
    }

    /// The elements below a number.
    func prefix(below end: Int) -> SlotSet {
        let (word, bit) = Self.place(Swift.max(0, end))
        guard word < words.count else { return self }
        var result = self
        result.words.removeLast(words.count - word - 1)
        result.words[word] &= bit - 1
        result.count = result.words.reduce(0) { $0 + $1.nonzeroBitCount }
        return result
    }

    /// The lowest element that is not below a number.
    func first(from start: Int = 0) -> Int? {
        var (word, bit) = Self.place(start)
        while word < words.count {
            let rest = words[word] & ~(bit - 1)
            if rest != 0 { return word * 64 + rest.trailingZeroBitCount }
            (word, bit) = (word + 1, 1)
        }
        return nil
    }

    /// The lowest number that is not an element and not below this one.
    func firstMissing(from start: Int) -> Int {
        var (word, bit) = Self.place(start)
        while word < words.count {
            let rest = ~words[word] & ~(bit - 1)
            if rest != 0 { return word * 64 + rest.trailingZeroBitCount }
            (word, bit) = (word + 1, 1)
        }
        return Swift.max(start, words.count * 64)
    }

    /// The highest element.
    var last: Int? {
        guard let word = words.lastIndex(where: { $0 != 0 }) else { return nil }
        return word * 64 + 63 - words[word].leadingZeroBitCount
    }

    func makeIterator() -> Iterator { Iterator(set: self) }

    struct Iterator: IteratorProtocol {
        fileprivate let set: SlotSet
        private var start = 0

        fileprivate init(set: SlotSet) { self.set = set }

        mutating func next() -> Int? {
            guard let next = set.first(from: start) else { return nil }
            start = next + 1
            return next
        }
    }

    private static func place(_ slot: Int) -> (word: Int, bit: UInt64) { (slot / 64, 1 << UInt64(slot % 64)) }
}

extension SlotSet: Equatable {
    /// Sets of the same elements are equal, whatever the largest element was that they ever had.
    static func == (left: SlotSet, right: SlotSet) -> Bool {
        // If the words that both have are equal and the counts are, the rest is empty.
        left.count == right.count && zip(left.words, right.words).allSatisfy { $0 == $1 }
    }
}
