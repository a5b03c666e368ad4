import PreforkLibc

/// A connection to the control socket of a master.
final class MasterConnection {
    private let descriptor: CInt
    private var input: [UInt8] = []

    /// The most bytes of an answer. That of 4,096 children takes about a megabyte.
    private static let longestAnswer = 16_777_216

    /// - Throws: the reason, as a text.
    init(path: String) throws(Refusal) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < room else { throw Refusal("the path has more than \(room - 1) bytes") }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let stream: CInt = 1  // SOCK_STREAM, which has another type in each C library.
        let raw = socket(AF_UNIX, stream, 0)
        guard raw >= 0 else { throw Refusal(errno: errno) }
        let result = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let error = Refusal(errno: errno)
            close(raw)
            throw error
        }
        descriptor = raw
    }

    deinit { close(descriptor) }

    struct Refusal: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
        init(errno code: CInt) { reason = String(cString: strerror(code)) }
    }

    /// A failure shows when the answer is read. A master that refuses this client answers before it reads anything.
    func send(_ line: String) {
        var rest = Array("\(line)\n".utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0 { return }
            rest = rest.dropFirst(count)
        }
    }

    enum Input: Equatable {
        case line([UInt8])
        case nothing
        case end
    }

    /// The next line, without its end.
    /// - Parameter milliseconds: how long to wait. -1 waits without a limit.
    func receive(within milliseconds: CInt = -1) -> Input {
        while true {
            if let end = input.firstIndex(of: UInt8(ascii: "\n")) {
                defer { input.removeFirst(end + 1) }
                return .line(Array(input[..<end]))
            }
            guard input.count < Self.longestAnswer else { return .end }
            var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&request, 1, milliseconds)
            if ready == 0 || ready < 0 && errno == EINTR && milliseconds >= 0 { return .nothing }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return .end }
            input += buffer.prefix(count)
        }
    }
}
