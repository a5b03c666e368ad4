// Descriptors that travel over a channel (SCM_RIGHTS, unix(7)).
import PreforkLibc

extension Channel {
    /// The most descriptors that one `receiveWithDescriptors` takes. The kernel closes the others.
    private static let mostDescriptors = 4
    private static let rights: CInt = 1  // SCM_RIGHTS, an enumeration in some C libraries.

    /// Sends a few bytes together with a copy of a descriptor, without waiting.
    static func send(_ bytes: [UInt8], passing descriptor: CInt, to channel: CInt) throws(SystemError) {
        var bytes = bytes
        let size = headerSize + MemoryLayout<CInt>.size
        let outcome: Result<Int, SystemError> = withControl(aligned(size)) { control in
            var header = cmsghdr()
            header.cmsg_len = .init(size)
            header.cmsg_level = SOL_SOCKET
            header.cmsg_type = rights
            control.storeBytes(of: header, as: cmsghdr.self)
            control.storeBytes(of: descriptor, toByteOffset: headerSize, as: CInt.self)
            return withMessage(&bytes, control) { message in
                Result { () throws(SystemError) in
                    try System.call("sendmsg") {
                        sendmsg(channel, &message, SystemConstant.withoutWaitingOrSignal)
                    }
                }
            }
        }
        _ = try outcome.get()
    }

    /// Receives the bytes that have arrived, up to `mostBytes`, and the descriptors that came with them.
    /// - Returns: `areMissing` if the kernel could not install all of the descriptors, for example because this process
    ///   has too many. It has closed those.
    static func receiveWithDescriptors(
        from channel: CInt
    ) -> (input: ChannelInput, descriptors: [OpenSocket], areMissing: Bool) {
        var buffer = [UInt8](repeating: 0, count: mostBytes)
        var received: [OpenSocket] = []
        var areMissing = false
        let capacity = aligned(headerSize + mostDescriptors * MemoryLayout<CInt>.size)
        let outcome: Result<Int, SystemError> = withControl(capacity) { control in
            withMessage(&buffer, control) { message in
                let result = Result { () throws(SystemError) in
                    try System.call("recvmsg") { recvmsg(channel, &message, SystemConstant.receiveDescriptors) }
                }
                if case .success = result {
                    let written = control[..<Int(message.msg_controllen)]
                    received = descriptors(in: UnsafeRawBufferPointer(rebasing: written))
                    areMissing = message.msg_flags & CInt(MSG_CTRUNC) != 0
                }
                return result
            }
        }
        switch outcome {
        case .success(0): return (.hungUp, received, areMissing)
        case .success(let count): return (.bytes(Array(buffer.prefix(count))), received, areMissing)
        case .failure(let error):
            let isNothing = error.code == EAGAIN || error.code == EWOULDBLOCK
            return (isNothing ? .nothing : .hungUp, [], false)
        }
    }

    /// CMSG_ALIGN: control messages begin at multiples of this.
    #if canImport(Darwin)
        private static let alignment = MemoryLayout<UInt32>.size
    #else
        private static let alignment = MemoryLayout<Int>.size
    #endif

    private static func aligned(_ size: Int) -> Int { (size + alignment - 1) / alignment * alignment }

    /// CMSG_LEN(0).
    private static var headerSize: Int { aligned(MemoryLayout<cmsghdr>.size) }

    private static func withControl<Result>(_ size: Int, _ body: (UnsafeMutableRawBufferPointer) -> Result) -> Result {
        withUnsafeTemporaryAllocation(byteCount: size, alignment: MemoryLayout<cmsghdr>.alignment) { control in
            control.initializeMemory(as: UInt8.self, repeating: 0)
            return body(control)
        }
    }

    private static func withMessage<Result>(
        _ bytes: inout [UInt8], _ control: UnsafeMutableRawBufferPointer, _ body: (inout msghdr) -> Result
    ) -> Result {
        bytes.withUnsafeMutableBytes { buffer in
            var vector = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
            return withUnsafeMutablePointer(to: &vector) { pointer in
                var message = msghdr()
                message.msg_iov = pointer
                message.msg_iovlen = 1
                message.msg_control = control.baseAddress
                message.msg_controllen = .init(control.count)
                return body(&message)
            }
        }
    }

    /// - Parameter control: the control messages that recvmsg(2) has written.
    private static func descriptors(in control: UnsafeRawBufferPointer) -> [OpenSocket] {
        var found: [OpenSocket] = []
        var offset = 0
        while offset + headerSize <= control.count {
            let header = control.loadUnaligned(fromByteOffset: offset, as: cmsghdr.self)
            let size = Int(header.cmsg_len)
            guard size >= headerSize, offset + size <= control.count else { break }
            if header.cmsg_level == SOL_SOCKET, header.cmsg_type == rights {
                for place in stride(from: offset + headerSize, to: offset + size, by: MemoryLayout<CInt>.size) {
                    let raw = control.loadUnaligned(fromByteOffset: place, as: CInt.self)
                    // Closed at once if it cannot get a number above the standard descriptors.
                    if let own = try? System.own(raw) {
                        try? System.setCloseOnExec(own.raw)  // For Darwin, which has no MSG_CMSG_CLOEXEC.
                        found.append(OpenSocket(own))
                    }
                }
            }
            offset += aligned(size)
        }
        return found
    }
}
