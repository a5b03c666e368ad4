// Whether this process may have as many descriptors as a fleet wants.
import PreforkLibc

enum DescriptorLimit {
    /// A spawn, a request to the kernel and an observer's file at the same time.
    private static let reserve = 16

    /// What keeps a fleet from a socket for each slot and address; nil where nothing does (getrlimit(2), RLIMIT_NOFILE).
    static func fault(addresses: Int, children: Int) -> String? {
        var limit = rlimit()
        guard getrlimit(SystemConstant.openFiles, &limit) == 0 else { return nil }
        let allowed = Int(clamping: limit.rlim_cur)
        // To count takes long where there is no /proc, and nobody has that many.
        guard fault(addresses: addresses, children: children, open: 65_536, limit: allowed) != nil else { return nil }
        let open = ChildSpawner.openDescriptors(from: 0).count
        return fault(addresses: addresses, children: children, open: open, limit: allowed)
    }

    static func fault(addresses: Int, children: Int, open: Int, limit: Int) -> String? {
        // For each slot its sockets, its child's child channel and the watch of its exit; for each address two
        // decoys with two connections each.
        let needed = open + children * (addresses + 2) + addresses * 6 + reserve
        guard needed > limit else { return nil }
        return "\(children) slots need \(needed) descriptors, and this process may have \(limit) (RLIMIT_NOFILE)"
    }
}
