// The system calls of the demonstration server.
@preconcurrency import PreforkLibc  // musl imports `environ` as a mutable global variable.

enum Posix {
    enum Accepted {
        case connection(CInt)
        case nothing
        /// For want of descriptors or memory, in most cases.
        case failed
    }

    enum Received {
        case bytes(Int)
        case nothing
        /// The client has sent its last byte, or is gone.
        case ended
    }

    static var pid: CInt { getpid() }
    static func close(_ descriptor: CInt) { closeDescriptor(descriptor) }
    static func leave(_ status: CInt) -> Never { exit(status) }
    /// CLOCK_MONOTONIC.
    static func now() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
    }

    static func sleep(milliseconds: Int) { poll(nil, 0, CInt(clamping: milliseconds)) }

    /// Takes memory and writes to each page of it, for the rest of the process's life.
    static func keepMemory(megabytes: Int) {
        for _ in 0..<megabytes {
            let piece = UnsafeMutableRawPointer.allocate(byteCount: 1 << 20, alignment: 4096)
            memset(piece, 1, 1 << 20)
        }
    }

    static func printError(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        _ = write(2, bytes, bytes.count)
    }

    static func environment() -> [String] {
        var entries: [String] = []
        var entry = environmentPointer()
        while let text = entry?.pointee {
            entries.append(String(cString: text))
            entry = entry.map { $0 + 1 }
        }
        return entries
    }

    /// The open descriptors as /proc/self/fd or /dev/fd lists them, in order.
    static func openDescriptors() -> [CInt] {
        guard let directory = opendir("/proc/self/fd") ?? opendir("/dev/fd") else { return [] }
        defer { closedir(directory) }
        var numbers: [CInt] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let number = CInt(name), number != dirfd(directory) { numbers.append(number) }
        }
        return numbers.sorted()
    }

    /// The position of the byte, at `start` or behind it.
    static func find(_ byte: UInt8, in bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        guard start < bytes.count, let base = bytes.baseAddress else { return nil }
        let found = memchr(base + start, CInt(byte), bytes.count - start)
        return found.map { UnsafeRawPointer($0) - UnsafeRawPointer(base) }
    }

    static func accept(_ listener: CInt) -> Accepted {
        while true {
            let connection = acceptConnection(listener, nil, nil)
            if connection >= 0 {
                _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
                var on: CInt = 1
                setsockopt(connection, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
                return .connection(connection)
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EAGAIN: return .nothing
            default: return .failed
            }
        }
    }

    static func receive(_ connection: CInt, into buffer: UnsafeMutableBufferPointer<UInt8>) -> Received {
        let count = recv(connection, buffer.baseAddress, buffer.count, CInt(MSG_DONTWAIT))
        if count > 0 { return .bytes(count) }
        return count == -1 && (errno == EAGAIN || errno == EINTR) ? .nothing : .ended
    }

    /// - Returns: the number of bytes for which there was room. `nil` if the client is gone.
    static func send(_ connection: CInt, _ bytes: ArraySlice<UInt8>) -> Int? {
        let count = bytes.withUnsafeBytes {
            sendBytes(connection, $0.baseAddress, $0.count, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL))
        }
        if count >= 0 { return count }
        return errno == EAGAIN || errno == EINTR ? 0 : nil
    }

    /// A pipe whose ends do not block.
    static func makePipe() throws(SystemFailure) -> (reader: CInt, writer: CInt) {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SystemFailure("pipe") }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        return (ends[0], ends[1])
    }

    /// Makes the reading end of a pipe readable. A full pipe is readable already.
    static func wake(_ writer: CInt) {
        var byte: UInt8 = 0
        _ = write(writer, &byte, 1)
    }

    /// Reads everything that a pipe holds.
    static func discard(_ reader: CInt) {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(reader, &bytes, bytes.count) > 0 {}
    }

    /// Tells the client that no more comes.
    static func endOutput(_ connection: CInt) { shutdown(connection, CInt(SHUT_WR)) }
}

/// A system call that failed.
struct SystemFailure: Error, CustomStringConvertible {
    let description: String

    /// - Parameter code: errno.
    init(_ call: String, code: CInt = errno) { description = "\(call): \(String(cString: strerror(code)))" }
}

private func closeDescriptor(_ descriptor: CInt) { close(descriptor) }
private func acceptConnection(
    _ listener: CInt,
    _ address: UnsafeMutablePointer<sockaddr>?,
    _ length: UnsafeMutablePointer<socklen_t>?
) -> CInt { accept(listener, address, length) }

private func sendBytes(
    _ connection: CInt,
    _ bytes: UnsafeRawPointer?,
    _ count: Int,
    _ flags: CInt
) -> Int { send(connection, bytes, count, flags) }

#if canImport(Darwin)
    private let MSG_NOSIGNAL: CInt = 0

    private func environmentPointer() -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? { _NSGetEnviron().pointee }
#else
    private func environmentPointer() -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? { environ }
#endif
