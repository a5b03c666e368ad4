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
        case .none: .master
        case .some(.success(let handshake)): .child(slot: handshake.slot)
        case .some(.failure(let error)): .invalid(error)
        }
    }

    /// What the master has told this process; nil in a master.
    static let inheritance: Result<Handshake, PreforkError>? = {
        let decoded = Handshake.decode { System.environmentValue($0)?.text }
        for name in Handshake.names { System.removeEnvironmentValue(name) }
        switch decoded {
        case .absent: return nil
        case .broken(let reason): return .failure(.invalidHandshake(reason: reason))
        case .complete(let handshake): return accept(handshake)
        }
    }()

    /// Nothing is touched unless the control descriptor is the announced one: the numbers may be anybody's.
    private static func accept(_ handshake: Handshake) -> Result<Handshake, PreforkError> {
        let control = handshake.controlDescriptor
        guard System.identity(of: control) == handshake.control else {
            return .failure(.invalidHandshake(reason: "descriptor \(control) is not the control channel"))
        }
        guard System.parentProcessID == handshake.masterID else {
            return .failure(.masterIsGone(pid: handshake.masterID))
        }
        for (descriptor, address) in zip(handshake.listeners, handshake.addresses) {
            if let fault = Listener.fault(of: descriptor, unix: address.isUnix) {
                return .failure(.invalidHandshake(reason: fault))
            }
        }
        do {
            for descriptor in handshake.listeners { try System.setCloseOnExec(descriptor) }
            try System.setCloseOnExec(control)
        } catch {
            return .failure(.system(error))
        }
        if let name = ProcessArguments.own.first { ProgramFile.restoreCommandName(name) }
        return .success(handshake)
    }
}

/// This process's own argv, byte by byte.
enum ProcessArguments {
    static var own: [CString] {
        (0..<Int(CommandLine.argc)).compactMap { CommandLine.unsafeArgv[$0].map { CString(copying: $0) } }
    }
}
