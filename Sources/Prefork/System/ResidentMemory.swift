// How much memory a process has.
import PreforkLibc

enum ResidentMemory {
    #if os(Linux) || os(Android)
        /// The resident memory of a process in bytes (proc(5), /proc/PID/statm). `nil` if it has ended, or the system
        /// does not say.
        static func bytes(of pid: Int32) -> Int? {
            guard let text = System.text("/proc/\(pid)/statm") else { return nil }
            let fields = text.utf8.split(separator: UInt8(ascii: " "))
            guard fields.count > 1, let pages: Int = plainNumber(Substring(fields[1])) else { return nil }
            return pages.multipliedReportingOverflow(by: sysconf(CInt(_SC_PAGESIZE))).partialValue
        }
    #else
        /// Not known here.
        static func bytes(of pid: Int32) -> Int? { nil }
    #endif
}
