// Binding and listening, in an order that leaves no gap for another process.
import PreforkLibc

extension Listener {
    /// Binds and listens. Unix-domain sockets are always shared.
    static func open(_ resolved: Resolved, _ options: Options) throws(SystemError) -> Listener {
        switch resolved.address.endpoint {
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
        let first: Descriptor
        do {
            first = try makeTCP(family: wanted.family, network, options)
        } catch {
            // A kernel without IPv6: "any address" then means any IPv4 address, as in Go's net.Listen.
            guard error.code == EAFNOSUPPORT, host.isEmpty, network == .tcp else { throw error }
            wanted = try lookUp(host, .tcp4, context: address.description)
            first = try makeTCP(family: AF_INET, network, options)
        }
        wanted.port = UInt16(clamping: port)
        // Bound without SO_REUSEPORT: if another process listens there, in any mode, this is EADDRINUSE. The flag is
        // set later on the same bound socket, so no other process can come in between.
        try wanted.bind(first.raw, context: address.description)
        let bound = try SocketAddress(of: first.raw)
        let (decoy, fault) = try makeDecoy(for: first.raw, bound, network, options)
        var sockets = [OpenSocket(first)]
        try System.listen(sockets[0].raw, backlog: options.backlog, address.description)
        for _ in 1..<max(1, options.shards ?? 1) {
            let next = try makeTCP(family: bound.family, network, options)
            try PlatformListener.setReuseport(next.raw)
            try bound.bind(next.raw, context: address.description)
            try System.listen(next.raw, backlog: options.backlog, address.description)
            sockets.append(OpenSocket(next))
        }
        // From now on another process of this user that binds with the option gets no connections. If the kernel
        // refuses, the first steering of a running fleet reports it.
        if options.shards != nil || options.closesAdmission {
            try? ReuseportSteering.spread(over: Array(sockets.indices), of: sockets.count).attach(to: sockets[0].raw)
        }
        return Listener(
            address: try Prefork.Address(bound, network: address.network, name: address.name),
            mode: options.shards == nil ? .shared : .sharded,
            sockets: sockets,
            backlog: options.backlog,
            decoy: decoy,
            admissionFault: fault
        )
    }

    /// Binds the decoys now: at the stop this process may no longer have a right to the port.
    private static func makeDecoy(
        for first: CInt,
        _ bound: SocketAddress,
        _ network: Prefork.Address.Network,
        _ options: Options
    ) throws(SystemError) -> (Decoy?, fault: String?) {
        let canSteer = PlatformListener.spreadsConnections
        let fault =
            options.closesAdmission && !canSteer
            ? "this system cannot steer connections; those that no child accepts are reset" : nil
        // SO_REUSEPORT lets other processes of this user bind the address, so it is set only if it is needed.
        guard options.shards != nil || options.closesAdmission && canSteer else { return (nil, fault) }
        do throws(SystemError) {
            try PlatformListener.setReuseport(first)
        } catch {
            if options.shards != nil { throw error }
            return (nil, "\(error)")
        }
        guard options.closesAdmission, canSteer else { return (nil, fault) }
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
            return (Decoy(sockets, address: bound, slots: options.shards ?? 1, awaitsHandshakes: awaits), nil)
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
        // Until listen(2) has returned, a connect to the new file is refused like one to a stale file. The lock keeps
        // other masters from removing it.
        return try DirectoryLock.withLock(ofFile: path) { () throws(SystemError) -> Listener in
            try SocketFile.removeIfStale(path)
            let socket = try PlatformListener.makeSocket(family: AF_UNIX)
            try SocketAddress(unixPath: path).bind(socket.raw, context: address.description)
            let made = try System.identity(ofPath: path).identity
            do throws(SystemError) {
                try System.listen(socket.raw, backlog: options.backlog, address.description)
                let moved = try System.move(socket, atLeast: options.lowest)
                return Listener(
                    address: address,
                    mode: .shared,
                    sockets: [OpenSocket(moved)],
                    backlog: options.backlog,
                    file: SocketFile(path: path, identity: made),
                    admissionFault: options.closesAdmission
                        ? "a Unix-domain socket cannot keep new connections out; those that no child accepts are reset"
                        : nil
                )
            } catch {
                unlink(path)
                throw error
            }
        }
    }
}
