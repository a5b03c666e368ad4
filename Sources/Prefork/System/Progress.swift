// Whether a process does anything.
import PreforkLibc

/// What a process has done so far. Two equal values mean that it has done nothing in between.
struct Progress: Equatable, Sendable {
    /// The processor time of all of its threads, in clock ticks.
    let ticks: UInt64
    /// How often its threads have waited or were interrupted.
    let switches: UInt64

    #if os(Linux) || os(Android)
        /// The progress of a process (proc(5), /proc/PID/task/TID/stat and status). `nil` if it has ended, or the
        /// system does not say.
        static func of(_ pid: Int32) -> Progress? {
            guard let threads = try? System.entries(of: "/proc/\(pid)/task") else { return nil }
            var (ticks, switches) = (UInt64(0), UInt64(0))
            for thread in threads {
                // A thread may end between the two calls.
                guard let text = System.text("/proc/\(pid)/task/\(thread)/stat"),
                    let status = System.text("/proc/\(pid)/task/\(thread)/status")
                else { continue }
                let fields = text.utf8.split(separator: UInt8(ascii: " "))
                // Counted from the end, because the name in the second field may contain spaces. The last of the 52
                // fields is the exit code.
                guard fields.count >= 52 else { return nil }
                for field in fields[(fields.count - 39)...(fields.count - 38)] {
                    ticks &+= plainNumber(Substring(field)) ?? 0
                }
                for line in status.utf8.split(separator: UInt8(ascii: "\n")) where isSwitchCount(line) {
                    let digits = line.filter { UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "9") }
                    switches &+= plainNumber(String(decoding: digits, as: UTF8.self)) ?? 0
                }
            }
            return Progress(ticks: ticks, switches: switches)
        }

        private static func isSwitchCount(_ line: Substring.UTF8View.SubSequence) -> Bool {
            line.starts(with: "voluntary_ctxt_switches".utf8) || line.starts(with: "nonvoluntary_ctxt_switches".utf8)
        }
    #else
        /// The system does not say.
        static func of(_ pid: Int32) -> Progress? { nil }
    #endif
}
