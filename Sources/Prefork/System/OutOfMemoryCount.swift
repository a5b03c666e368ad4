/// How often the kernel's out-of-memory killer has struck in this process's control group, which its children share. A
/// death by SIGKILL does not say who sent the signal. The kernel counts before it kills (mm/oom_kill.c), so the count
/// is up to date when the victim is reaped. It names no process, and it includes helpers that a child has started.
struct OutOfMemoryCount: Equatable {
    /// `memory.events` of version 2, `memory.oom_control` of version 1 (the kernel's admin-guide/cgroup-v2.rst and
    /// cgroup-v1/memory.rst).
    let path: String

    /// `nil` if no group's count can be read, as without cgroups, at the root of version 2, or without /proc.
    /// - Parameter read: the text of the file with that absolute path. `nil` if it cannot be read.
    init?(_ read: (String) -> String?) {
        let candidates = Cgroup.find("memory", read).compactMap { group in
            group.own.map { "\($0)/\(group.isUnified ? "memory.events" : "memory.oom_control")" }
        }
        guard let path = candidates.first(where: { read($0).flatMap(Self.decode) != nil }) else { return nil }
        self.path = path
    }

    func current(_ read: (String) -> String?) -> Int? { read(path).flatMap(Self.decode) }

    /// The line `oom_kill NUMBER`. Similar lines begin with `oom`, `oom_group_kill` and `oom_kill_disable`.
    static func decode(_ text: String) -> Int? {
        for line in Cgroup.split(text[...], at: "\n") {
            let words = Cgroup.split(line, at: " ")
            if words.count == 2, words[0] == "oom_kill" { return plainNumber(words[1]) }
        }
        return nil
    }
}
