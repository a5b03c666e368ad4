// Sockets and reports of the server.
import PreforkLibc

#if canImport(Glibc)
    let stream = CInt(SOCK_STREAM.rawValue)
    let datagram = CInt(SOCK_DGRAM.rawValue)
#else
    let stream = SOCK_STREAM
    let datagram = SOCK_DGRAM
#endif

func report(_ text: String) {
    let line = Array("@ \(text)\n".utf8)
    _ = write(1, line, line.count)
}

func split(_ text: String, _ separator: Character) -> (name: Substring, rest: Substring) {
    guard let index = text.firstIndex(of: separator) else { return (text[...], "") }
    return (text[..<index], text[text.index(after: index)...])
}

func newSocket(_ family: CInt, _ type: CInt) -> CInt { socket(family, type, 0) }

/// Whether an option of a socket is on.
func flag(_ socket: CInt, _ level: CInt, _ option: CInt) -> Bool {
    var value: CInt = 0
    var size = socklen_t(MemoryLayout<CInt>.size)
    return getsockopt(socket, level, option, &value, &size) == 0 && value != 0
}

/// 0, or the error's number.
func outcome(_ call: () -> CInt) -> String { call() == 0 ? "0" : "errno \(errno)" }

func bind(on socket: CInt, _ name: SocketName) -> CInt {
    withUnsafePointer(to: name.storage) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, name.length) }
    }
}

/// A `sockaddr` for `1.2.3.4:80`, `[::1]:80`, `/path` or `./path`.
struct SocketName {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var path: String?

    static func loopback(_ port: Int) -> SocketName { SocketName("127.0.0.1:\(port)") }

    init(_ text: Substring) {
        if text.hasPrefix("/") || text.hasPrefix(".") {
            path = String(text)
            storage.ss_family = sa_family_t(AF_UNIX)
            length = socklen_t(MemoryLayout<sockaddr_un>.size)
            withUnsafeMutableBytes(of: &storage) { bytes in
                for (offset, byte) in text.utf8.enumerated() { bytes[2 + offset] = byte }
            }
            return
        }
        let colon = text.lastIndex(of: ":")!
        let port = UInt16(text[text.index(after: colon)...])!.bigEndian
        let host = String(text[..<colon].filter { $0 != "[" && $0 != "]" })
        withUnsafeMutableBytes(of: &storage) { bytes in
            if host.contains(":") {
                var address = sockaddr_in6()
                address.sin6_family = sa_family_t(AF_INET6)
                address.sin6_port = port
                inet_pton(AF_INET6, host, &address.sin6_addr)
                bytes.storeBytes(of: address, as: sockaddr_in6.self)
                length = socklen_t(MemoryLayout<sockaddr_in6>.size)
            } else {
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_port = port
                inet_pton(AF_INET, host, &address.sin_addr)
                bytes.storeBytes(of: address, as: sockaddr_in.self)
                length = socklen_t(MemoryLayout<sockaddr_in>.size)
            }
        }
    }

    /// getsockname(2).
    init(of socket: CInt) {
        withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(socket, $0, &length) }
        }
    }

    var family: CInt { CInt(storage.ss_family) }

    /// The host and the port, or `unix`.
    var text: String {
        if family == AF_UNIX { return "unix" }
        var host = [CChar](repeating: 0, count: 1025)
        _ = withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getnameinfo($0, length, &host, 1025, nil, 0, NI_NUMERICHOST)
            }
        }
        let name = String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let port = withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
        return "\(name) \(port)"
    }
}
