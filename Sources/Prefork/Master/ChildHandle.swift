/// A started child that is not reaped yet, and the descriptors that it is watched by.
final class ChildHandle {
    let pid: Int32
    let slot: Int
    /// nil where exits come by SIGCHLD.
    let exit: Descriptor?
    /// nil once the child has closed its end.
    var channel: Descriptor?
    /// How often the out-of-memory killer had struck before its start; nil where nobody counts.
    let outOfMemory: OutOfMemoryAttribution.Mark?
    /// The master has sent SIGKILL.
    var isKilled = false

    init(
        _ pid: Int32,
        slot: Int,
        exit: consuming Descriptor?,
        channel: consuming Descriptor,
        outOfMemory: OutOfMemoryAttribution.Mark?
    ) {
        self.pid = pid
        self.slot = slot
        self.exit = exit
        self.channel = consume channel
        self.outOfMemory = outOfMemory
    }

    var exitNumber: CInt { Descriptor.number(of: exit) }
    var channelNumber: CInt { Descriptor.number(of: channel) }
}
