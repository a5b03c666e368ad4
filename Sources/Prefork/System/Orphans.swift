// Children of this process that have ended, including those that the kernel gave to it because their parent had died.
import PreforkLibc

enum Orphans {
    /// A child of this process that has ended and has not been reaped. The start time distinguishes two processes that
    /// have had the same number.
    struct Zombie: Hashable, Sendable {
        let pid: Int32
        /// In clock ticks since the system started (proc_pid_stat(5)).
        let started: UInt64

        init(pid: Int32, started: UInt64) {
            self.pid = pid
            self.started = started
        }

        /// `nil` if the process lives, or is not a child of `parent`.
        init?(_ process: ProcessStat, childOf parent: Int32) {
            guard process.isZombie, process.parent == parent else { return nil }
            self.init(pid: process.pid, started: process.started)
        }
    }

    #if os(Linux) || os(Android)
        /// All zombies among the children that the kernel has given to this process. waitid(2) for "any child" cannot
        /// list them, because it returns the same zombie again until that one is reaped.
        /// - Parameters:
        ///   - known: processes to leave out.
        ///   - seen: processes to look at even if the kernel's list misses them.
        /// - Throws: an error if /proc cannot be read, or belongs to another PID namespace.
        static func zombies(except known: Set<Int32>, seen: [Int32]) throws(SystemError) -> Set<Zombie> {
            let own = System.pid
            guard let stat = ProcessStat(try System.readFile("/proc/self/stat")), stat.pid == own else {
                throw SystemError(call: "read", code: EXDEV, context: "/proc, which is another PID namespace's")
            }
            var found: Set<Zombie> = []
            let children = try stat.hasLostFirstThread ? allIDs() : childIDs()
            for pid in Set(children + seen) where !known.contains(pid) {
                // A process may have been reaped meanwhile, and its number may belong to another one.
                guard let bytes = try? System.readFile("/proc/\(pid)/stat"), let process = ProcessStat(bytes),
                    let zombie = Zombie(process, childOf: own)
                else { continue }
                found.insert(zombie)
            }
            return found
        }

        /// The children of the first thread (proc_tid_children(5)), which is the one that the kernel gives orphans to
        /// (find_new_reaper in its kernel/exit.c). Children in another thread's list were started by that thread, which
        /// may wait for them at any time. On a kernel without these lists it is all processes, and the caller checks
        /// their parents.
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
        /// None, because only launchd is process 1 on this system.
        static func zombies(except known: Set<Int32>, seen: [Int32]) throws(SystemError) -> Set<Zombie> { [] }
    #endif
}
