import Foundation
import Synchronization

/// A port on which a scraper, such as Prometheus, collects the metrics of one process.
///
/// A scrape of the port that the children share reaches any of them. Give each slot a port of its own instead:
///
///     let endpoint = try MetricsEndpoint(port: 9100 + UInt16(child.slot)) { path in
///         path == "/metrics" ? .prometheus(registry.text) : nil
///     }
///     child.onStop { endpoint.close() }
///
/// It answers GET requests one after the other, on a thread of its own. It has no TLS, so let it listen where only the
/// scraper can connect.
public final class MetricsEndpoint: Sendable {
    /// The answer to a request.
    public struct Answer: Sendable {
        let contentType: String
        let body: String

        /// An answer with a media type, such as `application/json`.
        public init(contentType: String, body: String) {
            self.contentType = contentType
            self.body = body
        }

        /// Metrics in the text format of Prometheus.
        public static func prometheus(_ text: String) -> Answer {
            Answer(contentType: "text/plain; version=0.0.4; charset=utf-8", body: text)
        }
    }

    private static let retryMilliseconds: Int32 = 50
    private static let clientSeconds = 2
    private static let longestRequest = 8192

    private let answer: @Sendable (String) -> Answer?
    /// Readable once the endpoint is closed.
    private let stopReader: Int32
    /// `nil` once the endpoint is closed.
    private let stopWriter: Mutex<Int32?>

    /// Starts a thread that listens and answers.
    ///
    /// While another process listens on the port, the thread tries again every 50 ms. In a restart, the new child of a
    /// slot gets the port when the old one closes its endpoint or exits.
    /// - Parameters:
    ///   - host: A numeric address. Default: `127.0.0.1`.
    ///   - port: The port.
    ///   - answer: Called for each GET request, with the path. `nil` becomes the status 404.
    /// - Throws: a `POSIXError` if it cannot listen for another reason than a port in use.
    public init(
        host: String = "127.0.0.1", port: UInt16, answer: @escaping @Sendable (_ path: String) -> Answer?
    ) throws {
        self.answer = answer
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Self.error() }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        stopReader = ends[0]
        stopWriter = Mutex(ends[1])
        do {
            let listener = try Self.listen(host, port)
            Thread.detachNewThread { self.run(listener, host, port) }
        } catch {
            close()
            Foundation.close(stopReader)
            throw error
        }
    }

    /// Closes the port. Further calls do nothing. Call it from any thread.
    public func close() {
        stopWriter.withLock { writer in
            if let end = writer { Foundation.close(end) }
            writer = nil
        }
    }

    // MARK: The thread

    private func run(_ first: Int32?, _ host: String, _ port: UInt16) {
        var listener = first
        while !isReadable(nil, timeout: listener == nil ? Self.retryMilliseconds : 0) {
            // A shortage, for example of descriptors, is tried again, too. Other errors come at the first attempt.
            guard let socket = listener else {
                listener = try? Self.listen(host, port)
                continue
            }
            if isReadable(socket, timeout: -1) { break }
            let connection = accept(socket, nil, nil)
            guard connection >= 0 else {
                // Out of descriptors. Otherwise poll(2) would return at once again and again.
                if errno == EMFILE || errno == ENFILE { usleep(10_000) }
                continue
            }
            serve(connection)
            Foundation.close(connection)
        }
        if let listener { Foundation.close(listener) }
        Foundation.close(stopReader)
    }

    /// Waits until the listener or the stop is readable. Returns whether the stop is.
    private func isReadable(_ listener: Int32?, timeout: Int32) -> Bool {
        var wanted = [stopReader, listener ?? -1].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        poll(&wanted, 2, timeout)
        return wanted[0].revents != 0
    }

    private func serve(_ connection: Int32) {
        var limit = timeval(tv_sec: Self.clientSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        guard let path = path(on: connection) else { return }
        let answer = answer(path)
        let body = answer?.body ?? "not found\n"
        let head = """
            HTTP/1.1 \(answer == nil ? "404 Not Found" : "200 OK")\r
            Content-Type: \(answer?.contentType ?? "text/plain")\r
            Content-Length: \(body.utf8.count)\r
            Connection: close\r
            \r

            """
        write(Array((head + body).utf8), on: connection)
    }

    /// The path of a GET request. `nil` without a complete one.
    private func path(on connection: Int32) -> String? {
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1024)
        while text.firstRange(of: Array("\r\n\r\n".utf8)) == nil {
            let count = read(connection, &buffer, buffer.count)
            guard count > 0, text.count + count <= Self.longestRequest else { return nil }
            text += buffer[..<count]
        }
        let words = String(decoding: text, as: UTF8.self).split(separator: " ", maxSplits: 2)
        guard words.count == 3, words[0] == "GET" else { return nil }
        return words[1].split(separator: "?", omittingEmptySubsequences: false).first.map { String($0) }
    }

    private func write(_ bytes: [UInt8], on connection: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Self.noSignal) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    // MARK: The socket

    #if canImport(Darwin)
        private static let noSignal: Int32 = 0  // SO_NOSIGPIPE of the listener is inherited.
        private static let streamType = SOCK_STREAM
    #else
        private static let noSignal = Int32(MSG_NOSIGNAL)
        private static let streamType = Int32(SOCK_STREAM.rawValue)
    #endif

    /// `nil` if another process listens on the port.
    private static func listen(_ host: String, _ port: UInt16) throws -> Int32? {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = streamType
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, "\(port)", &hints, &found) == 0, let address = found?.pointee else {
            throw POSIXError(.EINVAL)
        }
        defer { freeaddrinfo(found) }
        let listener = socket(address.ai_family, streamType, 0)
        guard listener >= 0 else { throw error() }
        _ = fcntl(listener, F_SETFD, FD_CLOEXEC)
        _ = fcntl(listener, F_SETFL, O_NONBLOCK)
        var on: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        #if canImport(Darwin)
            setsockopt(listener, SOL_SOCKET, SO_NOSIGPIPE, &on, socklen_t(MemoryLayout<Int32>.size))
        #endif
        if bind(listener, address.ai_addr, address.ai_addrlen) == 0, Foundation.listen(listener, 16) == 0 {
            return listener
        }
        let failure = error()
        Foundation.close(listener)
        if failure.code == .EADDRINUSE { return nil }
        throw failure
    }

    private static func error() -> POSIXError { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
}
