// Whether a process does anything.
import PreforkLibc

/// What a process has done so far. Two equal values mean that it has done nothing in between.
struct Progress: Equatable, Sendable {
    /// The processor time of all of its threads, in clock ticks.
    let ticks: UInt64
    /// How often its threads have waited or were interrupted.
    let switches: UInt64

    #if os(Linux) || os(Android)
        /// The progress of a process (proc(5), /proc/PID/stat and /proc/PID/task/TID/status). `nil` if it has ended, or
        /// the system does not say.
        static func of(_ pid: Int32) -> Progress? {
            guard let usage = ProcessStat(of: pid)?.usage, let threads = try? System.entries(of: "/proc/\(pid)/task")
            else { return nil }
            var switches = UInt64(0)
            // A thread may have ended since the directory was read.
            for thread in threads {
                let status = System.text("/proc/\(pid)/task/\(thread)/status") ?? ""
                for line in status.utf8.split(separator: UInt8(ascii: "\n")) where isSwitchCount(line) {
                    let digits = line.filter { UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "9") }
                    switches &+= plainNumber(String(decoding: digits, as: UTF8.self)) ?? 0
                }
            }
            return Progress(ticks: usage.ticks, switches: switches)
        }

        private static func isSwitchCount(_ line: Substring.UTF8View.SubSequence) -> Bool {
            line.starts(with: "voluntary_ctxt_switches".utf8) || line.starts(with: "nonvoluntary_ctxt_switches".utf8)
        }
    #else
        /// The system does not say.
        static func of(_ pid: Int32) -> Progress? { nil }
    #endif
}
