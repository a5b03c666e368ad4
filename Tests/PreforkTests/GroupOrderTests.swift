import Testing

@testable import Prefork

@Suite("The numbers of a group's sockets") struct GroupOrderTests {
    @Test("follow the order of listen(2), and the last socket fills the gap of one that leaves") func rules() {
        var order = GroupOrder(count: 4)
        #expect(order.numbers(of: [1, 3]) == [1, 3])
        order.remove([1])
        #expect(order.members == [0, 3, 2])
        order.append(1)
        #expect(order.members == [0, 3, 2, 1])
        #expect(order.number(of: 1) == 3 && order.number(of: 3) == 1)
        #expect(order.numbers(of: [2, 3]) == [1, 2])
        order.remove([1])
        order.remove([7, 1])
        #expect(order.members == [0, 3, 2] && order.number(of: 1) == nil && order.numbers(of: [1, 2]) == [2])
        order.remove([0, 2, 3])
        #expect(order.count == 0 && order.isKnown && order.numbers(of: [0]) == [])
    }

    @Test("are the same for a program that takes over the group") func takenOver() {
        var order = GroupOrder(count: 4)
        order.remove([1])
        order.append(1)
        let same = GroupOrder(members: order.members, isKnown: order.isKnown)
        #expect(same == order)
        #expect(same.numbers(of: [2, 3]) == [1, 2])
    }

    /// The kernel's procedure, one socket after another.
    private func kernel(_ members: [Int], _ gone: [Int]) -> [Int] {
        var members = members
        for member in gone {
            guard let place = members.firstIndex(of: member) else { continue }
            members[place] = members[members.count - 1]
            members.removeLast()
        }
        return members
    }

    @Test("are known after one leaves, and after several leave if any order of leaving gives the same")
    func unobserved() {
        var generator = SplitMix64(seed: 12)
        for _ in 0..<3000 {
            let count = Int.random(in: 1...6, using: &generator)
            var order = GroupOrder(count: count)
            for member in 0..<Int.random(in: 0...count, using: &generator) {
                order.remove([member])
                order.append(member)
            }
            let before = order.members
            let gone = before.filter { _ in Bool.random(using: &generator) }.shuffled(using: &generator)
            order.remove(gone)
            let outcomes = Set(permutations(gone).map { kernel(before, $0) })
            #expect(order.isKnown == (outcomes.count == 1), "\(before) - \(gone)")
            if order.isKnown { #expect(outcomes == [order.members]) }
            #expect(Set(order.members) == Set(before).subtracting(gone))
        }
    }

    @Test("are known again when only one socket is left") func again() {
        var order = GroupOrder(count: 4)
        order.remove([0, 1])
        #expect(!order.isKnown && order.numbers(of: [2]) == nil && order.number(of: 2) == nil)
        order.append(0)
        #expect(!order.isKnown)
        order.remove([2, 3])
        #expect(order.isKnown && order.members == [0])
    }

    private func permutations(_ list: [Int]) -> [[Int]] {
        if list.isEmpty { return [[]] }
        return list.flatMap { first in permutations(list.filter { $0 != first }).map { [first] + $0 } }
    }
}
