// What Linux's sockets do their own way. `DarwinListener` has the same members.
#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#endif

#if os(Linux) || os(Android)
    typealias PlatformListener = LinuxListener

    enum LinuxListener {
        /// The longest path of a Unix-domain socket in bytes: sun_path less its NUL (unix(7)).
        static let longestPath = 107

        /// socket(2): close-on-exec and non-blocking from birth. Non-blocking because of the accept race: of several
        /// children that poll one listener the losers must get EAGAIN, not sleep in accept.
        static func makeSocket(family: CInt) throws(SystemError) -> Descriptor {
            Descriptor(
                try System.call("socket") { socket(family, SystemConstant.stream | SystemConstant.atBirth, 0) }
            )
        }

        /// The size of an address: sockaddr_un is used in full, a pathname ends at its NUL.
        static func unixAddress(_ path: String) -> (storage: sockaddr_storage, length: socklen_t) {
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            return packUnixAddress(&address, path)
        }
    }
#endif
