/// Whether this process may have as many descriptors as a fleet needs.
enum DescriptorLimit {
    /// The descriptors for a spawn, a request to the kernel and an observer's file at the same time.
    private static let reserve = 16

    /// The reason why a fleet cannot have a socket for each slot and address. `nil` if it can.
    static func fault(addresses: Int, children: Int) -> String? {
        guard let limit = OpenDescriptors.limit else { return nil }
        // Counting is slow without /proc, so this first assumes more open descriptors than any process has.
        let most = OpenDescriptors.mostTried
        guard fault(addresses: addresses, children: children, open: most, limit: limit) != nil else { return nil }
        let open = OpenDescriptors.list(from: 0).count
        return fault(addresses: addresses, children: children, open: open, limit: limit)
    }

    /// Whether this process may open the sockets of one more address, and then still replace all children.
    /// - Parameter addresses: 1 if the address has decoys, otherwise 0.
    static func hasRoom(sockets: Int, addresses: Int, children: Int) -> Bool {
        guard let limit = OpenDescriptors.limit else { return true }
        if hasRoom(sockets, addresses, children, open: OpenDescriptors.mostTried, limit: limit) { return true }
        return hasRoom(sockets, addresses, children, open: OpenDescriptors.list(from: 0).count, limit: limit)
    }

    static func hasRoom(_ sockets: Int, _ addresses: Int, _ children: Int, open: Int, limit: Int) -> Bool {
        open + sockets + addresses * 6 + children * 2 + reserve <= limit
    }

    static func fault(addresses: Int, children: Int, open: Int, limit: Int) -> String? {
        // Each slot needs its sockets, its child's channel and a descriptor that watches the exit. Each address needs
        // two decoys with two connections each.
        let needed = open + children * (addresses + 2) + addresses * 6 + reserve
        guard needed > limit else { return nil }
        return "\(children) slots need \(needed) descriptors, and this process may have \(limit) (RLIMIT_NOFILE)"
    }
}
