// Connections whose handshake has not ended.
import PreforkLibc

/// Handshakes in progress. The kernel has answered the client's SYN, so the client may consider itself connected, but
/// its ACK has not arrived. No queue holds the connection yet. Over a network this takes a round trip.
enum HalfOpen {
    #if os(Linux) || os(Android)
        // netinet/tcp.h and linux/inet_diag.h.
        private static let synReceived: UInt32 = 1 << 3  // TCP_SYN_RECV
        private static let requestSize = 56  // struct inet_diag_req_v2
        /// Behind the family, the state, the timer, the retransmissions and two ports of struct inet_diag_msg.
        private static let sourceOffset = 8

        /// Whether handshakes with an address of this host are in progress (Linux 3.3). Those that the kernel answers
        /// by SYN cookies leave no trace.
        /// - Returns: `false` also if the system does not say. There is nothing to wait for then.
        static func exists(at address: SocketAddress) -> Bool {
            // An IPv6 socket may also get IPv4 connections.
            let families = address.family == AF_INET6 ? [AF_INET6, AF_INET] : [AF_INET]
            return families.contains { (try? exists(at: address, $0)) ?? false }
        }

        private static func exists(at address: SocketAddress, _ family: CInt) throws(SystemError) -> Bool {
            // The kernel compares state and local port. The host is compared here.
            var payload = [UInt8](repeating: 0, count: requestSize)
            payload.withUnsafeMutableBytes { target in
                target[0] = UInt8(truncatingIfNeeded: family)
                target[1] = UInt8(truncatingIfNeeded: SystemConstant.tcp)
                target.storeBytes(of: synReceived, toByteOffset: 4, as: UInt32.self)
                target.storeBytes(of: address.port.bigEndian, toByteOffset: 8, as: UInt16.self)
            }
            let host = address.host
            let isAny = address.isAny
            var found = false
            try Netlink.query(payload, all: true) { answer in
                let source = answer.dropFirst(sourceOffset).prefix(host.count)
                found = isAny || family == address.family && source.elementsEqual(host)
                return found
            }
            return found
        }
    #else
        /// The system does not say.
        static func exists(at address: SocketAddress) -> Bool { false }
    #endif
}
