extension Prefork {
    /// Listening sockets that somebody else has bound: the program itself, or whoever has started it.
    ///
    /// They are shared by all children and remain their owner's: the descriptors stay open, and when `run` has returned or
    /// thrown they listen, with flags, backlog and filters as found. Who calls listen(2) on a Unix-domain socket
    /// is what its clients see as their peer (SO_PEERCRED, unix(7)): we do so only where a child's framework has changed the
    /// backlog. O_NONBLOCK is set while the fleet runs: it belongs to the socket, not to the descriptor, so every process that
    /// has it is affected. A stop does not keep new connections out: they wait for the next one who accepts.
    public struct SocketSource: Sendable {
        /// A descriptor in this process, and what it is called.
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

        /// Nothing.
        public static let none = SocketSource(source: .none)

        /// The sockets that systemd, or anything else that speaks its protocol, has handed over: LISTEN_PID, LISTEN_FDS and
        /// LISTEN_FDNAMES as sd_listen_fds(3) has them; the names are theirs. `run` throws
        /// ``PreforkError/noActivatedSockets(reason:)`` where there are none, or where they are meant for another process.
        public static let systemd = SocketSource(source: .activation)

        /// Bound, listening stream sockets, TCP or Unix-domain. `run` throws ``PreforkError/cannotAdopt(_:reason:)`` where one
        /// is something else.
        /// - Parameters:
        ///   - descriptors: evaluated in the master only, once a run: a child inherits what came of it there, and would fail
        ///     to bind the same once more. What it throws, `run` throws.
        ///   - names: for ``Child/takeListener(named:)``, in the same order; there may be fewer.
        public static func descriptors(
            _ descriptors: @autoclosure @escaping @Sendable () throws -> [Int32],
            names: [String] = []
        ) -> SocketSource {
            SocketSource(source: .descriptors(descriptors, names: names))
        }

        /// What can be known without evaluating anything.
        func check() throws(PreforkError) {
            if case .activation = source { _ = try Self.activated() }
        }

        /// How many sockets have been handed over that nobody asked for.
        var unused: Int {
            guard case .none = source else { return 0 }
            return (try? Self.activated())?.descriptors.count ?? 0
        }

        private static func activated() throws(PreforkError) -> ActivatedSockets {
            let (found, fault) = ActivatedSockets.decode(pid: System.pid) { System.environmentValue($0) }
            guard let found else { throw .noActivatedSockets(reason: fault) }
            return found
        }

        /// To be called in the master.
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
                // As sd_listen_fds(3) does. A number that is not open is found out when it is looked at.
                for descriptor in found.descriptors { try? System.setCloseOnExec(descriptor) }
                return zip(found.descriptors, found.names).map { Socket(descriptor: $0, name: $1.isEmpty ? nil : $1) }
            }
        }

        private static func checked(_ sockets: [Socket]) throws(PreforkError) -> [Socket] {
            for (index, socket) in sockets.enumerated()
            where sockets[..<index].contains(where: { $0.descriptor == socket.descriptor }) {
                throw .cannotAdopt(socket.descriptor, reason: "descriptor \(socket.descriptor) is there twice")
            }
            for name in sockets.compactMap(\.name) where name.isEmpty || name.utf8.contains(0) {
                throw .invalidConfiguration("adopting", reason: "\(quoted(name)) is no name")
            }
            return sockets
        }
    }
}
