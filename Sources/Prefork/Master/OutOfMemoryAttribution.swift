/// How often the kernel's out-of-memory killer has struck in this process's control group, which its children share: a death
/// by SIGKILL says nothing of who has sent it. The kernel counts before it kills (mm/oom_kill.c), so who has reaped the victim
/// sees it. The count names no process: a helper of a child is counted, too.
struct OutOfMemoryCount: Equatable {
    /// `memory.events` of version 2, `memory.oom_control` of version 1 (the kernel's admin-guide/cgroup-v2.rst and
    /// cgroup-v1/memory.rst).
    let path: String

    /// nil where no group's count can be read: a system without cgroups, the root of version 2, no /proc.
    /// - Parameter read: the text of the file with that absolute path; nil where it cannot be read.
    init?(_ read: (String) -> String?) {
        let candidates = Cgroup.find("memory", read).compactMap { group in
            group.own.map { "\($0)/\(group.isUnified ? "memory.events" : "memory.oom_control")" }
        }
        guard let path = candidates.first(where: { read($0).flatMap(Self.decode) != nil }) else { return nil }
        self.path = path
    }

    func current(_ read: (String) -> String?) -> Int? { read(path).flatMap(Self.decode) }

    /// The line `oom_kill NUMBER`; its neighbours are `oom`, `oom_group_kill` and `oom_kill_disable`.
    static func decode(_ text: String) -> Int? {
        for line in Cgroup.split(text[...], at: "\n") {
            let words = Cgroup.split(line, at: " ")
            if words.count == 2, words[0] == "oom_kill" { return Int(words[1]).flatMap { $0 >= 0 ? $0 : nil } }
        }
        return nil
    }
}

/// Shares out the strikes among the children that died by a SIGKILL which the master has not sent.
struct OutOfMemoryAttribution {
    /// What a child is compared with: how things stood before it was started.
    struct Mark: Equatable {
        fileprivate let count: Int
        fileprivate let blamed: Int
    }

    /// Deaths that were put down to it.
    private var blamed = 0

    func mark(count: Int) -> Mark { Mark(count: count, blamed: blamed) }

    /// Whether nobody but the out-of-memory killer is known to have killed a child.
    /// - Parameters:
    ///   - isKilled: the master has sent SIGKILL.
    ///   - mark: nil where nobody counted at its start.
    ///   - count: how often it has struck by now; nil where nobody counts. Asked for only where it matters.
    mutating func isLikely(_ status: WaitStatus, isKilled: Bool, since mark: Mark?, count: () -> Int?) -> Bool {
        guard case .signaled(Signal.kill.number, _) = status, !isKilled, let mark, let count = count() else {
            return false
        }
        return isLikely(count: count, since: mark)
    }

    /// Whether a strike since `mark` is left that no other death accounts for.
    mutating func isLikely(count: Int, since mark: Mark) -> Bool {
        guard count - mark.count > blamed - mark.blamed else { return false }
        blamed += 1
        return true
    }
}
