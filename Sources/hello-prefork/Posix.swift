// The system calls of the demonstration server.
@preconcurrency import PreforkLibc  // musl imports `environ` as a mutable global variable.
import Synchronization

enum Posix {
    enum Received { case received, nothing, ended }

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

    /// - Returns: whether something is there to read before the timeout.
    @discardableResult
    static func waitForInput(_ descriptors: [CInt], timeout: Duration?) -> Bool {
        var requests = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let milliseconds = timeout.map { CInt(clamping: Int64($0 / .milliseconds(1)) + 1) } ?? -1
        return poll(&requests, nfds_t(requests.count), milliseconds) > 0
    }

    /// `nil` if another child was quicker, or nothing is waiting.
    static func accept(_ listener: CInt) -> CInt? {
        while true {
            let connection = acceptConnection(listener, nil, nil)
            if connection >= 0 {
                _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
                _ = fcntl(connection, F_SETFL, fcntl(connection, F_GETFL) & ~O_NONBLOCK)
                var on: CInt = 1
                setsockopt(connection, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
                return connection
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                // The connection stays in the queue, so poll(2) would report it at once, again and again.
                sleep(milliseconds: 10)
                return nil
            default: return nil
            }
        }
    }

    static func receive(_ connection: CInt, into bytes: inout [UInt8]) -> Received {
        withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 1) { buffer in
            let count = recv(connection, buffer.baseAddress, buffer.count, CInt(MSG_DONTWAIT))
            if count > 0 {
                bytes.append(contentsOf: buffer.prefix(count))
                return .received
            }
            return count == -1 && (errno == EAGAIN || errno == EINTR) ? .nothing : .ended
        }
    }

    /// - Returns: false if the client is gone.
    static func sendAll(_ connection: CInt, _ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                send(connection, buffer.baseAddress.map { $0 + sent }, buffer.count - sent, CInt(MSG_NOSIGNAL))
            }
            if count == -1 && errno == EINTR { continue }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// Tells the client that no more comes, and reads what it still sends, for up to `timeout` milliseconds.
    static func finishSending(_ connection: CInt, timeout: Int) {
        shutdown(connection, CInt(SHUT_WR))
        var ignored: [UInt8] = []
        while timeout > 0, waitForInput([connection], timeout: .milliseconds(timeout)),
            receive(connection, into: &ignored) == .received
        {}
    }

    /// Starts a detached thread.
    static func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
        let box = Unmanaged.passRetained(Body(body))
        if createThread(box.toOpaque()) { return true }
        box.release()
        return false
    }

    fileprivate final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
}

/// The number of open connections, and a way to wait until none is open.
final class Connections: Sendable {
    // Allocated once and used through pthread functions alone, which synchronise, so any thread may use it.
    private nonisolated(unsafe) let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private nonisolated(unsafe) let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    // Only touched with the mutex held.
    private nonisolated(unsafe) let count = UnsafeMutablePointer<Int>.allocate(capacity: 1)

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
        count.initialize(to: 0)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
        count.deallocate()
    }

    func enter() {
        pthread_mutex_lock(mutex)
        count.pointee += 1
        pthread_mutex_unlock(mutex)
    }

    func leave() {
        pthread_mutex_lock(mutex)
        count.pointee -= 1
        pthread_cond_signal(changed)
        pthread_mutex_unlock(mutex)
    }

    func waitUntilEmpty() {
        pthread_mutex_lock(mutex)
        while count.pointee > 0 { pthread_cond_wait(changed, mutex) }
        pthread_mutex_unlock(mutex)
    }
}

private func closeDescriptor(_ descriptor: CInt) { close(descriptor) }
private func acceptConnection(
    _ listener: CInt,
    _ address: UnsafeMutablePointer<sockaddr>?,
    _ length: UnsafeMutablePointer<socklen_t>?
) -> CInt { accept(listener, address, length) }

private func runBody(_ box: UnsafeMutableRawPointer?) {
    guard let box else { return }
    Unmanaged<Posix.Body>.fromOpaque(box).takeRetainedValue().run()
}

#if canImport(Darwin)
    private let MSG_NOSIGNAL: CInt = 0

    private func environmentPointer() -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? { _NSGetEnviron().pointee }

    private func createThread(_ box: UnsafeMutableRawPointer) -> Bool {
        var thread: pthread_t?
        guard
            pthread_create(
                &thread,
                nil,
                { box in
                    runBody(box)
                    return nil
                },
                box
            ) == 0, let thread
        else { return false }
        pthread_detach(thread)
        return true
    }
#else
    private func environmentPointer() -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? { environ }

    private func createThread(_ box: UnsafeMutableRawPointer) -> Bool {
        #if canImport(Musl)
            var created: pthread_t?
        #else
            var created = pthread_t()
        #endif
        let code = pthread_create(
            &created,
            nil,
            { box in
                runBody(box)
                return nil
            },
            box
        )
        let thread: pthread_t? = created
        guard code == 0, let thread else { return false }
        pthread_detach(thread)
        return true
    }
#endif
