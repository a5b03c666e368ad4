/// The order in which the kernel numbers the sockets of a SO_REUSEPORT group. It is the order of listen(2). When a
/// socket leaves the group, the last one takes its number (socket(7)). A socket leaves it when its last copy is closed,
/// or at shutdown(2).
struct GroupOrder: Equatable {
    /// The member with each number. Members have any numbers that tell them apart.
    private(set) var members: [Int]
    /// `false` if several members left unobserved and the order in which they left decides who has which number.
    private(set) var isKnown = true
    /// Whether each member has its own number. Usually no member has ever left.
    private var isInOrder = true

    /// The order of the members 0..<count.
    init(count: Int) { members = Array(0..<count) }

    /// An order that is known from elsewhere.
    init(members: [Int], isKnown: Bool) {
        self.members = members
        self.isKnown = isKnown
        isInOrder = members.indices.allSatisfy { members[$0] == $0 }
    }

    var count: Int { members.count }

    /// The number of a member. `nil` if the member is not in the group, or its number is not known.
    func number(of member: Int) -> Int? { isKnown ? members.firstIndex(of: member) : nil }

    /// The numbers of these members, ascending, without those that are not in the group. `nil` if they are not known.
    func numbers(of wanted: SlotSet) -> SlotSet? {
        guard isKnown else { return nil }
        if isInOrder { return wanted.prefix(below: members.count) }
        return SlotSet(members.indices.lazy.filter { wanted.contains(members[$0]) })
    }

    /// Notes that the member has called listen(2).
    mutating func append(_ member: Int) {
        isInOrder = isInOrder && member == members.count
        members.append(member)
    }

    /// Notes that these members have left, one after another, in any order.
    mutating func remove(_ gone: [Int]) {
        let hasGone = Set(gone)
        let left = members.count { !hasGone.contains($0) }
        // Members with a number below `left` never move. Each of the others fills one of the gaps.
        let gaps = members.indices.prefix(left).filter { hasGone.contains(members[$0]) }
        let movers = members.dropFirst(left).filter { !hasGone.contains($0) }
        if gaps.count > 1 { isKnown = false }
        for (gap, mover) in zip(gaps, movers.reversed()) { members[gap] = mover }
        members.removeLast(members.count - left)
        if members.count < 2 { isKnown = true }
        isInOrder = members.indices.allSatisfy { members[$0] == $0 }
    }
}
