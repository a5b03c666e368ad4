// How many processors the system lets this process use.
import PreforkLibc

struct ProcessorCount: Equatable, Sendable {
    /// Processors in the affinity mask, or online if there is no mask.
    var processors: Int
    /// The tightest CPU quota of this process's cgroup and its parents, in processors. `nil` if there is none.
    var quota: Double?

    /// The count of this process.
    static func current() -> ProcessorCount {
        ProcessorCount(
            processors: (try? ProcessorSet.current())?.numbers.count ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))),
            quota: CgroupQuota.find(System.text)
        )
    }
}
