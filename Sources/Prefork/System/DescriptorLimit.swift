// Whether this process may have as many descriptors as a fleet wants.
#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

enum DescriptorLimit {
    /// A spawn, a request to the kernel and an observer's file at the same time.
    private static let reserve = 16

    /// What keeps a fleet from a socket for each slot and address; nil where nothing does (getrlimit(2), RLIMIT_NOFILE).
    static func fault(addresses: Int, children: Int) -> String? {
        var limit = rlimit()
        guard getrlimit(SystemConstant.openFiles, &limit) == 0 else { return nil }
        let open = ChildSpawner.openDescriptors(from: 0).count
        return fault(addresses: addresses, children: children, open: open, limit: Int(clamping: limit.rlim_cur))
    }

    static func fault(addresses: Int, children: Int, open: Int, limit: Int) -> String? {
        // For each slot its sockets, its child's control channel and the watch of its exit; for each address two decoys.
        let needed = open + children * (addresses + 2) + addresses * 2 + reserve
        guard needed > limit else { return nil }
        return "\(children) slots need \(needed) descriptors, and this process may have \(limit) (RLIMIT_NOFILE)"
    }
}
