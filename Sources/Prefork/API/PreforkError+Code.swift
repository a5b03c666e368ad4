extension PreforkError {
    /// The kind of an error, without its details.
    ///
    /// A `switch` over a code needs a `default`, which also handles the codes of later versions.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The name of the code, for example `cannotListen`.
        public let description: String

        private init(_ name: String) { description = name }

        // MARK: Before anything starts

        /// No socket can ever have this address. Details: ``PreforkError/subject`` (the text that was given),
        /// ``PreforkError/reason``.
        public static var invalidAddress: Code { Code("invalidAddress") }
        /// A property of ``Prefork/Configuration``, or a variable that replaces one, has a wrong value. Details:
        /// ``PreforkError/subject`` (its path, for example `recovery.window`), ``PreforkError/reason``.
        public static var invalidConfiguration: Code { Code("invalidConfiguration") }
        /// The certificate chain or the private key is missing, unreadable or not PEM, or the two are exchanged.
        /// Detail: ``PreforkError/reason``.
        public static var invalidTLSIdentity: Code { Code("invalidTLSIdentity") }
        /// This process has variables that only a master sets, but they do not describe it. It never becomes a master.
        /// Detail: ``PreforkError/reason``.
        public static var invalidHandshake: Code { Code("invalidHandshake") }
        /// This program took the place of another one in its process (``Prefork/Prefork/upgrade()``), and cannot
        /// continue its fleet. Detail: ``PreforkError/reason``.
        public static var invalidHandover: Code { Code("invalidHandover") }
        /// A fleet is already running in this process. `run`, `main` or `takeOver` was called before and has not
        /// returned.
        public static var alreadyRunning: Code { Code("alreadyRunning") }
        /// The system refused to listen on an address. It is in use (EADDRINUSE) or not permitted (EACCES), the host
        /// does not have it (EADDRNOTAVAIL), or the host's name or the directory does not exist. The address can also
        /// be that of the control socket. Details: ``PreforkError/address``, ``PreforkError/systemError``.
        public static var cannotListen: Code { Code("cannotListen") }
        /// A descriptor of a ``Prefork/SocketSource`` is not a bound, listening stream socket. Details:
        /// ``PreforkError/descriptor``, ``PreforkError/reason``.
        public static var cannotAdopt: Code { Code("cannotAdopt") }
        /// ``Prefork/SocketSource/systemd`` found no sockets for this process. Detail: ``PreforkError/reason``.
        public static var noActivatedSockets: Code { Code("noActivatedSockets") }

        // MARK: In a running fleet

        /// More children exited than ``Prefork/Configuration/Recovery/threshold`` or
        /// ``Prefork/Configuration/Recovery/limitPerSlot`` allows. Detail: ``PreforkError/exits``.
        public static var overRecovery: Code { Code("overRecovery") }
        /// A child exited unexpectedly, and the threshold is ``Prefork/Configuration/Recovery/Threshold/never``.
        /// Detail: ``PreforkError/exits``.
        public static var childExited: Code { Code("childExited") }
        /// A child exited with one of ``Prefork/Configuration/Recovery/fatalExitStatuses``. Another try would end the
        /// same way. Detail: ``PreforkError/exits``.
        public static var childRefused: Code { Code("childRefused") }
        /// ``Prefork/Configuration/Program/spawn`` threw an error other than a ``Prefork/SystemError``. Details:
        /// ``PreforkError/slot``, ``PreforkError/underlyingError``.
        public static var spawnClosureFailed: Code { Code("spawnClosureFailed") }
        /// ``Prefork/Configuration/Program/spawn`` returned the id of a process that is not a live child of this one.
        /// Details: ``PreforkError/slot``, ``PreforkError/pid``.
        public static var spawnedStranger: Code { Code("spawnedStranger") }

        // MARK: In a child

        /// The master died before this child served. Detail: ``PreforkError/pid`` (the master's).
        public static var masterIsGone: Code { Code("masterIsGone") }
        /// This call of `run` failed in the master, and the child belongs to a later call.
        public static var earlierRunFailed: Code { Code("earlierRunFailed") }
        /// The child has already served, and has closed what it had inherited.
        public static var childHasServed: Code { Code("childHasServed") }
        /// The listener was taken before. Detail: ``PreforkError/index``.
        public static var listenerTaken: Code { Code("listenerTaken") }
        /// The child has no listener with that index. Details: ``PreforkError/index``, ``PreforkError/count`` (of
        /// listeners).
        public static var noSuchListener: Code { Code("noSuchListener") }
        /// The child has no listener with that name. Detail: ``PreforkError/subject`` (the name).
        public static var noListenerNamed: Code { Code("noListenerNamed") }

        // MARK: Anywhere

        /// A system call failed that a master or child needs. Detail: ``PreforkError/systemError``.
        public static var system: Code { Code("system") }
    }

    /// The kind of the error.
    public var code: Code {
        switch payload {
        case .invalidAddress: .invalidAddress
        case .cannotListen: .cannotListen
        case .invalidConfiguration: .invalidConfiguration
        case .invalidTLSIdentity: .invalidTLSIdentity
        case .invalidHandshake: .invalidHandshake
        case .masterIsGone: .masterIsGone
        case .invalidHandover: .invalidHandover
        case .alreadyRunning: .alreadyRunning
        case .earlierRunFailed: .earlierRunFailed
        case .childHasServed: .childHasServed
        case .overRecovery: .overRecovery
        case .childExited: .childExited
        case .childRefused: .childRefused
        case .spawnClosureFailed: .spawnClosureFailed
        case .spawnedStranger: .spawnedStranger
        case .listenerTaken: .listenerTaken
        case .noSuchListener: .noSuchListener
        case .noListenerNamed: .noListenerNamed
        case .cannotAdopt: .cannotAdopt
        case .noActivatedSockets: .noActivatedSockets
        case .system: .system
        }
    }
}
