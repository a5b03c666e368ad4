// What Linux's sockets do their own way. `DarwinListener` has the same members.
import PreforkLibc

#if os(Linux) || os(Android)
    typealias PlatformListener = LinuxListener

    enum LinuxListener {
        /// The longest path of a Unix-domain socket in bytes: sun_path less its NUL (unix(7)).
        static let longestPath = 107

        /// The kernel spreads connections over the sockets of a SO_REUSEPORT group (socket(7), Linux 3.9).
        static let spreadsConnections = true

        /// socket(2): close-on-exec and non-blocking from birth. Non-blocking because of the accept race: of several
        /// children that poll one listener the losers must get EAGAIN, not sleep in accept.
        static func makeSocket(family: CInt) throws(SystemError) -> Descriptor {
            Descriptor(
                try System.call("socket") {
                    socket(family, SystemConstant.stream | SystemConstant.closeOnExecNonBlocking, 0)
                }
            )
        }

        static func setFamily(_ storage: inout sockaddr_storage, _ family: CInt, size: Int) {
            storage.ss_family = sa_family_t(family)
        }

        /// The size of an address: sockaddr_un is used in full, a pathname ends at its NUL.
        static func unixAddress(_ path: String) -> (storage: sockaddr_storage, length: socklen_t) {
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            return packUnixAddress(&address, path)
        }

        /// SO_REUSEPORT: other sockets of this user may listen on the same address (socket(7)).
        static func setReuseport(_ descriptor: CInt) throws(SystemError) {
            try SocketOption.set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT")
        }

        /// TCP_DEFER_ACCEPT (tcp(7)): the connection is queued when data has come, or after that long.
        static func setDeferAccept(_ descriptor: CInt, seconds: CInt) throws(SystemError) {
            try SocketOption.set(descriptor, SystemConstant.tcp, TCP_DEFER_ACCEPT, seconds, "TCP_DEFER_ACCEPT")
        }

        /// TCP_FASTOPEN (tcp(7), RFC 7413): the length of the queue of connections that brought data with their SYN.
        static func setFastOpen(_ descriptor: CInt, queue: CInt) throws(SystemError) {
            try SocketOption.set(descriptor, SystemConstant.tcp, TCP_FASTOPEN, queue, "TCP_FASTOPEN")
        }

        /// Of struct tcp_info in linux/tcp.h: eight small numbers, then words of which tcpi_sacked is the sixth.
        private static let endOfQueue: socklen_t = 8 + 6 * 4

        /// How many connections wait to be accepted, and how many may. Of a listening socket TCP_INFO says so in
        /// tcpi_unacked and tcpi_sacked (net/ipv4/tcp.c, tcp_get_info). nil: no TCP socket, or an emulator that answers with less
        /// than that (QEMU's with the first four bytes).
        static func queue(of descriptor: CInt) -> Prefork.Status.Queue? {
            var info = tcp_info()
            var size = socklen_t(MemoryLayout<tcp_info>.size)
            guard getsockopt(descriptor, SystemConstant.tcp, TCP_INFO, &info, &size) == 0, size >= endOfQueue else {
                return nil
            }
            return Prefork.Status.Queue(waiting: Int(info.tcpi_unacked), limit: Int(info.tcpi_sacked))
        }
    }
#endif
