// The listening sockets of this network namespace, whichever process has them.
import PreforkLibc

enum ListeningSockets {
    #if os(Linux) || os(Android)
        /// The inodes of the listening internet sockets of these families (Linux 3.3 with CONFIG_INET_DIAG).
        static func inodes(_ families: Set<CInt>) throws(SystemError) -> Set<UInt64> {
            var found: Set<UInt64> = []
            for family in families {
                try InternetSockets.list(family, in: InternetSockets.listening) { socket in
                    found.insert(UInt64(socket.inode))
                    return false
                }
            }
            return found
        }
    #else
        /// The system does not say.
        static func inodes(_ families: Set<CInt>) throws(SystemError) -> Set<UInt64> {
            throw SystemError(call: "socket", code: ENOSYS, context: "AF_NETLINK")
        }
    #endif
}
