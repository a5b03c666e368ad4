// What Darwin's sockets do their own way. `LinuxListener` has the same members.
#if canImport(Darwin)
    import Darwin

    typealias PlatformListener = DarwinListener

    enum DarwinListener {
        /// The longest path of a Unix-domain socket in bytes: sun_path less its NUL (unix(4)).
        static let longestPath = 103

        /// socket(2), then close-on-exec and non-blocking: Darwin has no flags for them. Our own spawns inherit nothing
        /// that is not named; another library's spawn may fall between the two calls.
        static func makeSocket(family: CInt) throws(SystemError) -> Descriptor {
            let descriptor = Descriptor(try System.call("socket") { socket(family, SOCK_STREAM, 0) })
            try System.setCloseOnExec(descriptor.raw)
            try System.setNonBlocking(descriptor.raw)
            return descriptor
        }

        static func unixAddress(_ path: String) -> (storage: sockaddr_storage, length: socklen_t) {
            var address = sockaddr_un()
            address.sun_len = UInt8(MemoryLayout<sockaddr_un>.size)
            address.sun_family = sa_family_t(AF_UNIX)
            return packUnixAddress(&address, path)
        }
    }
#endif
