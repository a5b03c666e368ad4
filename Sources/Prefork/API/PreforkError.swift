/// An error that Prefork throws.
///
/// ``code`` says what is wrong. The other properties are its details: each code in ``Code`` lists which of them it has,
/// and the others are `nil` or empty. ``Prefork/Event`` says why a new code breaks no program.
///
/// ```swift
/// do {
///     try fleet.run { child in … }
/// } catch let error as PreforkError where error.code == .cannotListen {
///     print(error.address, error.systemError)
/// }
/// ```
///
/// `run` throws the error of a hook as it is, without wrapping it in a `PreforkError`.
public struct PreforkError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Payload: Sendable, Hashable {
        case invalidAddress(String, reason: String)
        case cannotListen(Prefork.Address, Prefork.SystemError)
        case invalidConfiguration(String, reason: String)
        case invalidTLSIdentity(String)
        case invalidHandshake(reason: String)
        case masterIsGone(pid: Int32)
        case invalidHandover(reason: String)
        case alreadyRunning
        case earlierRunFailed
        case childHasServed
        case overRecovery([Prefork.ChildExit])
        case childExited(Prefork.ChildExit)
        case childRefused(Prefork.ChildExit)
        case spawnClosureFailed(slot: Int, ForeignError)
        case spawnedStranger(slot: Int, pid: Int32)
        case listenerTaken(index: Int)
        case noSuchListener(index: Int, count: Int)
        case noListenerNamed(String)
        case cannotAdopt(Int32, reason: String)
        case noActivatedSockets(reason: String)
        case system(Prefork.SystemError)
    }

    package let payload: Payload

    private init(_ payload: Payload) { self.payload = payload }

    /// The status that `Prefork.main` exits with (sysexits.h).
    ///
    /// 64 for a wrong use or address, 78 for a wrong configuration, 75 for causes that may pass by themselves (an
    /// address in use, an address that the host does not have yet, a shortage) and in a child whose master is gone, and
    /// 70 otherwise.
    public var exitStatus: Int32 {
        switch payload {
        case .cannotListen(_, let error) where error.mayPass: 75
        case .system(let error) where error.mayPass: 75
        case .invalidAddress, .cannotListen, .cannotAdopt, .noActivatedSockets, .invalidHandshake, .invalidHandover: 64
        case .invalidConfiguration, .invalidTLSIdentity, .childRefused: 78
        case .masterIsGone: 75
        default: 70
        }
    }

    /// A description on one line.
    public var description: String {
        switch payload {
        case .invalidAddress(let text, let reason): "invalid address \(quoted(text)): \(reason)"
        case .cannotListen(let address, let error): "cannot listen on \(address): \(error)"
        case .invalidConfiguration(let name, let reason): "invalid \(name): \(reason)"
        case .invalidTLSIdentity(let reason): "invalid TLS identity: \(reason)"
        case .invalidHandshake(let reason):
            "this process has variables that only a Prefork master sets, but it is not that master's child: \(reason)"
        case .masterIsGone(let pid): "the master \(pid) is gone"
        case .invalidHandover(let reason):
            "this program cannot take the place of the one before in this process: \(reason)"
        case .alreadyRunning: "a fleet is already running in this process"
        case .earlierRunFailed: "this run failed in the master; the child belongs to a later run"
        case .childHasServed: "this child has already served"
        case .overRecovery(let exits):
            "giving up after too many exits of children (recovery.threshold, recovery.limitPerSlot)"
                + (exits.last.map { "; the last of \(exits.count): \($0)" } ?? "")
        case .childExited(let exit): "recovery is off and \(exit)"
        case .childRefused(let exit):
            "not trying again, because the status is in recovery.fatalExitStatuses: \(exit)"
        case .spawnClosureFailed(let slot, let foreign):
            "the spawn closure failed for slot \(slot): \(foreign.error)"
        case .spawnedStranger(let slot, let pid):
            "the spawn closure returned \(pid) for slot \(slot), which is not a live child of this process"
        case .listenerTaken(let index): "listener \(index) is already taken"
        case .noSuchListener(let index, let count): "there is no listener \(index); there are \(count)"
        case .noListenerNamed(let name): "there is no listener named \(quoted(name))"
        case .cannotAdopt(_, let reason): "cannot adopt a listener: \(reason)"
        case .noActivatedSockets(let reason): "no activated sockets: \(reason)"
        case .system(let error): "\(error)"
        }
    }
}

// Errors are made as if `PreforkError` were the enumeration of its payloads.
extension PreforkError {
    /// An error for code that uses a ``Prefork/TLSIdentity``, such as an adapter for a TLS library.
    ///
    /// `Prefork.main` exits with status 78 for it, in a child too. That ends a fleet that has not served yet.
    public static func invalidTLSIdentity(_ reason: String) -> Self { Self(.invalidTLSIdentity(reason)) }

    package static func invalidAddress(_ text: String, reason: String) -> Self {
        Self(.invalidAddress(text, reason: reason))
    }
    package static func cannotListen(_ address: Prefork.Address, _ error: Prefork.SystemError) -> Self {
        Self(.cannotListen(address, error))
    }
    package static func invalidConfiguration(_ name: String, reason: String) -> Self {
        Self(.invalidConfiguration(name, reason: reason))
    }
    package static func invalidHandshake(reason: String) -> Self { Self(.invalidHandshake(reason: reason)) }
    package static func masterIsGone(pid: Int32) -> Self { Self(.masterIsGone(pid: pid)) }
    package static func invalidHandover(reason: String) -> Self { Self(.invalidHandover(reason: reason)) }
    package static var alreadyRunning: Self { Self(.alreadyRunning) }
    package static var earlierRunFailed: Self { Self(.earlierRunFailed) }
    package static var childHasServed: Self { Self(.childHasServed) }
    package static func overRecovery(_ exits: [Prefork.ChildExit]) -> Self { Self(.overRecovery(exits)) }
    package static func childExited(_ exit: Prefork.ChildExit) -> Self { Self(.childExited(exit)) }
    package static func childRefused(_ exit: Prefork.ChildExit) -> Self { Self(.childRefused(exit)) }
    package static func spawnClosureFailed(slot: Int, _ error: any Error) -> Self {
        Self(.spawnClosureFailed(slot: slot, ForeignError(error)))
    }
    package static func spawnedStranger(slot: Int, pid: Int32) -> Self { Self(.spawnedStranger(slot: slot, pid: pid)) }
    package static func listenerTaken(index: Int) -> Self { Self(.listenerTaken(index: index)) }
    package static func noSuchListener(index: Int, count: Int) -> Self {
        Self(.noSuchListener(index: index, count: count))
    }
    package static func noListenerNamed(_ name: String) -> Self { Self(.noListenerNamed(name)) }
    package static func cannotAdopt(_ descriptor: Int32, reason: String) -> Self {
        Self(.cannotAdopt(descriptor, reason: reason))
    }
    package static func noActivatedSockets(reason: String) -> Self { Self(.noActivatedSockets(reason: reason)) }
    package static func system(_ error: Prefork.SystemError) -> Self { Self(.system(error)) }
}

/// Turns an error of a system call into a ``PreforkError``.
func wrappingSystemErrors<Value: ~Copyable>(_ body: () throws(SystemError) -> Value) throws(PreforkError) -> Value {
    do throws(SystemError) {
        return try body()
    } catch {
        throw .system(error)
    }
}
