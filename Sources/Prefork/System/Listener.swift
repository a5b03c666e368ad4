// A bound, listening socket and its owner.
#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A listener that the master has bound and keeps for its whole life. Used by the master's thread only.
final class Listener {
    /// With the port that the kernel chose where 0 was asked for.
    let address: Prefork.Address
    /// nil once closed.
    private var descriptor: Descriptor?
    private let file: SocketFile?

    private init(address: Prefork.Address, descriptor: consuming Descriptor, file: SocketFile?) {
        self.address = address
        self.descriptor = consume descriptor
        self.file = file
    }

    /// The number, as long as it is open.
    var raw: CInt? {
        let number = Descriptor.number(of: descriptor)
        return number == -1 ? nil : number
    }

    /// An address whose host has been looked up.
    struct Resolved {
        let address: Prefork.Address
        fileprivate let storage: sockaddr_storage
    }

    /// Looks the host up (getaddrinfo(3)): of a name that takes as long as the resolver likes.
    static func resolve(_ address: Prefork.Address) throws(SystemError) -> Resolved {
        guard let host = address.host else { return Resolved(address: address, storage: sockaddr_storage()) }
        let storage = try resolve(host, address.effectiveNetwork, context: address.description)
        return Resolved(address: address, storage: storage)
    }

    /// Binds and listens.
    /// - Parameter minimum: the lowest number that the listener may have: out of the way of the child's numbers.
    static func open(_ resolved: Resolved, backlog: Int, atLeast minimum: CInt) throws(SystemError) -> Listener {
        switch resolved.address.endpoint {
        case .tcp(let host, let port):
            return try openTCP(resolved, host, port, CInt(clamping: backlog), minimum)
        case .unix(let path):
            return try openUnix(resolved.address, path, CInt(clamping: backlog), minimum)
        }
    }

    /// Closes our copy and removes the socket's file if it is still ours. Never shutdown(2): that would stop the copies in
    /// the children too.
    func close() {
        // The file first: a client that comes now finds no file, rather than a socket that resets it.
        if descriptor != nil { file?.remove() }
        descriptor = nil
    }

    deinit { close() }

    private static func openTCP(
        _ target: Resolved,
        _ host: String,
        _ port: Int,
        _ backlog: CInt,
        _ minimum: CInt
    ) throws(SystemError) -> Listener {
        let address = target.address
        var resolved = target.storage
        let socket: Descriptor
        do {
            socket = try PlatformListener.makeSocket(family: CInt(resolved.ss_family))
        } catch {
            // A kernel without IPv6: "any address" then means any IPv4 address, as in Go's net.Listen.
            guard error.code == EAFNOSUPPORT, host.isEmpty, address.effectiveNetwork == .tcp else { throw error }
            resolved = try resolve(host, .tcp4, context: address.description)
            socket = try PlatformListener.makeSocket(family: AF_INET)
        }
        let raw = socket.raw
        // Connections of our predecessor in TIME_WAIT must not keep us out; a listening socket still does (socket(7)).
        try setOption(raw, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR")
        if CInt(resolved.ss_family) == AF_INET6 {
            let only: CInt = address.effectiveNetwork == .tcp6 ? 1 : 0
            try setOption(raw, SystemConstant.ipv6, IPV6_V6ONLY, only, "IPV6_V6ONLY")
        }
        setPort(&resolved, UInt16(clamping: port))
        try bindSocket(raw, resolved, length(of: resolved), context: address.description)
        _ = try System.call("listen", address.description) { listen(raw, backlog) }
        let bound = try boundAddress(of: raw, network: address.network)
        return Listener(address: bound, descriptor: try System.move(socket, atLeast: minimum), file: nil)
    }

    private static func openUnix(
        _ address: Prefork.Address,
        _ path: String,
        _ backlog: CInt,
        _ minimum: CInt
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
            try bindSocket(socket.raw, name.storage, name.length, context: address.description)
            let made = try System.identity(ofPath: path).identity
            do throws(SystemError) {
                let raw = socket.raw
                _ = try System.call("listen", address.description) { listen(raw, backlog) }
                let moved = try System.move(socket, atLeast: minimum)
                return Listener(
                    address: address,
                    descriptor: moved,
                    file: SocketFile(path: path, identity: made)
                )
            } catch {
                unlink(path)
                throw error
            }
        }
    }

    // MARK: In a child

    /// What is wrong with an inherited descriptor as a listener of that family; nil where it is one.
    static func fault(of descriptor: CInt, unix: Bool) -> String? {
        var listening: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 else {
            return "descriptor \(descriptor) is no socket"
        }
        guard listening != 0 else { return "descriptor \(descriptor) is a socket that does not listen" }
        var name = sockaddr_storage()
        guard withSocketAddress(&name, { getsockname(descriptor, $0, $1) }) == 0 else {
            return "descriptor \(descriptor) has no address"
        }
        let family = CInt(name.ss_family)
        let fits = unix ? family == AF_UNIX : family == AF_INET || family == AF_INET6
        return fits ? nil : "descriptor \(descriptor) listens on an address of another family"
    }
}

// MARK: - Addresses as the kernel has them

extension Listener {
    private static func resolve(
        _ host: String,
        _ network: Prefork.Address.Network,
        context: String
    ) throws(SystemError) -> sockaddr_storage {
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
        return storage
    }

    private static func setPort(_ storage: inout sockaddr_storage, _ port: UInt16) {
        // sin_port and sin6_port stand at the same place, after length and family.
        withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self) }
    }

    private static func length(of storage: sockaddr_storage) -> socklen_t {
        let size =
            CInt(storage.ss_family) == AF_INET6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
        return socklen_t(size)
    }

    private static func bindSocket(
        _ descriptor: CInt,
        _ storage: sockaddr_storage,
        _ length: socklen_t,
        context: String
    ) throws(SystemError) {
        _ = try System.call("bind", context) {
            withUnsafePointer(to: storage) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
            }
        }
    }

    private static func setOption(
        _ descriptor: CInt,
        _ level: CInt,
        _ option: CInt,
        _ value: CInt,
        _ name: String
    ) throws(SystemError) {
        var value = value
        _ = try System.call("setsockopt", name) {
            setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
        }
    }

    private static func boundAddress(
        of descriptor: CInt,
        network: Prefork.Address.Network?
    ) throws(SystemError) -> Prefork.Address {
        var storage = sockaddr_storage()
        _ = try System.call("getsockname") { withSocketAddress(&storage) { getsockname(descriptor, $0, $1) } }
        var host = [CChar](repeating: 0, count: 1025)  // NI_MAXHOST
        let code = withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getnameinfo($0, length(of: storage), &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST)
            }
        }
        guard code == 0 else {
            throw SystemError(call: "getnameinfo", code: code)
        }
        let port = withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
        let text = String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return .tcp(text, port: Int(port), network: network)
    }
}

/// Calls a function that fills in a socket address.
func withSocketAddress(
    _ storage: inout sockaddr_storage,
    _ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> CInt
) -> CInt {
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, &length) }
    }
}

/// Copies `path`, which fits, behind the family that the caller has set.
func packUnixAddress(
    _ address: inout sockaddr_un,
    _ path: String
) -> (storage: sockaddr_storage, length: socklen_t) {
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    var storage = sockaddr_storage()
    withUnsafeMutableBytes(of: &storage) { target in
        withUnsafeBytes(of: address) { target.copyMemory(from: $0) }
    }
    return (storage, socklen_t(MemoryLayout<sockaddr_un>.size))
}
