/// Everything that can go wrong, each with what was wrong.
///
/// What a hook throws is not wrapped: `run` throws it as it is.
public enum PreforkError: Error, Sendable, CustomStringConvertible {
    /// An address that nothing could be bound to; the text is what was given.
    case invalidAddress(String, reason: String)
    /// The system refused to listen there: taken (EADDRINUSE), not allowed (EACCES), no such host or directory.
    case cannotListen(Prefork.Address, Prefork.SystemError)
    /// A value in ``Prefork/Configuration`` or a variable that stands for one, by name.
    case invalidConfiguration(String, reason: String)
    /// Certificate chain or private key are missing, unreadable, no PEM or exchanged.
    case invalidTLSIdentity(String)
    /// Variables that only a master sets are there, but do not describe this process: it must not become a master.
    case invalidHandshake(reason: String)
    /// This process was started as a child, and its master is dead already.
    case masterIsGone(pid: Int32)
    /// There is a running master in this process.
    case alreadyRunning
    /// In a child: this run is one that its master has behind it, where it ended with an error. The child belongs to a later
    /// one.
    case earlierRunFailed
    /// In a child: it has served; what it had inherited is gone.
    case childHasServed
    /// More exits than ``Prefork/Configuration/recoverThreshold`` or ``Prefork/Configuration/recoverLimitPerSlot`` allow;
    /// the last of them (at most 32), the newest at the end.
    case overRecovery([Prefork.ChildExit])
    /// A child ended unasked while ``Prefork/Configuration/recoverThreshold`` is `.never`.
    case childExited(Prefork.ChildExit)
    /// A child left with a status of ``Prefork/Configuration/fatalExitStatuses``: another try would end the same way.
    case childRefused(Prefork.ChildExit)
    /// The ``Prefork/Configuration/spawn`` closure threw something other than a ``Prefork/SystemError``.
    case spawnClosureFailed(slot: Int, any Error)
    /// The ``Prefork/Configuration/spawn`` closure returned the id of a process that is no live child of this one.
    case spawnedStranger(slot: Int, pid: Int32)
    /// ``Prefork/Child/takeListener(at:)`` for a listener that somebody has taken before.
    case listenerTaken(index: Int)
    /// ``Prefork/Child/takeListener(at:)`` for a listener that there is not.
    case noSuchListener(index: Int, count: Int)
    /// ``Prefork/Child/takeListener(named:)`` for a name that no listener has.
    case noListenerNamed(String)
    /// A descriptor of ``Prefork/SocketSource`` that is no bound, listening stream socket.
    case cannotAdopt(Int32, reason: String)
    /// ``Prefork/SocketSource/systemd``, and nobody has handed over sockets to this process.
    case noActivatedSockets(reason: String)
    /// The system refused something that a master or child cannot do without.
    case system(Prefork.SystemError)

    /// What `Prefork.main` exits with (sysexits.h): 64 usage or address,
    /// 78 configuration, 75 for a child whose master is gone, 70 otherwise.
    public var exitStatus: Int32 {
        switch self {
        case .invalidAddress, .cannotListen, .cannotAdopt, .noActivatedSockets, .invalidHandshake: 64
        case .invalidConfiguration, .invalidTLSIdentity, .childRefused: 78
        case .masterIsGone: 75
        default: 70
        }
    }

    /// One line.
    public var description: String {
        switch self {
        case .invalidAddress(let text, let reason): "invalid address \(quoted(text)): \(reason)"
        case .cannotListen(let address, let error): "cannot listen on \(address): \(error)"
        case .invalidConfiguration(let name, let reason): "invalid \(name): \(reason)"
        case .invalidTLSIdentity(let reason): "invalid TLS identity: \(reason)"
        case .invalidHandshake(let reason):
            "this process has variables that only a Prefork master sets, but it is not that master's child: \(reason)"
        case .masterIsGone(let pid): "the master \(pid) is gone"
        case .alreadyRunning: "a master is already running in this process"
        case .earlierRunFailed: "this run has failed in the master, whose later run this child belongs to"
        case .childHasServed: "this child has served already"
        case .overRecovery(let exits):
            "giving up after too many exits of children (recoverThreshold, recoverLimitPerSlot)"
                + (exits.last.map { "; the last of \(exits.count): \($0)" } ?? "")
        case .childExited(let exit): "recovery is off and \(exit)"
        case .childRefused(let exit): "not tried again, its status being one of fatalExitStatuses: \(exit)"
        case .spawnClosureFailed(let slot, let error): "the spawn closure failed for slot \(slot): \(error)"
        case .spawnedStranger(let slot, let pid):
            "the spawn closure returned \(pid) for slot \(slot), which is no live child of this process"
        case .listenerTaken(let index): "listener \(index) has been taken before"
        case .noSuchListener(let index, let count): "there is no listener \(index); there are \(count)"
        case .noListenerNamed(let name): "there is no listener named \(quoted(name))"
        case .cannotAdopt(_, let reason): "cannot adopt a listener: \(reason)"
        case .noActivatedSockets(let reason): "no inherited listeners: \(reason)"
        case .system(let error): "\(error)"
        }
    }
}

/// What the system refuses is one of our errors.
func wrappingSystemErrors<Value: ~Copyable>(_ body: () throws(SystemError) -> Value) throws(PreforkError) -> Value {
    do throws(SystemError) {
        return try body()
    } catch {
        throw .system(error)
    }
}
