extension Prefork {
    /// What this process is.
    public enum Role: Sendable {
        /// The process that the user started.
        case master
        /// A child in that slot.
        case child(slot: Int)
        /// It has the variables of a child, but is none; `run` and `main` fail with this error.
        case invalid(PreforkError)
    }

    /// Whether this process is a master or a child: to be read first thing in `main`, before anything expensive is built
    /// or any thread is started. Takes the handshake variables out of the environment and sets close-on-exec on the
    /// inherited descriptors, so that nothing that this process starts takes itself for a child. From any thread; only
    /// the first read looks.
    public static var role: Role {
        switch inheritance {
        case .nothing: .master
        case .handshake(let handshake): .child(slot: handshake.slot)
        case .invalid(let error): .invalid(error)
        }
    }

    /// This process's arguments, the program's name first. They are those of `CommandLine`, but for a Linux without /proc: there
    /// Swift finds none, and this does. Repaired where the bytes are no UTF-8.
    public static var arguments: [String] { ProcessArguments.own.map(\.text) }

    /// What a master has told this process. Not a `Result`: to handle one of these types, the runtime looks through all
    /// conformances of all libraries for that of the error.
    enum Inheritance {
        case nothing
        case handshake(Handshake)
        case invalid(PreforkError)
    }

    /// nil in a master.
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
        case .absent: return .nothing
        case .broken(let reason): return .invalid(.invalidHandshake(reason: reason))
        case .complete(let handshake): return accept(handshake)
        }
    }()

    /// Nothing is touched unless the channel descriptor is the announced one: the numbers may be anybody's.
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
        if let name = ProcessArguments.own.first { ProgramFile.restoreCommandName(name) }
        return .handshake(handshake)
    }
}
