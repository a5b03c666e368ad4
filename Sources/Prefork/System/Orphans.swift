// The children of this process that have ended, whoever started them.
import PreforkLibc

/// /proc's view of a process (proc_pid_stat(5)).
struct ProcessStat: Equatable {
    let pid: Int32
    let parent: Int32
    let isZombie: Bool
    /// The process lives, but its first thread has ended.
    let hasLostFirstThread: Bool
    let started: UInt64

    /// - Parameter bytes: one line. The second field is the program's name in parentheses, which may contain anything.
    init?(_ bytes: [UInt8]) {
        guard let open = bytes.firstIndex(of: UInt8(ascii: "(")), let close = bytes.lastIndex(of: UInt8(ascii: ")")),
            open < close
        else { return nil }
        let fields = bytes[(close + 1)...].split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
            .map { String(decoding: $0, as: UTF8.self) }
        let number = String(decoding: bytes[..<open].prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)
        guard fields.count > 19, let pid = Int32(number), let parent = Int32(fields[1]),
            let started = UInt64(fields[19])
        else { return nil }
        self.pid = pid
        self.parent = parent
        self.started = started
        // The state is the first thread's, which may end before the others (num_threads).
        let hasOthers = (Int(fields[17]) ?? 0) > 1
        isZombie = fields[0] == "Z" && !hasOthers
        hasLostFirstThread = fields[0] == "Z" && hasOthers
    }

    /// What can be waited for by the process with that number; nil where it lives, or is another's child.
    func zombie(of process: Int32) -> OrphanReaper.Zombie? {
        isZombie && parent == process ? OrphanReaper.Zombie(pid: pid, started: started) : nil
    }
}

enum Orphans {
    #if os(Linux) || os(Android)
        /// The zombies among the children that the kernel has given to this process, but for those with these numbers. Not by
        /// waitid(2) for "any": that shows the same one again as long as it is not reaped.
        /// - Parameter seen: who was one at the last look.
        /// - Throws: the error of /proc, where it cannot be read, or is another PID namespace's.
        static func zombies(except known: Set<Int32>, seen: [Int32]) throws(SystemError) -> Set<OrphanReaper.Zombie> {
            let own = System.pid
            guard let stat = ProcessStat(try System.readFile("/proc/self/stat")), stat.pid == own else {
                throw SystemError(call: "read", code: EXDEV, context: "/proc, which is another PID namespace's")
            }
            var found: Set<OrphanReaper.Zombie> = []
            let children = try stat.hasLostFirstThread ? allIDs() : childIDs()
            for pid in Set(children + seen) where !known.contains(pid) {
                // One that is gone meanwhile, or that has become somebody else's, does not count.
                guard let bytes = try? System.readFile("/proc/\(pid)/stat"),
                    let zombie = ProcessStat(bytes)?.zombie(of: own)
                else { continue }
                found.insert(zombie)
            }
            return found
        }

        /// By proc_tid_children(5). The kernel gives orphans to the first thread (find_new_reaper in its kernel/exit.c). What
        /// stands in another thread's list that thread has started, and somebody may wait for it for as long as he likes.
        /// Where the kernel is built without these lists: all processes, whose parents are looked at above.
        private static func childIDs() throws(SystemError) -> [Int32] {
            do throws(SystemError) {
                return try System.readFile("/proc/self/task/\(System.pid)/children")
                    .split(separator: UInt8(ascii: " ")).compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
            } catch {
                guard error.code == ENOENT else { throw error }
                return try allIDs()
            }
        }

        private static func allIDs() throws(SystemError) -> [Int32] {
            try System.entries(of: "/proc").compactMap { Int32($0) }
        }
    #else
        /// Nobody but launchd is process 1 there.
        static func zombies(except known: Set<Int32>, seen: [Int32]) throws(SystemError) -> Set<OrphanReaper.Zombie> {
            []
        }
    #endif
}
