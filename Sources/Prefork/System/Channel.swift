// Pairs of connected sockets: the child channel between master and child, and the wake-up of a poll loop.
import PreforkLibc

/// What reading a channel gives.
enum ChannelInput: Equatable {
    case bytes([UInt8])
    case nothing
    case hungUp
}

enum Channel {
    /// socketpair(2): a stream, both ends non-blocking and close-on-exec.
    static func makePair() throws(SystemError) -> ChannelPair {
        var ends: (CInt, CInt) = (-1, -1)
        _ = try System.call("socketpair") {
            withUnsafeMutableBytes(of: &ends) { bytes in
                socketpair(
                    AF_UNIX,
                    SystemConstant.stream | SystemConstant.closeOnExecNonBlocking,
                    0,
                    bytes.assumingMemoryBound(to: CInt.self).baseAddress
                )
            }
        }
        let pair = ChannelPair(first: Descriptor(ends.0), second: Descriptor(ends.1))
        try prepare(ends.0)
        try prepare(ends.1)
        return pair
    }

    /// Sends one byte without waiting. A full buffer drops the byte: the reader has enough to read already. If the peer
    /// is gone there is no SIGPIPE, and whoever polls this end sees the hang-up.
    static func send(_ byte: UInt8, to descriptor: CInt) {
        var byte = byte
        _ = try? System.call("send") { systemSend(descriptor, &byte, 1, SystemConstant.withoutWaitingOrSignal) }
    }

    /// Receives all bytes that have arrived.
    static func receive(from descriptor: CInt) -> ChannelInput {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 256)
        while true {
            do throws(SystemError) {
                let count = try System.call("recv") {
                    recv(descriptor, &buffer, buffer.count, SystemConstant.withoutWaitingOrSignal)
                }
                if count == 0 { return received.isEmpty ? .hungUp : .bytes(received) }
                received.append(contentsOf: buffer.prefix(count))
            } catch {
                if !received.isEmpty { return .bytes(received) }
                return error.code == EAGAIN || error.code == EWOULDBLOCK ? .nothing : .hungUp
            }
        }
    }

    #if canImport(Darwin)
        /// Sets what socketpair(2) has no flags for here.
        private static func prepare(_ descriptor: CInt) throws(SystemError) {
            try System.setCloseOnExec(descriptor)
            try System.setNonBlocking(descriptor)
            try SocketOption.set(descriptor, SOL_SOCKET, SO_NOSIGPIPE, 1, "SO_NOSIGPIPE")
        }
    #else
        private static func prepare(_ descriptor: CInt) throws(SystemError) {}
    #endif
}

/// Both ends of a channel.
struct ChannelPair: ~Copyable {
    let first: Descriptor
    let second: Descriptor

    /// The numbers. The caller owns and closes them.
    consuming func split() -> (first: CInt, second: CInt) {
        (first.release(), second.release())
    }

    /// Closes both ends.
    consuming func close() {}
}

/// send(2) under a name that `Channel.send` does not hide.
private func systemSend(_ descriptor: CInt, _ bytes: UnsafeRawPointer, _ count: Int, _ flags: CInt) -> Int {
    send(descriptor, bytes, count, flags)
}
