/// The CPU quota: `cpu.max` of cgroup v2, or `cpu.cfs_quota_us` of v1. A parent's quota binds its children, too
/// (cgroups(7), the kernel's admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst).
enum CgroupQuota {
    /// - Parameter read: the text of the file with that absolute path. `nil` if it cannot be read.
    /// - Returns: the tightest quota, in processors. `nil` if there is none.
    static func find(_ read: (String) -> String?) -> Double? {
        var tightest: Double?
        for group in Cgroup.find("cpu", read) {
            for directory in group.directories {
                let found = group.isUnified ? unified(directory, read) : legacy(directory, read)
                if let found { tightest = min(tightest ?? found, found) }
            }
        }
        return tightest
    }

    private static func unified(_ directory: String, _ read: (String) -> String?) -> Double? {
        guard let words = read("\(directory)/cpu.max").map({ Cgroup.split($0[...], at: " \n") }), words.count == 2
        else { return nil }
        return ratio(words[0], words[1])
    }

    private static func legacy(_ directory: String, _ read: (String) -> String?) -> Double? {
        guard let quota = read("\(directory)/cpu.cfs_quota_us"), let period = read("\(directory)/cpu.cfs_period_us")
        else { return nil }
        return ratio(trimmed(quota), trimmed(period))
    }

    /// `nil` for "max", for -1, and for anything that is not a number.
    private static func ratio(_ quota: Substring, _ period: Substring) -> Double? {
        guard let quota = Int64(quota), let period = Int64(period), quota > 0, period > 0 else { return nil }
        return Double(quota) / Double(period)
    }

    private static func trimmed(_ text: String) -> Substring { Cgroup.split(text[...], at: " \n").first ?? "" }
}
