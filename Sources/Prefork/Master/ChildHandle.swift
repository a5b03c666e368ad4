import PreforkLibc

/// A child that was started and is not reaped yet, and the descriptors that the master watches it by.
final class ChildHandle {
    let pid: Int32
    let slot: Int
    /// A descriptor that reports the exit. `nil` if exits are noticed by SIGCHLD.
    let exit: Descriptor?
    /// The master's end of the channel. `nil` once the child has closed its end.
    private(set) var channel: Descriptor?
    /// The count of the out-of-memory killer before the child was started. `nil` if there is no count.
    let outOfMemory: OutOfMemoryAttribution.Mark?
    /// Whether the master has sent SIGKILL.
    var isKilled = false
    /// Whether the program has got a listener of the fleet by a takeover of bind(2).
    var hasBound = false
    /// The version of handovers that its build reads. 0 if it reads none, or has not said so.
    var handoverVersion = 0
    /// The last error of a bind(2) that the child has asked for.
    var lastBindFault: String?

    /// The sockets for answers to `ChildMessage.bind`, in the order of those messages. `nil` for one that has not got a
    /// number here, because this process had too many open descriptors.
    private var replies: [OpenSocket?] = []
    private static let mostReplies = 8

    private var reader = ChildMessageReader()
    /// Whether messages are no longer read, because the child broke the protocol.
    private var isIgnored = false

    init(
        _ pid: Int32,
        slot: Int,
        exit: consuming Descriptor?,
        channel: consuming Descriptor?,
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
    /// The descriptor until it is closed, whether or not it is read. -1 afterwards.
    var openChannel: CInt { Descriptor.number(of: channel) }

    enum Heard {
        case messages([ChildMessage])
        /// The child has closed its end, or has ended.
        case hungUp
        /// The child broke the protocol. Its channel is no longer read, but stays open. Closing it would tell the child
        /// that its master is dead. Further messages fail in the child.
        case fault(ChildMessageReader.Fault)
    }

    /// Reads the messages of the child, up to a few hundred bytes.
    func receive(at now: Instant) -> Heard {
        guard channelDescriptor != -1 else { return .messages([]) }
        let (input, descriptors, areMissing) = Channel.receiveWithDescriptors(from: channelDescriptor)
        replies += descriptors.isEmpty && areMissing ? [nil] : descriptors
        switch input {
        case .nothing: return .messages([])
        case .hungUp: return .hungUp
        case .bytes(let bytes):
            do throws(ChildMessageReader.Fault) {
                let messages = try reader.read(bytes, at: now)
                let requests = messages.count { if case .bind = $0 { true } else { false } }
                // A descriptor comes with the first byte of its message, so none may be missing.
                guard requests <= replies.count, replies.count <= Self.mostReplies else { throw .descriptors }
                return .messages(messages)
            } catch {
                ignore()
                return .fault(error)
            }
        }
    }

    /// Call it after a hang-up, because polling it would spin.
    func closeChannel() { channel = nil }

    /// Stops reading the channel. A program that waits for an answer, or asks later, gets an error.
    private func ignore() {
        let raw = channelDescriptor
        isIgnored = true
        replies = []
        // The kernel refuses what the child sends from now on. What it has sent before is read, because the sockets for
        // the answers hang up only when their last copies are closed.
        _ = shutdown(raw, CInt(SHUT_RD))
        while case (.bytes, _, _) = Channel.receiveWithDescriptors(from: raw) {}
    }

    /// The socket for the answer to the first `ChildMessage.bind` that has none yet. `nil` if it has been lost. Then
    /// the child's end hangs up.
    func takeReply() -> OpenSocket? { replies.isEmpty ? nil : replies.removeFirst() }
}

// MARK: In a handover

extension ChildHandle {
    var handoverRecord: HandoverRecord {
        var record = HandoverRecord("channel")
        record.set("pid", pid)
        record.set("slot", slot)
        record.set("descriptor", Descriptor.number(of: channel))
        record.set("ignored", isIgnored)
        record.set("killed", isKilled)
        record.set("bound", hasBound)
        record.set("version", handoverVersion)
        record.set("begun", bytes: reader.buffer)
        record.set("replies", replies.map { $0?.raw ?? -1 })
        return record
    }

    var descriptors: [CInt] { ([Descriptor.number(of: channel)] + replies.map { $0?.raw ?? -1 }).filter { $0 != -1 } }

    /// A child of the old program. Its descriptors are numbers without an owner until the `init` that takes them.
    struct HandedOver {
        let record: HandoverRecord
        let pid: Int32
        let slot: Int
        fileprivate let channel: CInt
        fileprivate let replies: [CInt]
        fileprivate let begun: [UInt8]
        fileprivate let version: Int

        var descriptors: [CInt] { ([channel] + replies).filter { $0 != -1 } }

        init(_ record: HandoverRecord, _ handover: Handover) throws(HandoverRecord.Fault) {
            self.record = record
            pid = try record.number("pid", in: 1 ... .max)
            slot = try record.number("slot", in: 0 ... .max)
            channel = try record.number("descriptor", in: -1 ... .max)
            replies = try record.numbers("replies")
            for number in [channel] + replies where number != -1 {
                _ = try handover.descriptor(number, of: record, "descriptor")
            }
            begun = try record.bytes("begun")
            version = try record.optional("version") ?? 0
        }
    }

    /// Takes the descriptors.
    convenience init(
        _ old: HandedOver, exit: consuming Descriptor?, outOfMemory: OutOfMemoryAttribution.Mark?,
        take: (CInt) -> CInt
    ) {
        var channel: Descriptor?
        if old.channel != -1 { channel = Descriptor(take(old.channel)) }
        let replies = old.replies.map { $0 == -1 ? nil : OpenSocket(Descriptor(take($0))) }
        self.init(old.pid, slot: old.slot, exit: exit, channel: channel, outOfMemory: outOfMemory)
        self.replies = replies
        reader = ChildMessageReader(continuing: old.begun)
        isIgnored = old.record.flag("ignored")
        isKilled = old.record.flag("killed")
        hasBound = old.record.flag("bound")
        handoverVersion = old.version
    }
}
