// What the kernel tells of sockets beside their options: sock_diag(7), by netlink, without a privilege.
import PreforkLibc

#if os(Linux) || os(Android)
    // linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h and linux/unix_diag.h; none of it is in Swift's modules.
    private enum Netlink {
        static let family: CInt = 16  // AF_NETLINK
        static let socketDiagnosis: CInt = 4  // NETLINK_SOCK_DIAG
        static let byFamily: UInt16 = 20  // SOCK_DIAG_BY_FAMILY
        static let request: UInt16 = 0x1  // NLM_F_REQUEST
        static let dump: UInt16 = 0x300  // NLM_F_DUMP
        static let headerSize = 16

        /// Sends one request and shows the body of each answer to `body` until that says that it has seen enough.
        /// - Parameter payload: what comes after struct nlmsghdr.
        static func ask(_ payload: [UInt8], flags: UInt16, _ body: (ArraySlice<UInt8>) -> Bool) throws(SystemError) {
            let channel = Descriptor(
                try System.call("socket", "AF_NETLINK") {
                    socket(family, SystemConstant.datagram | SystemConstant.closeOnExecNonBlocking, socketDiagnosis)
                })
            let raw = channel.raw
            var message = [UInt8](repeating: 0, count: headerSize) + payload
            message.withUnsafeMutableBytes { target in
                target.storeBytes(of: UInt32(target.count), toByteOffset: 0, as: UInt32.self)
                target.storeBytes(of: byFamily, toByteOffset: 4, as: UInt16.self)
                target.storeBytes(of: request | flags, toByteOffset: 6, as: UInt16.self)
            }
            _ = try System.call("send", "sock_diag") {
                send(raw, message, message.count, SystemConstant.withoutWaitingOrSignal)
            }
            var buffer = [UInt8](repeating: 0, count: 32_768)
            // The kernel makes each part of its answer in the call that asks for it: nobody waits. What is not read goes with
            // the channel.
            while true {
                let count = try System.call("recv", "sock_diag") {
                    recv(raw, &buffer, buffer.count, SystemConstant.withoutWaitingOrSignal)
                }
                var rest = buffer[..<count]
                while rest.count >= headerSize {
                    let (length, type) = rest.withUnsafeBytes { bytes in
                        (
                            Int(bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self)),
                            bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
                        )
                    }
                    // Anything else is NLMSG_DONE or NLMSG_ERROR.
                    guard type == byFamily, length >= headerSize, length <= rest.count else { return }
                    if body(rest.dropFirst(headerSize).prefix(length - headerSize)) { return }
                    if flags & dump == 0 { return }
                    rest = rest.dropFirst((length + 3) & ~3)
                }
                if count < headerSize { return }
            }
        }
    }
#endif

/// Handshakes that are under way: the client has had its SYN answered and may take itself for connected, but its ACK has not
/// come, so no queue holds the connection yet. Over a network that takes a round trip.
enum HalfOpen {
    #if os(Linux) || os(Android)
        private static let synReceived: UInt32 = 1 << 3  // TCP_SYN_RECV of netinet/tcp.h
        private static let requestSize = 56  // struct inet_diag_req_v2
        /// Of struct inet_diag_msg: family, state, timer, retransmissions, two ports.
        private static let sourceOffset = 8

        /// Whether some are under way to that address of this host (Linux 3.3). Those that the kernel answers by SYN cookies
        /// leave no trace.
        /// - Returns: false also where the system does not say: then there is nothing to wait for.
        static func exists(at name: SocketAddress) -> Bool {
            // A socket of IPv6 may get those of IPv4, too.
            let families = name.family == AF_INET6 ? [AF_INET6, AF_INET] : [AF_INET]
            return families.contains { (try? exists(at: name, $0)) ?? false }
        }

        private static func exists(at name: SocketAddress, _ family: CInt) throws(SystemError) -> Bool {
            // The kernel compares the states and the local port; the address is compared here.
            var payload = [UInt8](repeating: 0, count: requestSize)
            payload.withUnsafeMutableBytes { target in
                target[0] = UInt8(truncatingIfNeeded: family)
                target[1] = UInt8(truncatingIfNeeded: SystemConstant.tcp)
                target.storeBytes(of: synReceived, toByteOffset: 4, as: UInt32.self)
                target.storeBytes(of: name.port.bigEndian, toByteOffset: 8, as: UInt16.self)
            }
            let host = name.host
            let isAny = name.isAny
            var found = false
            try Netlink.ask(payload, flags: Netlink.dump) { answer in
                let source = answer.dropFirst(sourceOffset).prefix(host.count)
                found = isAny || family == name.family && source.elementsEqual(host)
                return found
            }
            return found
        }
    #else
        /// Not to be had.
        static func exists(at name: SocketAddress) -> Bool { false }
    #endif
}

/// The backlog of a listening Unix-domain socket, which getsockopt(2) does not tell.
enum UnixQueue {
    #if os(Linux) || os(Android)
        private static let requestSize = 24  // struct unix_diag_req
        private static let showQueue: UInt32 = 1 << 4  // UDIAG_SHOW_RQLEN
        private static let queueAttribute: UInt16 = 4  // UNIX_DIAG_RQLEN
        private static let listening: UInt32 = 1 << 10  // TCP_LISTEN

        /// Linux 3.3 with CONFIG_UNIX_DIAG; nil elsewhere.
        static func limit(of descriptor: CInt) -> Int? {
            guard let inode = System.identity(of: descriptor)?.inode else { return nil }
            var payload = [UInt8](repeating: 0, count: requestSize)
            payload.withUnsafeMutableBytes { target in
                target[0] = UInt8(truncatingIfNeeded: AF_UNIX)
                target.storeBytes(of: listening, toByteOffset: 4, as: UInt32.self)
                target.storeBytes(of: UInt32(truncatingIfNeeded: inode), toByteOffset: 8, as: UInt32.self)
                target.storeBytes(of: showQueue, toByteOffset: 12, as: UInt32.self)
                // udiag_cookie: any.
                target.storeBytes(of: UInt64.max, toByteOffset: 16, as: UInt64.self)
            }
            var limit: Int?
            try? Netlink.ask(payload, flags: 0) { answer in
                limit = decodeLimit(answer)
                return true
            }
            return limit
        }

        /// struct unix_diag_msg of 16 bytes, then attributes: of a listening socket the second number is its backlog.
        private static func decodeLimit(_ answer: ArraySlice<UInt8>) -> Int? {
            var rest = answer.dropFirst(16)
            while rest.count >= 4 {
                let (length, type) = rest.withUnsafeBytes { bytes in
                    (
                        Int(bytes.loadUnaligned(fromByteOffset: 0, as: UInt16.self)),
                        bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
                    )
                }
                guard length >= 4, length <= rest.count else { return nil }
                if type == queueAttribute, length >= 12 {
                    return rest.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: 8, as: UInt32.self)) }
                }
                rest = rest.dropFirst((length + 3) & ~3)
            }
            return nil
        }
    #else
        static func limit(of descriptor: CInt) -> Int? { nil }
    #endif
}
