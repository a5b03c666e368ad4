/// A process as /proc/PID/stat describes it (proc_pid_stat(5)).
struct ProcessStat: Equatable {
    let pid: Int32
    let parent: Int32
    let isZombie: Bool
    /// Whether the process lives although its first thread has ended.
    let hasLostFirstThread: Bool
    /// In clock ticks since the system started.
    let started: UInt64
    /// The processor time of all threads in clock ticks, and the resident memory in pages.
    let usage: Usage?

    struct Usage: Equatable {
        let ticks: UInt64
        let residentPages: UInt64
    }

    /// - Parameter bytes: one line. The second field is the program's name in parentheses, which may contain any byte.
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
        // The state is that of the first thread, which may end before the others (num_threads).
        let hasOthers = (Int(fields[17]) ?? 0) > 1
        isZombie = fields[0] == "Z" && !hasOthers
        hasLostFirstThread = fields[0] == "Z" && hasOthers
        if fields.count > 21, let user = UInt64(fields[11]), let system = UInt64(fields[12]),
            let pages = UInt64(fields[21])
        {
            usage = Usage(ticks: user &+ system, residentPages: pages)
        } else {
            usage = nil
        }
    }
}

#if os(Linux) || os(Android)
    extension ProcessStat {
        /// Reads /proc/PID/stat. `nil` if the process is gone, /proc does not show it (hidepid), or /proc belongs to
        /// another pid namespace, in which the number is that of another process.
        init?(of pid: Int32) {
            guard Self.isOwnNamespace, let bytes = try? System.readFile("/proc/\(pid)/stat") else { return nil }
            self.init(bytes)
        }

        /// Whether /proc belongs to the pid namespace of this process, which has the same number there then.
        static let isOwnNamespace = (try? System.readFile("/proc/self/stat")).flatMap { Self($0) }?.pid == System.pid
    }
#endif
