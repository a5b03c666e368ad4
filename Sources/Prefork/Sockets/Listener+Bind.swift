// Binding and listening, in an order that leaves no gap for another process.
import PreforkLibc

extension Listener {
    /// Binds and listens. Unix-domain sockets are always shared.
    static func open(_ resolved: Resolved, _ options: Options) throws(SystemError) -> Listener {
        if let delay = resolved.delay { throw delay }
        return switch resolved.address.endpoint {
        case .tcp(let host, let port): try openTCP(resolved, host, port, options)
        case .unix(let path): try openUnix(resolved.address, path, options)
        }
    }

    // MARK: TCP

    private static func openTCP(
        _ target: Resolved,
        _ host: String,
        _ port: Int,
        _ options: Options
    ) throws(SystemError) -> Listener {
        let address = target.address
        let network = address.effectiveNetwork
        var wanted = target.socketAddress ?? SocketAddress(any: AF_INET)
        let first: OpenSocket
        do {
            first = OpenSocket(try makeTCP(family: wanted.family, network, options))
        } catch {
            // On a kernel without IPv6, "any address" means any IPv4 address, as in Go's net.Listen.
            guard error.code == EAFNOSUPPORT, host.isEmpty, network == .tcp else { throw error }
            wanted = try lookUp(host, .tcp4, context: address.description)
            first = OpenSocket(try makeTCP(family: AF_INET, network, options))
        }
        wanted.port = UInt16(clamping: port)
        let isGroup = options.shards != nil || options.closesAdmission && PlatformListener.spreadsConnections
        let groupFault = try claim(first.raw, options.backlog, address.description, isGroup: isGroup) {
            () throws(SystemError) in
            try wanted.bind(first.raw, context: address.description)
        }
        if let groupFault, options.shards != nil { throw groupFault }
        let bound = try SocketAddress(of: first.raw)
        var sockets = [first]
        for member in try bindMembers(max(1, options.shards ?? 1) - 1, bound, address, options) {
            try System.listen(member.raw, backlog: options.backlog, address.description)
            sockets.append(member)
        }
        if options.shards != nil { spread(over: sockets) }
        let (decoy, fault) = groupFault.map { (nil, "\($0)") } ?? makeDecoy(bound, network, options)
        return Listener(
            address: try Prefork.Address(bound, network: address.network, name: address.name),
            mode: options.shards == nil ? .shared : .sharded,
            sockets: sockets,
            lowest: options.lowest,
            bound: bound,
            isGroup: isGroup && groupFault == nil,
            backlog: options.backlog,
            decoy: decoy,
            admissionFault: fault
        )
    }

    /// Binds further sockets of a group.
    static func bindMembers(
        _ count: Int, _ bound: SocketAddress, _ address: Prefork.Address, _ options: Options
    ) throws(SystemError) -> [OpenSocket] {
        var members: [OpenSocket] = []
        for _ in 0..<count {
            let next = try makeTCP(family: bound.family, address.effectiveNetwork, options)
            try PlatformListener.setReuseport(next.raw)
            try bound.bind(next.raw, context: address.description)
            members.append(OpenSocket(next))
        }
        return members
    }

    /// Makes a socket the first one that listens on its address.
    ///
    /// It binds and listens without SO_REUSEPORT. Two masters that start at the same moment may both bind, because of
    /// SO_REUSEADDR, but only one of them can listen then. The other gets EADDRINUSE from one of the two calls. The
    /// flag is set once this process has the address. It lets the other sockets of the group join.
    /// - Returns: why the socket cannot have a group.
    static func claim(
        _ socket: CInt, _ backlog: CInt, _ context: String, isGroup: Bool, bind: () throws(SystemError) -> Void
    ) throws(SystemError) -> SystemError? {
        if isGroup { refuseStrangers(socket) }
        try bind()
        try System.listen(socket, backlog: backlog, context)
        do throws(SystemError) {
            if isGroup { try PlatformListener.setReuseport(socket) }
            return nil
        } catch {
            return error
        }
    }

    /// Another process of this user that joins the group gets no connections. The kernel accepts a program for a group
    /// of one only before its socket listens, and only while the flag is set. It keeps the program when the flag is
    /// cleared. If it refuses, such a process gets a share until the fleet steers connections.
    private static func refuseStrangers(_ socket: CInt) {
        do throws(SystemError) {
            try PlatformListener.setReuseport(socket)
        } catch {
            return  // `claim` reports it.
        }
        try? ReuseportSteering.all(to: 0).attach(to: socket)
        try? PlatformListener.setReuseport(socket, false)
    }

    /// If the kernel refuses, the first steering of a running fleet reports it.
    private static func spread(over sockets: [OpenSocket]) {
        do throws(SystemError) {
            try ReuseportSteering.spread(over: SlotSet(sockets.indices)).attach(to: sockets[0].raw)
        } catch {
            // The program that sends all connections to the first socket must not stay.
            try? PlatformListener.detachProgram(from: sockets[0].raw)
        }
    }

    /// Binds the decoys now, because at the stop this process may no longer have a right to the port.
    static func makeDecoy(
        _ bound: SocketAddress,
        _ network: Prefork.Address.Network,
        _ options: Options
    ) -> (Decoy?, fault: String?) {
        guard options.closesAdmission else { return (nil, nil) }
        guard PlatformListener.spreadsConnections else {
            return (nil, "this system cannot steer connections; those that no child accepts are reset")
        }
        // While the slots' sockets are closed one by one, a decoy is needed that is not the group's last socket.
        let count = (options.shards ?? 1) > 1 ? 2 : 1
        do throws(SystemError) {
            var sockets: [OpenSocket] = []
            for _ in 0..<count {
                let socket = try makeTCP(family: bound.family, network, Options(backlog: 0, lowest: options.lowest))
                try PlatformListener.setReuseport(socket.raw)
                try bound.bind(socket.raw, context: "the decoy")
                sockets.append(OpenSocket(socket))
            }
            let awaits = options.deferAccept == nil
            return (Decoy(sockets, address: bound, lowest: options.lowest, awaitsHandshakes: awaits), nil)
        } catch {
            return (nil, "\(error)")
        }
    }

    private static func makeTCP(
        family: CInt,
        _ network: Prefork.Address.Network,
        _ options: Options
    ) throws(SystemError) -> Descriptor {
        let socket = try System.move(try PlatformListener.makeSocket(family: family), atLeast: options.lowest)
        let raw = socket.raw
        // Connections of a predecessor in TIME_WAIT must not block the address. A listening socket still does
        // (socket(7)).
        try SocketOption.set(raw, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR")
        if family == AF_INET6 {
            let only: CInt = network == .tcp6 ? 1 : 0
            try SocketOption.set(raw, SystemConstant.ipv6, IPV6_V6ONLY, only, "IPV6_V6ONLY")
        }
        if let seconds = options.deferAccept { try PlatformListener.setDeferAccept(raw, seconds: seconds) }
        if let queue = options.fastOpen { try PlatformListener.setFastOpen(raw, queue: queue) }
        return socket
    }

    // MARK: Unix-domain

    private static func openUnix(
        _ address: Prefork.Address,
        _ path: String,
        _ options: Options
    ) throws(SystemError) -> Listener {
        guard path.utf8.count <= PlatformListener.longestPath else {
            let detail = "\(address) (\(path.utf8.count) bytes, at most \(PlatformListener.longestPath))"
            throw SystemError(call: "bind", code: ENAMETOOLONG, context: detail)
        }
        // The kernel removes an abstract name with its last socket, so none is ever stale.
        let (socket, file) =
            address.isAbstract
            ? (try bindAbstract(address, path, options), nil)
            : try DirectoryLock.withLock(ofFile: path) { () throws(SystemError) -> (OpenSocket, SocketFile?) in
                try SocketFile.removeIfStale(path)
                return try bindUnix(
                    address, path, backlog: options.backlog, lowest: options.lowest, keepsFile: options.keepsFiles)
            }
        return Listener(
            address: address,
            mode: .shared,
            sockets: [socket],
            lowest: options.lowest,
            backlog: options.backlog,
            file: file,
            admissionFault: options.closesAdmission
                ? "a Unix-domain socket cannot keep new connections out; those that no child accepts are reset"
                : nil
        )
    }

    private static func bindAbstract(
        _ address: Prefork.Address, _ path: String, _ options: Options
    ) throws(SystemError) -> OpenSocket {
        let socket = try System.move(try PlatformListener.makeSocket(family: AF_UNIX), atLeast: options.lowest)
        try SocketAddress(unixPath: "\0" + Substring(path.utf8.dropFirst())).bind(
            socket.raw, context: address.description)
        try System.listen(socket.raw, backlog: options.backlog, address.description)
        return OpenSocket(socket)
    }

    /// Until listen(2) has returned, a connect to the new file is refused like one to a stale file. The lock on the
    /// directory, which the caller holds, keeps other masters from removing it.
    static func bindUnix(
        _ address: Prefork.Address, _ path: String, backlog: CInt, lowest: CInt, keepsFile: Bool
    ) throws(SystemError) -> (OpenSocket, SocketFile) {
        // A child of a takeover removes the path before it asks for it. If it removes a file that has no second name
        // yet, the file is made again. Each start of a child does so once.
        var tries = keepsFile ? mostUnixTries : 1
        while true {
            let socket = try System.move(try PlatformListener.makeSocket(family: AF_UNIX), atLeast: lowest)
            try SocketAddress(unixPath: path).bind(socket.raw, context: address.description)
            do throws(SystemError) {
                var file = SocketFile(path: path, identity: try System.identity(ofPath: path).identity)
                if keepsFile { try file.keep() }
                do throws(SystemError) {
                    try System.listen(socket.raw, backlog: backlog, address.description)
                } catch {
                    file.removeIfOwn()
                    throw error
                }
                return (OpenSocket(socket), file)
            } catch {
                tries -= 1
                guard error.code == ENOENT, tries > 0 else { throw error }
            }
        }
    }

    private static let mostUnixTries = 16
}
