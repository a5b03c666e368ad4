// Queries about sockets that no socket option answers (sock_diag(7) over netlink(7)). They need no privilege.
import PreforkLibc

#if os(Linux) || os(Android)
    // linux/netlink.h and linux/sock_diag.h, which are not in Swift's modules.
    enum Netlink {
        private static let family: CInt = 16  // AF_NETLINK
        private static let socketDiagnosis: CInt = 4  // NETLINK_SOCK_DIAG
        private static let byFamily: UInt16 = 20  // SOCK_DIAG_BY_FAMILY
        private static let request: UInt16 = 0x1  // NLM_F_REQUEST
        private static let dump: UInt16 = 0x300  // NLM_F_DUMP
        private static let error: UInt16 = 2  // NLMSG_ERROR
        private static let headerSize = 16

        /// Asks for sockets and passes the body of each answer to `body`, until that returns `true`.
        /// - Parameters:
        ///   - payload: the bytes after struct nlmsghdr.
        ///   - all: asks for all sockets that match the payload. Otherwise it asks for the one that the payload names.
        /// - Throws: the kernel's error, for example if it has no such table or no such socket.
        static func query(
            _ payload: [UInt8], all: Bool, _ body: (ArraySlice<UInt8>) -> Bool
        ) throws(SystemError) {
            let channel = try System.own(
                try System.call("socket", "AF_NETLINK") {
                    socket(family, SystemConstant.datagram | SystemConstant.closeOnExecNonBlocking, socketDiagnosis)
                })
            let raw = channel.raw
            var message = [UInt8](repeating: 0, count: headerSize) + payload
            message.withUnsafeMutableBytes { target in
                target.storeBytes(of: UInt32(target.count), toByteOffset: 0, as: UInt32.self)
                target.storeBytes(of: byFamily, toByteOffset: 4, as: UInt16.self)
                target.storeBytes(of: request | (all ? dump : 0), toByteOffset: 6, as: UInt16.self)
            }
            _ = try System.call("send", "sock_diag") {
                send(raw, message, message.count, SystemConstant.withoutWaitingOrSignal)
            }
            var buffer = [UInt8](repeating: 0, count: 32_768)
            // The kernel produces each part of its answer in the call that asks for it, so no call has to wait. Closing
            // the socket discards what has not been read.
            while true {
                let count = try System.call("recv", "sock_diag") {
                    recv(raw, &buffer, buffer.count, SystemConstant.withoutWaitingOrSignal)
                }
                guard try read(buffer[..<count], all: all, body) else { return }
                if count < headerSize { return }
            }
        }

        /// Reads one part of the kernel's answer.
        /// - Returns: whether more parts may follow.
        static func read(
            _ part: ArraySlice<UInt8>, all: Bool, _ body: (ArraySlice<UInt8>) -> Bool
        ) throws(SystemError) -> Bool {
            var rest = part
            while rest.count >= headerSize {
                let (length, type) = rest.withUnsafeBytes { bytes in
                    (
                        Int(bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self)),
                        bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
                    )
                }
                if type == error, length >= headerSize + 4, length <= rest.count {
                    let code = rest.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: headerSize, as: Int32.self) }
                    if code != 0 { throw SystemError(call: "send", code: 0 &- code, context: "sock_diag") }
                }
                // The only other type is NLMSG_DONE.
                guard type == byFamily, length >= headerSize, length <= rest.count else { return false }
                if body(rest.dropFirst(headerSize).prefix(length - headerSize)) { return false }
                if !all { return false }
                rest = rest.dropFirst((length + 3) & ~3)
            }
            return true
        }
    }
#endif
