// Binding and listening, in an order that no one else can come between.
import PreforkLibc

extension Listener {
    /// An address whose host has been looked up.
    struct Resolved {
        let address: Prefork.Address
        fileprivate let name: SocketAddress?
    }

    /// Looks the host up (getaddrinfo(3)): of a name that takes as long as the resolver likes.
    static func resolve(_ address: Prefork.Address) throws(SystemError) -> Resolved {
        guard let host = address.host else { return Resolved(address: address, name: nil) }
        let name = try resolve(host, address.effectiveNetwork, context: address.description)
        return Resolved(address: address, name: name)
    }

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
        var name = target.name ?? SocketAddress(any: AF_INET)
        let first: Descriptor
        do {
            first = try makeTCP(family: name.family, network, options)
        } catch {
            // A kernel without IPv6: "any address" then means any IPv4 address, as in Go's net.Listen.
            guard error.code == EAFNOSUPPORT, host.isEmpty, network == .tcp else { throw error }
            name = try resolve(host, .tcp4, context: address.description)
            first = try makeTCP(family: AF_INET, network, options)
        }
        name.port = UInt16(clamping: port)
        // Without SO_REUSEPORT: where somebody else listens, in whatever mode, this is EADDRINUSE. The flag comes on the same
        // bound socket, so that there is no gap in which somebody could come between.
        try name.bind(first.raw, context: address.description)
        let bound = try SocketAddress(of: first.raw)
        let (decoy, fault) = try makeDecoy(for: first.raw, bound, network, options)
        var sockets = [OpenSocket(first)]
        try startListening(sockets[0].raw, options.backlog, address)
        for _ in 1..<max(1, options.shards ?? 1) {
            let next = try makeTCP(family: bound.family, network, options)
            try PlatformListener.setReuseport(next.raw)
            try bound.bind(next.raw, context: address.description)
            try startListening(next.raw, options.backlog, address)
            sockets.append(OpenSocket(next))
        }
        // From now on: another process of this user that binds with the option gets nothing. Where the kernel refuses,
        // steering will say so.
        if options.shards != nil || options.closesAdmission {
            try? PlatformListener.attach(.spread(over: Array(sockets.indices), of: sockets.count), to: sockets[0].raw)
        }
        return Listener(
            address: try bound.address(network: address.network, name: address.name),
            mode: options.shards == nil ? .shared : .sharded,
            sockets: sockets,
            backlog: options.backlog,
            decoy: decoy,
            admissionFault: fault
        )
    }

    /// Bound now, because at the stop this process may have no right to the port any more.
    private static func makeDecoy(
        for first: CInt,
        _ bound: SocketAddress,
        _ network: Prefork.Address.Network,
        _ options: Options
    ) throws(SystemError) -> (Decoy?, fault: String?) {
        let canSteer = PlatformListener.spreadsConnections
        let fault =
            options.closesAdmission && !canSteer
            ? "this system cannot steer connections; what no child accepts is reset" : nil
        // Who does not need the option does without: it lets other processes of this user come beside us.
        guard options.shards != nil || options.closesAdmission && canSteer else { return (nil, fault) }
        do throws(SystemError) {
            try PlatformListener.setReuseport(first)
        } catch {
            if options.shards != nil { throw error }
            return (nil, "\(error)")
        }
        guard options.closesAdmission, canSteer else { return (nil, fault) }
        // One that is not the group's last is needed for as long as the slots' sockets are closed one by one.
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
        // Connections of our predecessor in TIME_WAIT must not keep us out; a listening socket still does (socket(7)).
        try SocketOption.set(raw, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR")
        if family == AF_INET6 {
            let only: CInt = network == .tcp6 ? 1 : 0
            try SocketOption.set(raw, SystemConstant.ipv6, IPV6_V6ONLY, only, "IPV6_V6ONLY")
        }
        if let seconds = options.deferAccept { try PlatformListener.setDeferAccept(raw, seconds: seconds) }
        if let queue = options.fastOpen { try PlatformListener.setFastOpen(raw, queue: queue) }
        return socket
    }

    private static func startListening(
        _ descriptor: CInt, _ backlog: CInt, _ address: Prefork.Address
    ) throws(SystemError) {
        _ = try System.call("listen", address.description) { listen(descriptor, backlog) }
    }

    private static func resolve(
        _ host: String,
        _ network: Prefork.Address.Network,
        context: String
    ) throws(SystemError) -> SocketAddress {
        var hints = addrinfo()
        hints.ai_socktype = SystemConstant.stream
        hints.ai_flags = AI_PASSIVE
        switch network {
        case .tcp4: hints.ai_family = AF_INET
        case .tcp6: hints.ai_family = AF_INET6
        case .tcp: hints.ai_family = host.isEmpty ? AF_INET6 : AF_UNSPEC
        }
        var list: UnsafeMutablePointer<addrinfo>?
        // A service must be named where no host is; the port is put in afterwards.
        let code = getaddrinfo(host.isEmpty ? nil : host, host.isEmpty ? "0" : nil, &hints, &list)
        guard code == 0, let first = list else {
            let text = gai_strerror(code).map { String(cString: $0) } ?? "error \(code)"
            throw SystemError(call: "getaddrinfo", code: code, context: context, message: text)
        }
        defer { freeaddrinfo(list) }
        // As Go does: with both families, the first IPv4 address, else the first of all.
        var chosen = first
        var candidate: UnsafeMutablePointer<addrinfo>? = first
        while let entry = candidate {
            if entry.pointee.ai_family == AF_INET {
                chosen = entry
                break
            }
            candidate = entry.pointee.ai_next
        }
        var storage = sockaddr_storage()
        if let source = chosen.pointee.ai_addr {
            withUnsafeMutableBytes(of: &storage) { target in
                target.copyMemory(from: UnsafeRawBufferPointer(start: source, count: Int(chosen.pointee.ai_addrlen)))
            }
        }
        return SocketAddress(storage, length: chosen.pointee.ai_addrlen)
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
        // Until listen(2) has returned, a connect to the new file is refused like one to a stale file: the lock keeps
        // another master from taking it for one.
        return try withDirectoryLock(ofFile: path) { () throws(SystemError) -> Listener in
            try SocketFile.removeIfStale(path)
            let socket = try PlatformListener.makeSocket(family: AF_UNIX)
            let name = PlatformListener.unixAddress(path)
            try SocketAddress(name.storage, length: name.length).bind(socket.raw, context: address.description)
            let made = try System.identity(ofPath: path).identity
            do throws(SystemError) {
                try startListening(socket.raw, options.backlog, address)
                let moved = try System.move(socket, atLeast: options.lowest)
                return Listener(
                    address: address,
                    mode: .shared,
                    sockets: [OpenSocket(moved)],
                    backlog: options.backlog,
                    file: SocketFile(path: path, identity: made),
                    admissionFault: options.closesAdmission
                        ? "a Unix-domain socket cannot be closed to newcomers; what no child accepts is reset" : nil
                )
            } catch {
                unlink(path)
                throw error
            }
        }
    }
}
