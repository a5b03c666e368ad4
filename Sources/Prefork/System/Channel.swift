// Pairs of connected sockets: the child channel between master and child, and the wake-up of a poll loop.
import PreforkLibc

/// What poll(2) and read(2) say of a channel.
enum ChannelInput: Equatable {
    case bytes([UInt8])
    case nothing
    case hungUp
}

enum Channel {
    /// socketpair(2), stream, both ends non-blocking and close-on-exec.
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

    /// Sends one byte and never waits: a full buffer drops it (whoever reads is behind anyway), a gone peer is no SIGPIPE
    /// and shows as a hang-up where this end is polled.
    static func send(_ byte: UInt8, to descriptor: CInt) {
        var byte = byte
        _ = try? System.call("send") { systemSend(descriptor, &byte, 1, SystemConstant.withoutWaitingOrSignal) }
    }

    /// All bytes that are there.
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
        private static func prepare(_ descriptor: CInt) throws(SystemError) {
            try System.setCloseOnExec(descriptor)
            try System.setNonBlocking(descriptor)
            var on: CInt = 1
            _ = try System.call("setsockopt", "SO_NOSIGPIPE") {
                setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &on, socklen_t(MemoryLayout<CInt>.size))
            }
        }
    #else
        private static func prepare(_ descriptor: CInt) throws(SystemError) {}
    #endif
}

/// The two ends; each is taken out by the one who keeps it.
struct ChannelPair: ~Copyable {
    let first: Descriptor
    let second: Descriptor

    consuming func split() -> (first: CInt, second: CInt) {
        (first.release(), second.release())
    }

    /// Closes both.
    consuming func close() {}
}

/// send(2) under a name that `Channel.send` does not hide.
private func systemSend(_ descriptor: CInt, _ bytes: UnsafeRawPointer, _ count: Int, _ flags: CInt) -> Int {
    send(descriptor, bytes, count, flags)
}
