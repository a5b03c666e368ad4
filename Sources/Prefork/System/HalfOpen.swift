// Connections whose handshake has not ended.
import PreforkLibc

/// Handshakes in progress. The kernel has answered the client's SYN, so the client may consider itself connected, but
/// its ACK has not arrived. No queue holds the connection yet. Over a network this takes a round trip.
enum HalfOpen {
    #if os(Linux) || os(Android)
        /// Whether handshakes with these addresses of this host are in progress (Linux 3.3). Handshakes that the kernel
        /// answers with SYN cookies leave no trace.
        ///
        /// The kernel walks through all connections of the host, so this asks once for all addresses.
        /// - Returns: `false` also if the system does not say. There is nothing to wait for then.
        static func exists(at addresses: [SocketAddress]) -> Bool {
            if addresses.isEmpty { return false }
            // An IPv6 socket may also get IPv4 connections.
            let families = addresses.contains { $0.family == AF_INET6 } ? [AF_INET6, AF_INET] : [AF_INET]
            return families.contains { (try? exists(at: addresses, $0)) ?? false }
        }

        private static func exists(at addresses: [SocketAddress], _ family: CInt) throws(SystemError) -> Bool {
            let wanted = addresses.filter { $0.family == family || $0.family == AF_INET6 && $0.isAny }
                .map { (port: $0.port, host: $0.isAny ? nil : $0.host) }
            var found = false
            try InternetSockets.list(family, in: InternetSockets.synReceived) { socket in
                found = wanted.contains { address in
                    address.port == socket.port && address.host.map { socket.host.starts(with: $0) } ?? true
                }
                return found
            }
            return found
        }
    #else
        /// The system does not say.
        static func exists(at addresses: [SocketAddress]) -> Bool { false }
    #endif
}
