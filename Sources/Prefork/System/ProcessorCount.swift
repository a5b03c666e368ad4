// How many processors this process may use: its affinity and the quota of its cgroup.
#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

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
            quota: CgroupQuota.find { path in (try? System.readFile(path)).map { String(decoding: $0, as: UTF8.self) } }
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
        guard let memberships = read("/proc/self/cgroup"), let mounts = read("/proc/self/mountinfo") else { return nil }
        var tightest: Double?
        for mount in split(mounts[...], at: "\n").compactMap(Mount.init) {
            guard let path = membership(memberships, in: mount) else { continue }
            for directory in mount.directories(for: path) {
                let found = mount.isUnified ? unified(directory, read) : legacy(directory, read)
                if let found { tightest = min(tightest ?? found, found) }
            }
        }
        return tightest
    }

    private static func unified(_ directory: String, _ read: (String) -> String?) -> Double? {
        guard let words = read("\(directory)/cpu.max").map({ split($0[...], at: " \n") }), words.count == 2 else {
            return nil
        }
        return ratio(words[0], words[1])
    }

    private static func legacy(_ directory: String, _ read: (String) -> String?) -> Double? {
        guard let quota = read("\(directory)/cpu.cfs_quota_us"), let period = read("\(directory)/cpu.cfs_period_us")
        else { return nil }
        return ratio(trimmed(quota), trimmed(period))
    }

    /// By bytes: a mountinfo may be long, and the separators are ASCII.
    private static func split(_ text: Substring, at separators: String) -> [Substring] {
        text.utf8.split { separators.utf8.contains($0) }.map { Substring($0) }
    }

    /// nil for "max", -1 and what is no number.
    private static func ratio(_ quota: Substring, _ period: Substring) -> Double? {
        guard let quota = Int64(quota), let period = Int64(period), quota > 0, period > 0 else { return nil }
        return Double(quota) / Double(period)
    }

    private static func trimmed(_ text: String) -> Substring { split(text[...], at: " \n").first ?? "" }

    /// The path of this process's group in the hierarchy that is mounted there.
    private static func membership(_ memberships: String, in mount: Mount) -> Substring? {
        for line in split(memberships[...], at: "\n") {
            let fields = line.utf8.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
                .map { Substring($0) }
            guard fields.count == 3 else { continue }
            let controllers = split(fields[1], at: ",")
            if mount.isUnified ? fields[0] == "0" && controllers.isEmpty : controllers.contains("cpu") {
                return fields[2]
            }
        }
        return nil
    }

    /// A line of /proc/self/mountinfo that mounts a cgroup hierarchy with CPU quotas (proc_pid_mountinfo(5)).
    private struct Mount {
        let root: String
        let point: String
        let isUnified: Bool

        init?(_ line: Substring) {
            let halves = CgroupQuota.split(line, at: " ").split(separator: "-", maxSplits: 1)
            guard halves.count == 2, let first = halves.first, let last = halves.last, first.count >= 5, last.count >= 3
            else { return nil }
            let type = last[last.startIndex]
            let options = CgroupQuota.split(last[last.startIndex + 2], at: ",")
            guard type == "cgroup2" || type == "cgroup" && options.contains("cpu") else { return nil }
            isUnified = type == "cgroup2"
            root = Mount.unescaped(first[first.startIndex + 3])
            point = Mount.unescaped(first[first.startIndex + 4])
        }

        /// From the group itself up to the mount point. In a container without a cgroup namespace the path is the host's,
        /// and the mount's root is a part of it.
        func directories(for path: Substring) -> [String] {
            var rest = path
            if root != "/" {
                rest = path == root || path.hasPrefix(root + "/") ? path.dropFirst(root.count) : ""
            }
            var names = CgroupQuota.split(rest, at: "/").map { String($0) }
            if names.contains("..") { names = [] }
            return (0...names.count).reversed().map { names.prefix($0).reduce(point) { "\($0)/\($1)" } }
        }

        /// mountinfo writes space, tab, newline and backslash as `\040` and so on.
        private static func unescaped(_ field: Substring) -> String {
            var bytes: [UInt8] = []
            var rest = field.utf8[...]
            while let byte = rest.popFirst() {
                if byte == UInt8(ascii: "\\"),
                    let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
                {
                    bytes.append(code)
                    rest = rest.dropFirst(3)
                } else {
                    bytes.append(byte)
                }
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}
