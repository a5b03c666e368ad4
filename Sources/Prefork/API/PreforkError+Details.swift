extension PreforkError {
    /// The system call that failed.
    public var systemError: Prefork.SystemError? {
        switch payload {
        case .cannotListen(_, let error), .system(let error): error
        default: nil
        }
    }

    /// The exits that ended the fleet, at most 32, with the newest at the end.
    public var exits: [Prefork.ChildExit] {
        switch payload {
        case .overRecovery(let exits): exits
        case .childExited(let exit), .childRefused(let exit): [exit]
        default: []
        }
    }

    /// The error that the program's own closure threw.
    public var underlyingError: (any Error)? {
        if case .spawnClosureFailed(_, let foreign) = payload { foreign.error } else { nil }
    }

    /// The fault, as a text.
    public var reason: String? {
        switch payload {
        case .invalidAddress(_, let reason), .invalidConfiguration(_, let reason), .invalidTLSIdentity(let reason),
            .invalidHandshake(let reason), .invalidHandover(let reason), .cannotAdopt(_, let reason),
            .noActivatedSockets(let reason):
            reason
        default: nil
        }
    }

    /// The subject of the error, as a text. The code says which subject.
    public var subject: String? {
        switch payload {
        case .invalidAddress(let text, _): text
        case .invalidConfiguration(let name, _), .noListenerNamed(let name): name
        default: nil
        }
    }

    /// The address that the master could not listen on.
    public var address: Prefork.Address? {
        if case .cannotListen(let address, _) = payload { address } else { nil }
    }

    /// The descriptor that could not be adopted.
    public var descriptor: Int32? {
        if case .cannotAdopt(let descriptor, _) = payload { descriptor } else { nil }
    }

    /// The slot whose child could not be started.
    public var slot: Int? {
        switch payload {
        case .spawnClosureFailed(let slot, _), .spawnedStranger(let slot, _): slot
        default: nil
        }
    }

    /// A process id. The code says whose.
    public var pid: Int32? {
        switch payload {
        case .masterIsGone(let pid), .spawnedStranger(_, let pid): pid
        default: nil
        }
    }

    /// The index of the listener.
    public var index: Int? {
        switch payload {
        case .listenerTaken(let index), .noSuchListener(let index, _): index
        default: nil
        }
    }

    /// How many listeners the child has.
    public var count: Int? {
        if case .noSuchListener(_, let count) = payload { count } else { nil }
    }
}

/// An error that the program threw, which need not be `Hashable`.
///
/// Two values are equal if their errors have the same `Hashable` type and compare equal. An error of any other type has
/// no equality of its own. It equals only itself, which includes copies of the value that holds it. The box provides
/// that identity.
package struct ForeignError: Sendable, Hashable {
    private final class Box: Sendable {
        let error: any Error
        init(_ error: any Error) { self.error = error }
    }

    private let box: Box
    package var error: any Error { box.error }

    package init(_ error: any Error) { box = Box(error) }

    package static func == (left: ForeignError, right: ForeignError) -> Bool {
        func isEqual<Value: Hashable>(_ value: Value) -> Bool {
            // Requires the same type, because a subclass could be equal to its superclass in one direction only.
            type(of: right.error) == Value.self && right.error as? Value == value
        }
        if left.box === right.box { return true }
        guard let error = left.error as? any Hashable else { return false }
        return isEqual(error)
    }

    package func hash(into hasher: inout Hasher) {
        if let error = error as? any Hashable {
            error.hash(into: &hasher)
        } else {
            hasher.combine(ObjectIdentifier(box))
        }
    }
}
