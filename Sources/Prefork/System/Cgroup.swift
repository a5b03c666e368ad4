/// The directories of this process's control groups of version 1 or 2, according to /proc (cgroups(7)).
struct Cgroup {
    /// Whether the hierarchy is of version 2.
    let isUnified: Bool
    /// The group's own directory. `nil` if it is not visible from here.
    let own: String?
    /// The group's own directory, then its parents up to the mount point.
    let directories: [String]

    /// The groups that may have the controller. A group of version 2 may still lack its files.
    /// - Parameter read: the text of the file with that absolute path. `nil` if it cannot be read.
    static func find(_ controller: String, _ read: (String) -> String?) -> [Cgroup] {
        guard let memberships = read("/proc/self/cgroup"), let mounts = read("/proc/self/mountinfo") else { return [] }
        return split(mounts[...], at: "\n").compactMap { Mount($0, controller) }.compactMap { mount in
            membership(memberships, in: mount, controller).map { path in
                let names = mount.names(for: path)
                let directories = (0...(names?.count ?? 0)).reversed().map { count in
                    (names ?? []).prefix(count).reduce(mount.point) { "\($0)/\($1)" }
                }
                return Cgroup(
                    isUnified: mount.isUnified, own: names == nil ? nil : directories.first, directories: directories)
            }
        }
    }

    /// Splits by bytes, because mountinfo may be long and the separators are ASCII.
    static func split(_ text: Substring, at separators: String) -> [Substring] {
        text.utf8.split { separators.utf8.contains($0) }.map { Substring($0) }
    }

    /// The path of this process's group in a mounted hierarchy.
    private static func membership(_ memberships: String, in mount: Mount, _ controller: String) -> Substring? {
        for line in split(memberships[...], at: "\n") {
            let fields = line.utf8.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
                .map { Substring($0) }
            guard fields.count == 3 else { continue }
            let controllers = split(fields[1], at: ",")
            if mount.isUnified
                ? fields[0] == "0" && controllers.isEmpty : controllers.contains(Substring(controller))
            {
                return fields[2]
            }
        }
        return nil
    }

    /// A line of /proc/self/mountinfo that mounts a cgroup hierarchy with a given controller (proc_pid_mountinfo(5)).
    fileprivate struct Mount {
        let root: String
        let point: String
        let isUnified: Bool

        init?(_ line: Substring, _ controller: String) {
            let halves = Cgroup.split(line, at: " ").split(separator: "-", maxSplits: 1)
            guard halves.count == 2, let first = halves.first, let last = halves.last, first.count >= 5, last.count >= 3
            else { return nil }
            let type = last[last.startIndex]
            let options = Cgroup.split(last[last.startIndex + 2], at: ",")
            guard type == "cgroup2" || type == "cgroup" && options.contains(Substring(controller)) else { return nil }
            isUnified = type == "cgroup2"
            root = Mount.unescaped(first[first.startIndex + 3])
            point = Mount.unescaped(first[first.startIndex + 4])
        }

        /// The names of the directories from the mount point down to the group. `nil` if the group is not below it. In
        /// a container without a cgroup namespace, the path is the host's and begins with the mount's root.
        func names(for path: Substring) -> [String]? {
            guard root == "/" || path == root || path.hasPrefix(root + "/") else { return nil }
            let names = Cgroup.split(root == "/" ? path : path.dropFirst(root.count), at: "/").map { String($0) }
            return names.contains("..") ? nil : names
        }

        /// Decodes `\040` and the like, by which mountinfo writes space, tab, newline and backslash.
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
