// Socket addresses as the kernel has them.
import PreforkLibc

/// The address of a socket: a `sockaddr` of any family and its length.
struct SocketAddress: Sendable {
    private var storage: sockaddr_storage
    let length: socklen_t

    var family: CInt { CInt(storage.ss_family) }

    private init(_ storage: sockaddr_storage, length: socklen_t) {
        self.storage = storage
        self.length = length
    }

    // MARK: Making one

    /// The address of an open socket (getsockname(2)).
    init(of descriptor: CInt) throws(SystemError) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        _ = try System.call("getsockname") {
            withUnsafeMutablePointer(to: &storage) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
            }
        }
        self.init(storage, length: length)
    }

    /// The bytes of a `sockaddr`. `nil` if they are too short for their family, or it is neither an internet nor a
    /// Unix-domain address.
    init?(bytes: [UInt8]) {
        guard bytes.count >= Self.pathOffset, bytes.count <= MemoryLayout<sockaddr_storage>.size else { return nil }
        var storage = sockaddr_storage()
        withUnsafeMutableBytes(of: &storage) { $0.copyBytes(from: bytes) }
        let least =
            switch CInt(storage.ss_family) {
            case AF_INET: MemoryLayout<sockaddr_in>.size
            case AF_INET6: MemoryLayout<sockaddr_in6>.size
            case AF_UNIX: Self.pathOffset + 1
            default: Int.max
            }
        guard bytes.count >= least else { return nil }
        self.init(storage, length: socklen_t(bytes.count))
    }

    /// 0.0.0.0 or ::, port 0.
    init(any family: CInt) {
        let size = family == AF_INET6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
        var storage = sockaddr_storage()
        PlatformListener.setFamily(&storage, family, size: size)
        self.init(storage, length: socklen_t(size))
    }

    /// 127.0.0.1 or ::1, port 0.
    static func loopback(family: CInt) -> SocketAddress {
        var address = SocketAddress(any: family)
        address.setHost(loopbackBytes(family))
        return address
    }

    /// A Unix-domain address.
    /// - Parameter path: a path of up to `PlatformListener.longestPath` bytes. The rest is cut off. A path that begins
    ///   with a NUL is a name of Linux's abstract namespace, which reaches to the end of the address. Any other path
    ///   ends at a NUL.
    init(unixPath path: String) {
        let size = MemoryLayout<sockaddr_un>.size
        var storage = sockaddr_storage()
        PlatformListener.setFamily(&storage, AF_UNIX, size: size)
        withUnsafeMutableBytes(of: &storage) { target in
            for (offset, byte) in zip(Self.pathOffset..<(size - 1), path.utf8) { target[offset] = byte }
        }
        let isAbstract = path.utf8.first == 0
        self.init(storage, length: socklen_t(isAbstract ? min(Self.pathOffset + path.utf8.count, size - 1) : size))
    }

    /// Looks up a host (getaddrinfo(3)). For a name, the resolver decides how long that takes.
    /// - Parameters:
    ///   - host: numeric, or a name. Empty for any address.
    ///   - family: AF_UNSPEC for all families.
    ///   - context: for the error.
    /// - Returns: at least one address, in the resolver's order, with port 0.
    static func lookUp(_ host: String, family: CInt, context: String) throws(SystemError) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = SystemConstant.stream
        hints.ai_flags = AI_PASSIVE
        hints.ai_family = family
        var list: UnsafeMutablePointer<addrinfo>?
        // Without a host there must be a service.
        let code = getaddrinfo(host.isEmpty ? nil : host, host.isEmpty ? "0" : nil, &hints, &list)
        if code == EAI_SYSTEM { throw SystemError(call: "getaddrinfo", code: errno, context: context) }
        defer { if list != nil { freeaddrinfo(list) } }
        var found: [SocketAddress] = []
        var next = code == 0 ? list : nil
        while let entry = next {
            if let source = entry.pointee.ai_addr {
                let length = entry.pointee.ai_addrlen
                var storage = sockaddr_storage()
                withUnsafeMutableBytes(of: &storage) { target in
                    target.copyMemory(from: UnsafeRawBufferPointer(start: source, count: Int(length)))
                }
                found.append(SocketAddress(storage, length: length))
            }
            next = entry.pointee.ai_next
        }
        guard !found.isEmpty else {
            let text = gai_strerror(code).map { String(cString: $0) } ?? "error \(code)"
            throw SystemError(call: "getaddrinfo", code: code, context: context, message: text)
        }
        return found
    }

    // MARK: Its parts

    private static func loopbackBytes(_ family: CInt) -> [UInt8] {
        family == AF_INET6 ? [UInt8](repeating: 0, count: 15) + [1] : [127, 0, 0, 1]
    }

    /// The place of the host's bytes: sin_addr and sin6_addr (ip(7), ipv6(7)). Darwin has the same.
    private var hostRange: Range<Int> { family == AF_INET6 ? 8..<24 : 4..<8 }

    /// The place of sun_path, behind the family, or on Darwin the length and the family.
    private static let pathOffset = 2

    var host: [UInt8] { withUnsafeBytes(of: storage) { Array($0[hostRange]) } }

    /// 0.0.0.0 or ::.
    var isAny: Bool { host.allSatisfy { $0 == 0 } }

    private mutating func setHost(_ bytes: [UInt8]) {
        let range = hostRange
        withUnsafeMutableBytes(of: &storage) { target in
            for (offset, byte) in zip(range, bytes) { target[offset] = byte }
        }
    }

    /// The port of an internet address. sin_port and sin6_port have the same place.
    var port: UInt16 {
        get { withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) } }
        set {
            withUnsafeMutableBytes(of: &storage) {
                $0.storeBytes(of: newValue.bigEndian, toByteOffset: 2, as: UInt16.self)
            }
        }
    }

    /// The numeric host of an internet address (getnameinfo(3)).
    func numericHost() throws(SystemError) -> String {
        var host = [CChar](repeating: 0, count: 1025)  // NI_MAXHOST
        let code = withAddress { getnameinfo($0, length, &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST) }
        guard code == 0 else { throw SystemError(call: "getnameinfo", code: code) }
        return String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The path of a Unix-domain socket. A name of Linux's abstract namespace begins with a NUL, which is written as an
    /// `@` (unix(7), ss(8)).
    var unixPath: String {
        let start = Self.pathOffset
        let bytes = withUnsafeBytes(of: storage) { Array($0[start..<max(start, min(Int(length), $0.count))]) }
        if bytes.first == 0 {
            return "@" + String(decoding: bytes.dropFirst().map { $0 == 0 ? UInt8(ascii: "@") : $0 }, as: UTF8.self)
        }
        let path = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        return bytes.first == UInt8(ascii: "@") ? "./" + path : path
    }

    /// The same Unix-domain address with a path that does not depend on the working directory. A path that would be too
    /// long for an address, and an abstract name, stay as they are.
    var withAbsolutePath: SocketAddress {
        let path = unixPath
        let absolute = SocketFile.absolute(path)
        guard absolute != path, absolute.utf8.count <= PlatformListener.longestPath else { return self }
        return SocketAddress(unixPath: absolute)
    }

    /// The bytes of the `sockaddr`.
    var bytes: [UInt8] { withUnsafeBytes(of: storage) { Array($0.prefix(Int(length))) } }

    /// The addresses by which this host reaches a socket with this address, the best first. For a socket that listens
    /// on any address that is the loopback address, followed by that of IPv4 in case the socket accepts it.
    var reachable: [SocketAddress] {
        guard isAny else { return [self] }
        var own = self
        own.setHost(Self.loopbackBytes(family))
        guard family == AF_INET6 else { return [own] }
        var mapped = self
        mapped.setHost([UInt8](repeating: 0, count: 10) + [255, 255, 127, 0, 0, 1])
        return [own, mapped]
    }

    // MARK: Calls

    func bind(_ descriptor: CInt, context: String) throws(SystemError) {
        _ = try System.call("bind", context) { withAddress { systemBind(descriptor, $0, length) } }
    }

    /// connect(2) of a non-blocking socket. EINPROGRESS is not an error.
    func connect(_ descriptor: CInt) throws(SystemError) {
        do throws(SystemError) {
            _ = try System.call("connect") { withAddress { systemConnect(descriptor, $0, length) } }
        } catch {
            if error.code != EINPROGRESS { throw error }
        }
    }

    /// sendto(2) of a datagram, without waiting and without SIGPIPE. The kernel takes all of it or nothing.
    func send(_ bytes: [UInt8], from descriptor: CInt) throws(SystemError) {
        _ = try System.call("sendto", unixPath) {
            withAddress {
                sendto(descriptor, bytes, bytes.count, SystemConstant.withoutWaitingOrSignal, $0, length)
            }
        }
    }

    private func withAddress<Result>(_ body: (UnsafePointer<sockaddr>) -> Result) -> Result {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0) }
        }
    }
}

private func systemBind(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> CInt {
    bind(descriptor, address, length)
}

private func systemConnect(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> CInt {
    connect(descriptor, address, length)
}
