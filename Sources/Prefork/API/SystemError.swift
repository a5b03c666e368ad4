import PreforkLibc

extension Prefork {
    /// A C function that failed.
    public struct SystemError: Error, Sendable, Hashable, CustomStringConvertible {
        /// The C function, for example `bind`.
        public let call: String
        /// The value of `errno` (errno(3)).
        public let code: CInt
        /// The subject of the call, for example an address or a path. May be empty.
        public let context: String
        /// The C library's text for ``code`` (strerror_r(3), gai_strerror(3)).
        public var message: String { ownMessage ?? System.message(for: code) }
        /// `nil` if strerror_r(3) has the text. That text is looked up on demand, because even EAGAIN is an error.
        private let ownMessage: String?

        /// Creates an error of the C function `call`.
        public init(call: String, code: CInt, context: String = "") {
            self.init(call: call, code: code, context: context, message: nil)
        }

        /// - Parameter message: the text of a code that is not a value of `errno`.
        init(call: String, code: CInt, context: String, message: String?) {
            self.call = call
            self.code = code
            self.context = context
            ownMessage = message
        }

        /// A start that the program's own closure refused. It has no value of `errno`.
        init(refusal error: PreforkError) {
            self.init(call: "spawn", code: 0, context: "", message: "\(error)")
        }

        /// For example `bind 127.0.0.1:80: Permission denied (errno 13)`.
        public var description: String {
            let subject = context.isEmpty ? call : "\(call) \(context)"
            if ownMessage != nil, code == 0 { return "\(subject): \(message)" }
            return "\(subject): \(message) (\(ownMessage == nil ? "errno" : "code") \(code))"
        }
    }
}

typealias SystemError = Prefork.SystemError

extension SystemError {
    /// Whether descriptors or memory are exhausted. The same call may succeed later.
    var isShortage: Bool { [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) }
    /// Whether a start failed for lack of a resource, including processes (posix_spawn(3) fails with EAGAIN at their
    /// limit).
    var isShortageForSpawn: Bool { isShortage || code == EAGAIN }
    var isAddressInUse: Bool { code == EADDRINUSE }
    /// Whether this host does not have the address yet, or the resolver cannot answer yet. Both are common while a host
    /// starts.
    var isAddressNotThereYet: Bool { ownMessage == nil ? code == EADDRNOTAVAIL : code == EAI_AGAIN }
    /// Whether the same call may succeed later, even if the program, its configuration and its rights stay the same.
    var mayPass: Bool {
        isAddressNotThereYet || (ownMessage == nil ? isAddressInUse || isShortageForSpawn : code == EAI_MEMORY)
    }
    var isNoSuchProcess: Bool { code == ESRCH }
}
