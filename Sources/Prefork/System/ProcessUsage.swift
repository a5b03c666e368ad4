// The memory and the processor time of a process.
import PreforkLibc

/// The memory and the processor time of a process at one moment.
struct ProcessUsage: Equatable {
    /// Resident memory in bytes.
    let residentMemory: Int
    /// The time in user and system mode, of all threads.
    let processorTime: Duration

    #if os(Linux) || os(Android)
        /// Reads /proc/PID/stat. `nil` if the process is gone, or /proc does not show it (hidepid).
        init?(of pid: Int32) {
            guard let process = ProcessStat(of: pid) else { return nil }
            self.init(process, ticks: sysconf(Int32(_SC_CLK_TCK)), page: sysconf(Int32(_SC_PAGESIZE)))
        }
    #else
        /// The system does not say.
        init?(of pid: Int32) { return nil }
    #endif

    /// - Parameters:
    ///   - ticks: how many clock ticks a second has.
    ///   - page: the size of a page in bytes.
    init?(_ process: ProcessStat, ticks: Int, page: Int) {
        guard ticks > 0, page > 0, let used = process.usage else { return nil }
        let (memory, overflow) = Int(clamping: used.residentPages).multipliedReportingOverflow(by: page)
        if overflow { return nil }
        let milliseconds =
            Int64(clamping: used.ticks / UInt64(ticks)) &* 1000
            &+ Int64(used.ticks % UInt64(ticks)) * 1000 / Int64(ticks)
        residentMemory = memory
        processorTime = .milliseconds(milliseconds)
    }
}
