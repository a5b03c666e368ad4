// Pairs of connected sockets: the child channel between master and child, and the wake-up of a poll loop.
import PreforkLibc

/// The result of reading a channel.
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
        let other = Descriptor(ends.1)
        let first = try System.own(ends.0)
        let second = try System.own(other.release())
        try prepare(first.raw)
        try prepare(second.raw)
        // Paired last, because Swift 6.0.3's optimizer stops at a look into a pair that the same function owns.
        return ChannelPair(first: first, second: second)
    }

    /// Sends one byte to wake a poll(2) of the other end. See `send(_:to:)`.
    static func send(_ byte: UInt8, to descriptor: CInt) { send([byte], to: descriptor) }

    /// Sends a few bytes without waiting. A full buffer drops all of them, because the kernel takes so small a message
    /// as a whole or not at all (unix(7)). If the peer is gone there is no SIGPIPE, and poll(2) reports the hang-up at
    /// this end.
    static func send(_ bytes: [UInt8], to descriptor: CInt) {
        _ = try? System.call("send") {
            systemSend(descriptor, bytes, bytes.count, SystemConstant.withoutWaitingOrSignal)
        }
    }

    /// Sends as much as the kernel takes without waiting. No SIGPIPE.
    /// - Returns: how many bytes. 0 if the buffer is full.
    static func sendPart(_ bytes: ArraySlice<UInt8>, to descriptor: CInt) throws(SystemError) -> Int {
        do throws(SystemError) {
            return try System.call("send") {
                bytes.withUnsafeBytes { buffer in
                    buffer.baseAddress.map {
                        systemSend(descriptor, $0, buffer.count, SystemConstant.withoutWaitingOrSignal)
                    } ?? 0
                }
            }
        } catch {
            if error.code == EAGAIN || error.code == EWOULDBLOCK { return 0 }
            throw error
        }
    }

    /// How much one `receive` takes. A child that sends more must not keep the master from its other work.
    static let mostBytes = 512

    /// Receives the bytes that have arrived, up to `mostBytes`.
    static func receive(from descriptor: CInt) -> ChannelInput {
        var buffer = [UInt8](repeating: 0, count: mostBytes)
        do throws(SystemError) {
            let count = try System.call("recv") {
                recv(descriptor, &buffer, buffer.count, SystemConstant.withoutWaitingOrSignal)
            }
            return count == 0 ? .hungUp : .bytes(Array(buffer.prefix(count)))
        } catch {
            return error.code == EAGAIN || error.code == EWOULDBLOCK ? .nothing : .hungUp
        }
    }

    /// Discards the bytes that have woken a poll(2).
    static func empty(_ descriptor: CInt) {
        while case .bytes(let bytes) = receive(from: descriptor), bytes.count == mostBytes {}
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
