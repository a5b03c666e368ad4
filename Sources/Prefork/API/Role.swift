extension Prefork {
    /// The role of a process in a fleet.
    public enum Role: Sendable {
        /// The process that the user started.
        case master
        /// A child in this slot.
        case child(slot: Int)
        /// The process has the variables of a child, but is not one. `run` and `main` fail with this error.
        case invalid(PreforkError)
    }

    /// The role of this process, master or child.
    ///
    /// Read it at the start of `main`, before the program builds anything expensive, starts a thread or ignores a
    /// signal. Children start with the ignored signals and the working directory that the master has at the first read.
    /// The first read also removes the handshake variables from the environment and sets close-on-exec on the inherited
    /// descriptors, so that no process that this one starts mistakes itself for a child. Call it from any thread.
    public static var role: Role {
        switch inheritance {
        case .nothing: .master
        case .handshake(let handshake): .child(slot: handshake.slot)
        case .invalid(let error): .invalid(error)
        }
    }

    /// The arguments of this process, with the program's name first.
    ///
    /// They are the arguments in `CommandLine`, but are also known on a Linux system without /proc. Bytes that are not
    /// UTF-8 are repaired.
    public static var arguments: [String] { ProcessArguments.own.map(\.text) }

    /// The inheritance of this process from a master. This is not a `Result`, because the runtime would search all
    /// libraries for the error's conformance.
    enum Inheritance {
        case nothing
        case handshake(Handshake)
        case invalid(PreforkError)
    }

    /// The handshake of this process. `nil` in a master.
    static func handshake() throws(PreforkError) -> Handshake? {
        switch inheritance {
        case .nothing: nil
        case .handshake(let handshake): handshake
        case .invalid(let error): throw error
        }
    }

    static let inheritance: Inheritance = {
        let decoded = Handshake.decode { System.environmentValue($0) }
        for name in Handshake.names { System.removeEnvironmentValue(name) }
        switch decoded {
        case .absent:
            Succession.find()
            InheritedDescriptors.find()
            _ = ProcessStart.own  // From here on, the program may change the state that this reads.
            return .nothing
        case .broken(let reason): return .invalid(.invalidHandshake(reason: reason))
        case .complete(let handshake): return accept(handshake)
        }
    }()

    /// Nothing is touched unless the channel descriptor is the announced one, because the numbers can belong to other
    /// files.
    private static func accept(_ handshake: Handshake) -> Inheritance {
        let channel = handshake.channelDescriptor
        guard System.identity(of: channel) == handshake.channel else {
            return .invalid(.invalidHandshake(reason: "descriptor \(channel) is not the child channel"))
        }
        guard System.parentPID == handshake.masterPID else {
            return .invalid(.masterIsGone(pid: handshake.masterPID))
        }
        for (descriptor, address) in zip(handshake.listeners, handshake.addresses) {
            if let fault = Listener.fault(of: descriptor, unix: address.isUnix) {
                return .invalid(.invalidHandshake(reason: fault))
            }
        }
        do {
            for descriptor in handshake.listeners { try System.setCloseOnExec(descriptor) }
            try System.setCloseOnExec(channel)
        } catch {
            return .invalid(.system(error))
        }
        // A child that was executed as /proc/self/exe is called "exe" until here.
        if let name = ProcessArguments.own.first { ProgramFile.setCommandName(name, suffix: ":\(handshake.slot)") }
        return .handshake(handshake)
    }
}
