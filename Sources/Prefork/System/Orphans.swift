// The children of this process that have ended, whoever started them.
#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// /proc's view of a process (proc_pid_stat(5)).
struct ProcessStat: Equatable {
    let pid: Int32
    let parent: Int32
    let isZombie: Bool
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
        isZombie = fields[0] == "Z"
    }
}

enum Orphans {
    #if os(Linux) || os(Android)
        /// The zombies among the children of all threads of this process, but for those with these numbers. Not by waitid(2)
        /// for "any": that shows the same one again as long as it is not reaped.
        /// - Throws: the error of /proc, where it cannot be read.
        static func zombies(except known: Set<Int32>) throws(SystemError) -> Set<OrphanReaper.Zombie> {
            let own = System.processID
            var found: Set<OrphanReaper.Zombie> = []
            for pid in try childIDs() where !known.contains(pid) {
                // One that is gone meanwhile, or that has become somebody else's, does not count.
                guard let bytes = try? System.readFile("/proc/\(pid)/stat"), let stat = ProcessStat(bytes),
                    stat.isZombie, stat.parent == own
                else { continue }
                found.insert(OrphanReaper.Zombie(pid: pid, started: stat.started))
            }
            return found
        }

        /// By proc_tid_children(5); where the kernel is built without it, all processes, whose parents are looked at above.
        private static func childIDs() throws(SystemError) -> [Int32] {
            let threads = try System.entries(of: "/proc/self/task").compactMap { Int32($0) }
            var children: [Int32] = []
            for thread in threads {
                do throws(SystemError) {
                    let bytes = try System.readFile("/proc/self/task/\(thread)/children")
                    children += bytes.split(separator: UInt8(ascii: " "))
                        .compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
                } catch {
                    // A thread that has ended has given its children to another one, and that may have been read before:
                    // then a later look finds them.
                    if access("/proc/self/task/\(System.processID)/children", R_OK) == 0 { continue }
                    return try System.entries(of: "/proc").compactMap { Int32($0) }
                }
            }
            return children
        }
    #else
        /// Nobody but launchd is process 1 there.
        static func zombies(except known: Set<Int32>) throws(SystemError) -> Set<OrphanReaper.Zombie> { [] }
    #endif
}
