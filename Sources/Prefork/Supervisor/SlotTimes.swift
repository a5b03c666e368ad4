/// A time for each slot, or none. It finds the earliest without a look at the others.
struct SlotTimes {
    /// A binary tree. Each node has the earliest of the times below it. The root is number 1, and the children of `n`
    /// are `2 * n` and `2 * n + 1`.
    private var tree: [Instant?] = [nil, nil]
    /// How many slots there is room for. It is a power of two, and slot 0 is the node of this number.
    private var capacity = 1

    /// The earliest of all times.
    var earliest: Instant? { tree[1] }

    subscript(slot: Int) -> Instant? { slot < capacity ? tree[capacity + slot] : nil }

    mutating func set(_ slot: Int, _ time: Instant?) {
        if self[slot] == time { return }
        while slot >= capacity { grow() }
        var node = capacity + slot
        tree[node] = time
        while node > 1 {
            node /= 2
            let earlier = Self.earlier(tree[2 * node], tree[2 * node + 1])
            if tree[node] == earlier { return }
            tree[node] = earlier
        }
    }

    /// The slot with the earliest time, and of several the lowest.
    var first: Int? {
        guard let earliest else { return nil }
        var node = 1
        while node < capacity { node = tree[2 * node] == earliest ? 2 * node : 2 * node + 1 }
        return node - capacity
    }

    /// The slots whose time has come, in ascending order.
    func due(at now: Instant) -> [Int] {
        var slots: [Int] = []
        collect(1, now, &slots)
        return slots
    }

    private func collect(_ node: Int, _ now: Instant, _ slots: inout [Int]) {
        guard let time = tree[node], time <= now else { return }
        if node >= capacity { return slots.append(node - capacity) }
        collect(2 * node, now, &slots)
        collect(2 * node + 1, now, &slots)
    }

    private mutating func grow() {
        let times = tree[capacity...]
        capacity *= 2
        tree = Array(repeating: nil, count: 2 * capacity)
        for (slot, time) in times.enumerated() { tree[capacity + slot] = time }
        for node in (1..<capacity).reversed() { tree[node] = Self.earlier(tree[2 * node], tree[2 * node + 1]) }
    }

    static func earlier(_ one: Instant?, _ other: Instant?) -> Instant? {
        guard let one else { return other }
        guard let other else { return one }
        return min(one, other)
    }
}
