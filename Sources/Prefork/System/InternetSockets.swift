// The TCP sockets of this network namespace, as sock_diag(7) lists them.

#if os(Linux) || os(Android)
    import PreforkLibc

    enum InternetSockets {
        /// Sets of states: netinet/tcp.h.
        static let synReceived: UInt32 = 1 << 3  // TCP_SYN_RECV
        static let listening: UInt32 = 1 << 10  // TCP_LISTEN

        // linux/inet_diag.h.
        private static let requestSize = 56  // struct inet_diag_req_v2
        private static let answerSize = 72  // struct inet_diag_msg
        /// The offset of the port, which follows the family, the state, the timer and the retransmissions.
        private static let portOffset = 4
        /// The offset of the host, which follows two ports.
        private static let hostOffset = 8
        /// The offset of the inode, which is the last field.
        private static let inodeOffset = 68

        /// One socket.
        struct Socket {
            let port: UInt16
            /// 16 bytes, of which IPv4 uses the first four.
            let host: ArraySlice<UInt8>
            /// 0 if no process has it yet.
            let inode: UInt32
        }

        /// Passes each socket in these states to `body` until that returns `true` (Linux 3.3). The kernel walks through
        /// all connections of the host for any state but LISTEN.
        static func list(
            _ family: CInt, in states: UInt32, _ body: (Socket) -> Bool
        ) throws(SystemError) {
            var payload = [UInt8](repeating: 0, count: requestSize)
            payload.withUnsafeMutableBytes { target in
                target[0] = UInt8(truncatingIfNeeded: family)
                target[1] = UInt8(truncatingIfNeeded: SystemConstant.tcp)
                target.storeBytes(of: states, toByteOffset: 4, as: UInt32.self)
            }
            try Netlink.query(payload, all: true) { answer in
                decode(answer).map(body) ?? false
            }
        }

        /// struct inet_diag_msg. `nil` if it is too short.
        static func decode(_ answer: ArraySlice<UInt8>) -> Socket? {
            guard answer.count >= answerSize else { return nil }
            let (port, inode) = answer.withUnsafeBytes { bytes in
                (
                    bytes.loadUnaligned(fromByteOffset: portOffset, as: UInt16.self).bigEndian,
                    bytes.loadUnaligned(fromByteOffset: inodeOffset, as: UInt32.self)
                )
            }
            return Socket(port: port, host: answer.dropFirst(hostOffset).prefix(16), inode: inode)
        }
    }
#endif
