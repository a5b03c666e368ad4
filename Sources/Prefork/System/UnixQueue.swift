// The backlog of a Unix-domain socket.
import PreforkLibc

/// The queue of a listening Unix-domain socket, which getsockopt(2) does not report.
enum UnixQueue {
    #if os(Linux) || os(Android)
        // linux/unix_diag.h.
        private static let requestSize = 24  // struct unix_diag_req
        private static let answerSize = 16  // struct unix_diag_msg
        private static let showQueue: UInt32 = 1 << 4  // UDIAG_SHOW_RQLEN
        private static let queueAttribute: UInt16 = 4  // UNIX_DIAG_RQLEN
        private static let listening: UInt32 = 1 << 10  // TCP_LISTEN

        /// The backlog. Linux 3.3 with CONFIG_UNIX_DIAG.
        /// - Returns: `nil` if it is not known, or the socket is of another family.
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
            try? Netlink.query(payload, all: false) { answer in
                limit = decodeLimit(answer)
                return true
            }
            return limit
        }

        /// Attributes follow struct unix_diag_msg. For a listening socket the second number of the queue is its
        /// backlog.
        static func decodeLimit(_ answer: ArraySlice<UInt8>) -> Int? {
            var rest = answer.dropFirst(answerSize)
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
        /// The system does not say.
        static func limit(of descriptor: CInt) -> Int? { nil }
    #endif
}
