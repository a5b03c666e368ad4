import Foundation
import Prefork

/// What `--single` needs in an example that has no framework to listen for it: a listener, and a descriptor that tells
/// of SIGTERM.
public struct SingleServer: Sendable {
    /// Bound, listening, non-blocking.
    public let listener: Int32
    /// Readable once SIGTERM has come.
    public let stopDescriptor: Int32

    /// Listens on an IPv4 address, and says so on standard error as Prefork does. An error ends the process.
    public init(_ address: Prefork.Address) {
        guard let host = address.host, let port = address.port.flatMap({ UInt16(exactly: $0) }) else {
            leave(64, "--single needs an IPv4 address and a port")
        }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        guard inet_pton(AF_INET, host, &name.sin_addr) == 1 else {
            leave(64, "--single needs an IPv4 address and a port")
        }
        listener = socket(AF_INET, SOCK_STREAM_NUMBER, 0)
        var on: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let isListening = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                bind(listener, name, length) == 0 && listen(listener, 4096) == 0
                    && fcntl(listener, F_SETFL, O_NONBLOCK) == 0 && getsockname(listener, name, &length) == 0
            }
        }
        var ends: [Int32] = [-1, -1]
        guard isListening, pipe(&ends) == 0 else {
            leave(64, "\(address): \(String(cString: strerror(errno)))")
        }
        stopDescriptor = ends[0]
        wake = ends[1]
        signal(SIGTERM) { _ in close(wake) }
        say("listening on \(host):\(UInt16(bigEndian: name.sin_port))")
    }
}

/// Written once, before the handler that reads it is installed.
private nonisolated(unsafe) var wake: Int32 = -1

#if canImport(Glibc)
    private let SOCK_STREAM_NUMBER = Int32(SOCK_STREAM.rawValue)
#else
    private let SOCK_STREAM_NUMBER = SOCK_STREAM
#endif
