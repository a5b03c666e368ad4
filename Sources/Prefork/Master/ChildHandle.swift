/// A child that was started and is not reaped yet, and the descriptors that the master watches it by.
final class ChildHandle {
    let pid: Int32
    let slot: Int
    /// `nil` if exits are noticed by SIGCHLD.
    let exit: Descriptor?
    /// The master's end. `nil` once the child has closed its end.
    private(set) var channel: Descriptor?
    /// How often the out-of-memory killer had struck before the child was started. `nil` if nothing counts that.
    let outOfMemory: OutOfMemoryAttribution.Mark?
    /// The master has sent SIGKILL.
    var isKilled = false

    private var reader = ChildMessageReader()
    /// The child broke the protocol, so its messages are no longer read.
    private var isIgnored = false

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

    var exitDescriptor: CInt { Descriptor.number(of: exit) }
    /// The descriptor to poll, or -1 if no more messages can come.
    var channelDescriptor: CInt { isIgnored ? -1 : Descriptor.number(of: channel) }
    var hasHungUp: Bool { Descriptor.number(of: channel) == -1 }

    enum Heard {
        case messages([ChildMessage])
        /// The child has closed its end, or has ended.
        case hungUp
        /// The child broke the protocol. Its channel is no longer read, but stays open. Closing it would tell the child
        /// that its master is dead.
        case fault(ChildMessageReader.Fault)
    }

    /// Reads what the child has said, up to some hundred bytes.
    func receive(at now: Instant) -> Heard {
        guard channelDescriptor != -1 else { return .messages([]) }
        switch Channel.receive(from: channelDescriptor) {
        case .nothing: return .messages([])
        case .hungUp:
            // Polling a hang-up would spin.
            channel = nil
            return .hungUp
        case .bytes(let bytes):
            do throws(ChildMessageReader.Fault) {
                return .messages(try reader.read(bytes, at: now))
            } catch {
                isIgnored = true
                return .fault(error)
            }
        }
    }
}
