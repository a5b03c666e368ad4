// What Darwin's sockets do their own way. `LinuxListener` has the same members.
import PreforkLibc

#if canImport(Darwin)
    typealias PlatformListener = DarwinListener

    enum DarwinListener {
        /// The longest path of a Unix-domain socket in bytes: sun_path less its NUL (unix(4)).
        static let longestPath = 103

        /// Two sockets may listen, but one of them gets everything.
        static let spreadsConnections = false

        /// socket(2), then close-on-exec and non-blocking: Darwin has no flags for them. Our own spawns inherit nothing
        /// that is not named; another library's spawn may fall between the two calls.
        static func makeSocket(family: CInt) throws(SystemError) -> Descriptor {
            let descriptor = Descriptor(try System.call("socket") { socket(family, SOCK_STREAM, 0) })
            try System.setCloseOnExec(descriptor.raw)
            try System.setNonBlocking(descriptor.raw)
            return descriptor
        }

        static func setFamily(_ storage: inout sockaddr_storage, _ family: CInt, size: Int) {
            storage.ss_len = UInt8(size)
            storage.ss_family = sa_family_t(family)
        }

        static func unixAddress(_ path: String) -> (storage: sockaddr_storage, length: socklen_t) {
            var address = sockaddr_un()
            address.sun_len = UInt8(MemoryLayout<sockaddr_un>.size)
            address.sun_family = sa_family_t(AF_UNIX)
            return packUnixAddress(&address, path)
        }

        /// SO_REUSEPORT: other sockets may listen on the same address (setsockopt(2)).
        static func setReuseport(_ descriptor: CInt) throws(SystemError) {
            try SocketOption.set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT")
        }

        /// There is no such option.
        static func setDeferAccept(_ descriptor: CInt, seconds: CInt) throws(SystemError) {
            throw SystemError(call: "setsockopt", code: ENOPROTOOPT, context: "TCP_DEFER_ACCEPT")
        }

        /// TCP_FASTOPEN (netinet/tcp.h): on or off, and to be set when the socket listens already, which here it does not.
        static func setFastOpen(_ descriptor: CInt, queue: CInt) throws(SystemError) {
            throw SystemError(call: "setsockopt", code: ENOPROTOOPT, context: "TCP_FASTOPEN")
        }

        /// Not to be had.
        static func queue(of descriptor: CInt) -> Prefork.Status.Queue? { nil }
    }
#endif
