// Socket addresses as the kernel has them.
import PreforkLibc

/// The name of a socket: a `sockaddr` of any family and its length.
struct SocketAddress: Sendable {
    private(set) var storage: sockaddr_storage
    let length: socklen_t

    var family: CInt { CInt(storage.ss_family) }

    init(_ storage: sockaddr_storage, length: socklen_t) {
        self.storage = storage
        self.length = length
    }

    /// Of an open socket (getsockname(2)).
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

    /// 127.0.0.1 or ::1, port 0.
    static func loopback(family: CInt) -> SocketAddress {
        var name = SocketAddress(any: family)
        name.setHost(loopbackBytes(family))
        return name
    }

    /// 0.0.0.0 or ::, port 0.
    init(any family: CInt) {
        let size = family == AF_INET6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
        var storage = sockaddr_storage()
        PlatformListener.setFamily(&storage, family, size: size)
        self.init(storage, length: socklen_t(size))
    }

    private static func loopbackBytes(_ family: CInt) -> [UInt8] {
        family == AF_INET6 ? [UInt8](repeating: 0, count: 15) + [1] : [127, 0, 0, 1]
    }

    /// Where the host's bytes stand: sin_addr and sin6_addr (ip(7), ipv6(7); the same on Darwin).
    private var hostRange: Range<Int> { family == AF_INET6 ? 8..<24 : 4..<8 }

    var host: [UInt8] { withUnsafeBytes(of: storage) { Array($0[hostRange]) } }

    /// 0.0.0.0 or ::.
    var isAny: Bool { host.allSatisfy { $0 == 0 } }

    private mutating func setHost(_ bytes: [UInt8]) {
        let range = hostRange
        withUnsafeMutableBytes(of: &storage) { target in
            for (offset, byte) in zip(range, bytes) { target[offset] = byte }
        }
    }

    /// The port of an internet address; sin_port and sin6_port stand at the same place.
    var port: UInt16 {
        get { withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) } }
        set {
            withUnsafeMutableBytes(of: &storage) {
                $0.storeBytes(of: newValue.bigEndian, toByteOffset: 2, as: UInt16.self)
            }
        }
    }

    /// The addresses by which this host itself reaches a socket of that name, the best first: of one that listens on any
    /// address the loopback's, of IPv4 too where the socket takes it.
    var reachable: [SocketAddress] {
        guard isAny else { return [self] }
        var name = self
        name.setHost(Self.loopbackBytes(family))
        guard family == AF_INET6 else { return [name] }
        var mapped = self
        mapped.setHost([UInt8](repeating: 0, count: 10) + [255, 255, 127, 0, 0, 1])
        return [name, mapped]
    }

    // MARK: Calls

    func bind(_ descriptor: CInt, context: String) throws(SystemError) {
        _ = try System.call("bind", context) { withAddress { systemBind(descriptor, $0, length) } }
    }

    /// connect(2) of a non-blocking socket: EINPROGRESS is a beginning.
    func connect(_ descriptor: CInt) throws(SystemError) {
        do throws(SystemError) {
            _ = try System.call("connect") { withAddress { systemConnect(descriptor, $0, length) } }
        } catch {
            if error.code != EINPROGRESS { throw error }
        }
    }

    private func withAddress(_ body: (UnsafePointer<sockaddr>) -> CInt) -> CInt {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0) }
        }
    }

    /// The address that it stands for.
    func address(network: Prefork.Address.Network?, name: String?) throws(SystemError) -> Prefork.Address {
        if family == AF_UNIX { return .unix(unixPath, name: name) }
        var host = [CChar](repeating: 0, count: 1025)  // NI_MAXHOST
        let code = withAddress { getnameinfo($0, length, &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST) }
        guard code == 0 else { throw SystemError(call: "getnameinfo", code: code) }
        let text = String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return .tcp(text, port: Int(port), network: network, name: name)
    }

    /// A name of Linux's abstract namespace begins with a NUL, and is written with an `@` in its place (unix(7), ss(8)).
    private var unixPath: String {
        let start = 2  // sun_path, behind the family and on Darwin its length.
        let bytes = withUnsafeBytes(of: storage) { Array($0[start..<max(start, min(Int(length), $0.count))]) }
        if bytes.first == 0 {
            return "@" + String(decoding: bytes.dropFirst().map { $0 == 0 ? UInt8(ascii: "@") : $0 }, as: UTF8.self)
        }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}

private func systemBind(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> CInt {
    bind(descriptor, address, length)
}

private func systemConnect(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> CInt {
    connect(descriptor, address, length)
}
