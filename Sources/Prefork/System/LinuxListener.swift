// The parts of sockets that differ on Linux. `DarwinListener` has the same members.
import PreforkLibc

#if os(Linux) || os(Android)
    typealias PlatformListener = LinuxListener

    enum LinuxListener {
        /// The longest path of a Unix-domain socket in bytes: sun_path without its NUL (unix(7)).
        static let longestPath = 107

        /// A name that begins with a NUL has no file (unix(7)).
        static let hasAbstractNames = true

        /// The kernel spreads connections over the sockets of a SO_REUSEPORT group (socket(7), Linux 3.9).
        static let spreadsConnections = true

        /// socket(2): close-on-exec and non-blocking from the start. Several children poll one listener. Those that
        /// lose the race must get EAGAIN instead of sleeping in accept.
        static func makeSocket(family: CInt) throws(SystemError) -> Descriptor {
            try System.own(
                try System.call("socket") {
                    socket(family, SystemConstant.stream | SystemConstant.closeOnExecNonBlocking, 0)
                }
            )
        }

        static func setFamily(_ storage: inout sockaddr_storage, _ family: CInt, size: Int) {
            storage.ss_family = sa_family_t(family)
        }

        /// bind(2) of a Unix-domain socket to a path at which there is no file. The file has the mode 0600 from the
        /// start: the kernel takes the mode from the socket, less the umask (net/unix/af_unix.c, unix_bind_bsd).
        static func bindForOwner(_ descriptor: CInt, _ path: String) throws(SystemError) {
            _ = try System.call("fchmod", path) { fchmod(descriptor, 0o600) }
            try SocketAddress(unixPath: path).bind(descriptor, context: path)
        }

        /// SO_REUSEPORT: other sockets of this user may listen on the same address (socket(7)).
        static func setReuseport(_ descriptor: CInt, _ isAllowed: Bool = true) throws(SystemError) {
            try SocketOption.set(descriptor, SOL_SOCKET, SO_REUSEPORT, isAllowed ? 1 : 0, "SO_REUSEPORT")
        }

        /// TCP_DEFER_ACCEPT (tcp(7)): a connection is queued when its first data arrive, or after this time.
        static func setDeferAccept(_ descriptor: CInt, seconds: CInt) throws(SystemError) {
            try SocketOption.set(descriptor, SystemConstant.tcp, TCP_DEFER_ACCEPT, seconds, "TCP_DEFER_ACCEPT")
        }

        /// TCP_FASTOPEN (tcp(7), RFC 7413): how many connections with data in their SYN may be queued.
        static func setFastOpen(_ descriptor: CInt, queue: CInt) throws(SystemError) {
            try SocketOption.set(descriptor, SystemConstant.tcp, TCP_FASTOPEN, queue, "TCP_FASTOPEN")
        }

        private static let readHangUp: Int16 = 0x2000  // POLLRDHUP of poll(2)

        /// The indices of those listening sockets that shutdown(2) has stopped. An internet socket has left the state
        /// LISTEN then. A Unix-domain socket stays in it, but refuses connections.
        static func stopped(_ descriptors: [CInt]) -> [Int] {
            var requests = descriptors.map { pollfd(fd: $0, events: readHangUp, revents: 0) }
            // Without an answer, every socket counts as listening. The next check sees more.
            do throws(SystemError) { try System.poll(&requests, until: System.now()) } catch { return [] }
            return requests.indices.filter { requests[$0].revents & (readHangUp | Int16(POLLHUP)) != 0 }
        }

        /// struct tcp_info of linux/tcp.h begins with eight bytes and six words, the last of which is tcpi_sacked.
        private static let endOfQueue: socklen_t = 8 + 6 * 4

        /// TCP_INFO of a listening socket has its queue in tcpi_unacked and tcpi_sacked (net/ipv4/tcp.c, tcp_get_info).
        /// - Returns: `nil` for sockets other than TCP, and if an emulator leaves that part out (QEMU fills four
        ///   bytes).
        static func queue(of descriptor: CInt) -> SocketQueue? {
            var info = tcp_info()
            var size = socklen_t(MemoryLayout<tcp_info>.size)
            guard getsockopt(descriptor, SystemConstant.tcp, TCP_INFO, &info, &size) == 0, size >= endOfQueue else {
                return nil
            }
            return SocketQueue(waiting: Int(info.tcpi_unacked), limit: Int(info.tcpi_sacked))
        }

        private static let attachOption: CInt = 51  // SO_ATTACH_REUSEPORT_CBPF
        private static let detachOption: CInt = 68  // SO_DETACH_REUSEPORT_BPF

        /// struct sock_fprog of linux/filter.h.
        private struct Program {
            var length: UInt16
            var instructions: UnsafeRawPointer?
        }

        /// Replaces the program of the whole group that `descriptor` belongs to, atomically. Each connection is steered
        /// by the old program or by the new one. Linux 4.6 for TCP.
        static func attach(_ instructions: [FilterInstruction], to descriptor: CInt) throws(SystemError) {
            let name = "SO_ATTACH_REUSEPORT_CBPF"
            guard let length = UInt16(exactly: instructions.count) else {
                throw SystemError(call: "setsockopt", code: EMSGSIZE, context: name)
            }
            // The closure returns the error, because in Swift 6.0 an array's buffer cannot be used by a closure with
            // typed throws.
            let failure: SystemError? = instructions.withUnsafeBufferPointer { buffer in
                var program = Program(length: length, instructions: buffer.baseAddress)
                do throws(SystemError) {
                    try withUnsafeBytes(of: &program) { program throws(SystemError) in
                        try SocketOption.set(descriptor, SOL_SOCKET, attachOption, program, name)
                    }
                    return nil
                } catch {
                    return error
                }
            }
            if let failure { throw failure }
        }

        /// Removes the group's program. The kernel then chooses by a hash again. Linux 5.3.
        static func detachProgram(from descriptor: CInt) throws(SystemError) {
            try SocketOption.set(descriptor, SOL_SOCKET, detachOption, 0, "SO_DETACH_REUSEPORT_BPF")
        }
    }
#endif
