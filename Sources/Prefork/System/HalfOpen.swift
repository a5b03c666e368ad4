// Handshakes that are under way: the client has had its SYN answered and may take itself for connected, but its ACK has not
// come, so no queue holds the connection yet. Over a network that takes a round trip.
#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

enum HalfOpen {
    #if os(Linux) || os(Android)
        // linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h; none of it is in Swift's modules.
        private static let netlinkFamily: CInt = 16  // AF_NETLINK
        private static let socketDiagnosis: CInt = 4  // NETLINK_SOCK_DIAG
        private static let byFamily: UInt16 = 20  // SOCK_DIAG_BY_FAMILY
        private static let requestDump: UInt16 = 0x301  // NLM_F_REQUEST | NLM_F_DUMP
        private static let synReceived: UInt32 = 1 << 3  // TCP_SYN_RECV of netinet/tcp.h
        private static let headerSize = 16
        private static let requestSize = 72

        /// Whether some are under way to that port of this host (sock_diag(7), Linux 3.3, no privilege).
        /// - Parameter family: AF_INET6 asks for IPv4's, too, which a socket of IPv6 may get.
        /// - Returns: false also where the system does not say: then there is nothing to wait for.
        static func exists(onPort port: UInt16, family: CInt) -> Bool {
            let families = family == AF_INET6 ? [AF_INET6, AF_INET] : [AF_INET]
            return families.contains { (try? ask(port, $0)) ?? false }
        }

        private static func ask(_ port: UInt16, _ family: CInt) throws(SystemError) -> Bool {
            let channel = Descriptor(
                try System.call("socket", "AF_NETLINK") {
                    socket(netlinkFamily, SystemConstant.datagram | SystemConstant.atBirth, socketDiagnosis)
                })
            let raw = channel.raw
            let request = request(port, family)
            _ = try System.call("send", "sock_diag") { send(raw, request, request.count, SystemConstant.quietly) }
            var buffer = [UInt8](repeating: 0, count: 32_768)
            // The kernel has made the first part of its answer in send(2). It begins with a socket, if there is one; the rest
            // goes with the channel.
            let count = try System.call("recv", "sock_diag") {
                recv(raw, &buffer, buffer.count, SystemConstant.quietly)
            }
            return tellsOfSocket(buffer[..<count])
        }

        /// struct nlmsghdr, then struct inet_diag_req_v2 of which the kernel compares the states and the local port.
        private static func request(_ port: UInt16, _ family: CInt) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: requestSize)
            bytes.withUnsafeMutableBytes { target in
                target.storeBytes(of: UInt32(requestSize), toByteOffset: 0, as: UInt32.self)
                target.storeBytes(of: byFamily, toByteOffset: 4, as: UInt16.self)
                target.storeBytes(of: requestDump, toByteOffset: 6, as: UInt16.self)
                target.storeBytes(of: UInt8(truncatingIfNeeded: family), toByteOffset: 16, as: UInt8.self)
                target.storeBytes(of: UInt8(truncatingIfNeeded: SystemConstant.tcp), toByteOffset: 17, as: UInt8.self)
                target.storeBytes(of: synReceived, toByteOffset: 20, as: UInt32.self)
                target.storeBytes(of: port.bigEndian, toByteOffset: 24, as: UInt16.self)
            }
            return bytes
        }

        /// Anything else is NLMSG_DONE or NLMSG_ERROR.
        private static func tellsOfSocket(_ answer: ArraySlice<UInt8>) -> Bool {
            guard answer.count >= headerSize else { return false }
            return answer.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 4, as: UInt16.self) } == byFamily
        }
    #else
        /// Not to be had.
        static func exists(onPort port: UInt16, family: CInt) -> Bool { false }
    #endif
}
