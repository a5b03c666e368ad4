extension Prefork {
    /// Listening sockets that the program itself, or the process that started it, has bound.
    ///
    /// All children share them, and their owner keeps them. The descriptors stay open. After `run` they listen with the
    /// flags, backlog and filters that they had before.
    ///
    /// While the fleet runs, the sockets are non-blocking. O_NONBLOCK belongs to the socket and not to the descriptor,
    /// so it affects every process that has the socket. A stop does not hold off new connections. They wait for the
    /// next process that accepts.
    ///
    /// The clients of a Unix-domain socket see the process that called listen(2) as their peer (SO_PEERCRED, unix(7)).
    /// Prefork calls it only if a child's framework has changed the backlog.
    public struct SocketSource: Sendable {
        /// A descriptor in this process, and its name.
        struct Socket: Equatable {
            let descriptor: Int32
            let name: String?
        }

        private enum Source: Sendable {
            case none
            case descriptors(@Sendable () throws -> [Int32], names: [String])
            case activation
        }

        private let source: Source

        var isNone: Bool {
            if case .none = source { true } else { false }
        }

        /// No sockets.
        public static let none = SocketSource(source: .none)

        /// The sockets that systemd, or another program with its protocol, passed to this process.
        ///
        /// LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES describe them (sd_listen_fds(3)). If there are none, or they are
        /// meant for another process, `run` throws ``PreforkError/Code/noActivatedSockets``.
        public static let systemd = SocketSource(source: .activation)

        /// Bound, listening stream sockets, TCP or Unix-domain.
        ///
        /// If one is something else, `run` throws ``PreforkError/Code/cannotAdopt``.
        /// - Parameters:
        ///   - descriptors: Evaluated once for each run, in the master only. A child inherits the sockets, and could
        ///     not bind them again. `run` throws the errors of this expression.
        ///   - names: Names for ``Child/takeListener(named:)``, in the same order. There may be fewer.
        public static func descriptors(
            _ descriptors: @autoclosure @escaping @Sendable () throws -> [Int32],
            names: [String] = []
        ) -> SocketSource {
            SocketSource(source: .descriptors(descriptors, names: names))
        }

        /// Checks what can be known without evaluating anything.
        ///
        /// Call it before anything is opened. Afterwards, a descriptor that LISTEN_FDS counts by mistake could be
        /// Prefork's own.
        func check() throws(PreforkError) {
            guard case .activation = source else { return }
            let descriptors = try Self.activated().descriptors
            if let missing = descriptors.first(where: { !System.isOpen($0) }) {
                throw .noActivatedSockets(
                    reason: "LISTEN_FDS says \(descriptors.count), but descriptor \(missing) is not open")
            }
        }

        /// How many sockets were passed to this process although it does not adopt them.
        var unused: Int {
            guard case .none = source else { return 0 }
            return (try? Self.activated())?.descriptors.count ?? 0
        }

        private static func activated() throws(PreforkError) -> ActivatedSockets {
            let (found, fault) = ActivatedSockets.decode(pid: System.pid) { System.environmentValue($0) }
            guard let found else { throw .noActivatedSockets(reason: fault) }
            return found
        }

        /// Evaluates the source. Call it in the master only.
        func sockets() throws -> [Socket] {
            switch source {
            case .none: return []
            case .descriptors(let make, let names):
                let descriptors = try make()
                guard names.count <= descriptors.count else {
                    throw PreforkError.invalidConfiguration(
                        "adopting", reason: "\(names.count) names for \(descriptors.count) descriptors")
                }
                return try Self.checked(
                    descriptors.indices.map {
                        Socket(descriptor: descriptors[$0], name: names.indices.contains($0) ? names[$0] : nil)
                    })
            case .activation:
                let found = try Self.activated()
                // sd_listen_fds(3) sets the flag, too. A descriptor that is not open fails when it is adopted.
                for descriptor in found.descriptors { try? System.setCloseOnExec(descriptor) }
                return zip(found.descriptors, found.names).map { Socket(descriptor: $0, name: $1.isEmpty ? nil : $1) }
            }
        }

        private static func checked(_ sockets: [Socket]) throws(PreforkError) -> [Socket] {
            for (index, socket) in sockets.enumerated()
            where sockets[..<index].contains(where: { $0.descriptor == socket.descriptor }) {
                throw .cannotAdopt(socket.descriptor, reason: "descriptor \(socket.descriptor) is listed twice")
            }
            for name in sockets.compactMap(\.name) where name.isEmpty || name.utf8.contains(0) {
                throw .invalidConfiguration("adopting", reason: "\(quoted(name)) is not a name")
            }
            return sockets
        }
    }
}
