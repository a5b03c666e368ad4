// How many processors this process may use: its affinity and the quota of its cgroup.
import PreforkLibc

struct ProcessorCount: Equatable, Sendable {
    /// Processors in the affinity mask, or online where there is no mask.
    var processors: Int
    /// The tightest CPU quota of this process's cgroup and those above it, in processors; nil where there is none.
    var quota: Double?

    /// At least one. A quota of 1.5 makes two: one child would leave half a processor unused. Go rounds the same way since
    /// 1.25, but makes at least two.
    var allowed: Int {
        guard let quota else { return max(1, processors) }
        return max(1, min(processors, Int(min(quota.rounded(.up), 1e6))))
    }

    /// Of this process.
    static func current() -> ProcessorCount {
        ProcessorCount(
            processors: affinity() ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))),
            quota: CgroupQuota.find(System.text)
        )
    }

    #if os(Linux) || os(Android)
        private static func affinity() -> Int? { (try? HiddenSymbols.affinity())?.numbers.count }
    #else
        private static func affinity() -> Int? { nil }
    #endif
}

/// The CPU quota by cgroup v2 (`cpu.max`) or v1 (`cpu.cfs_quota_us`), up the hierarchy: a quota of a parent binds too
/// (cgroups(7), the kernel's admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst).
enum CgroupQuota {
    /// - Parameter read: the text of the file with that absolute path; nil where it cannot be read.
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

    /// nil for "max", -1 and what is no number.
    private static func ratio(_ quota: Substring, _ period: Substring) -> Double? {
        guard let quota = Int64(quota), let period = Int64(period), quota > 0, period > 0 else { return nil }
        return Double(quota) / Double(period)
    }

    private static func trimmed(_ text: String) -> Substring { Cgroup.split(text[...], at: " \n").first ?? "" }
}
