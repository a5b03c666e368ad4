import PreforkLibc
import Synchronization

/// A child whose program calls bind(2) and listen(2) itself, and gets the fleet's listeners.
package final class TakeoverChild: Sendable {
    package let child: Prefork.Child
    /// The id of this process. A process that the program forks from this one is not a child of the fleet.
    private let pid = System.pid
    private let state = LockedValueBox(State())

    private struct State {
        /// How often the program has bound port 0, by the bytes of the host.
        var chosenPorts: [[UInt8]: UInt16] = [:]
        /// The sockets that got a listener. The number alone is not enough, because the program may have closed it.
        var taken: [CInt: FileIdentity] = [:]
    }

    private init(_ child: Prefork.Child) { self.child = child }

    // MARK: The instance of this process

    /// Published once and never released, because other threads may be in a call.
    private static let published = Atomic<UInt>(0)

    /// The instance of this process. `nil` in a process that is not a child, and before `publish`. It takes no lock.
    package static var current: TakeoverChild? {
        UnsafeRawPointer(bitPattern: published.load(ordering: .acquiring))
            .map { Unmanaged<TakeoverChild>.fromOpaque($0).takeUnretainedValue() }
    }

    static func publish(_ child: Prefork.Child) -> TakeoverChild {
        let own = TakeoverChild(child)
        published.store(UInt(bitPattern: Unmanaged.passRetained(own).toOpaque()), ordering: .releasing)
        return own
    }

    // MARK: Calls of the program

    /// Handles bind(2) of the program, from any thread.
    /// - Returns: the result, with `errno` set on a failure. `nil` if the C library's bind(2) must be called. Then
    ///   `errno` is as before.
    package func bind(_ socket: CInt, _ address: UnsafePointer<sockaddr>?, _ length: socklen_t) -> CInt? {
        let savedErrno = errno
        guard System.pid == pid, let address, BindRequest.addressLengths ~= Int(length),
            let wanted = SocketAddress(bytes: Array(UnsafeRawBufferPointer(start: address, count: Int(length)))),
            (try? SocketOption.get(socket, SOL_SOCKET, SO_TYPE, "SO_TYPE")) == SystemConstant.stream
        else {
            errno = savedErrno
            return nil
        }
        // bind(2) is not a cancellation point (pthreads(7)), but poll(2) is.
        return System.withoutCancellation { () -> CInt? in
            do throws(SystemError) {
                guard let listener = try child.requestListener(request(socket, wanted, address, length)) else {
                    errno = savedErrno
                    return nil
                }
                try install(listener.raw, as: socket)
                errno = savedErrno
                return 0
            } catch {
                errno = error.code
                return -1
            }
        }
    }

    /// Handles listen(2) of the program, from any thread. The fleet's backlog stays.
    /// - Returns: 0 if the socket has got a listener. `nil` if the C library's listen(2) must be called.
    package func listen(_ socket: CInt) -> CInt? {
        let savedErrno = errno
        defer { errno = savedErrno }
        guard System.pid == pid, let identity = System.identity(of: socket),
            state.withLock({ $0.taken[socket] }) == identity
        else { return nil }
        child.ready()
        return 0
    }

    // MARK: Parts of bind

    private func request(
        _ socket: CInt, _ wanted: SocketAddress, _ address: UnsafePointer<sockaddr>, _ length: socklen_t
    ) -> BindRequest {
        var request = BindRequest(address: Array(UnsafeRawBufferPointer(start: address, count: Int(length))))
        // The program may have left the working directory that it has in common with the master.
        if wanted.family == AF_UNIX { request.address = wanted.withAbsolutePath.bytes }
        if wanted.family == AF_INET6 {
            let option = try? SocketOption.get(socket, SystemConstant.ipv6, IPV6_V6ONLY, "IPV6_V6ONLY")
            request.isV6Only = option == 1
        }
        if wanted.family != AF_UNIX, wanted.port == 0 {
            request.ordinal = state.withLock { state in
                let ordinal = state.chosenPorts[wanted.host, default: 0]
                state.chosenPorts[wanted.host] = ordinal &+ 1
                return ordinal
            }
        }
        return request
    }

    /// Puts the listener in the place of the program's socket.
    ///
    /// The program has just made the socket and has registered it nowhere yet. Close-on-exec and O_NONBLOCK stay as the
    /// program has set them. O_NONBLOCK belongs to the listener itself, which the master and perhaps other children
    /// share (fcntl(2)). The master never accepts, and the other children run the same program.
    private func install(_ listener: CInt, as socket: CInt) throws(SystemError) {
        let wish = try System.statusFlags(of: socket) & O_NONBLOCK
        let flags = try System.statusFlags(of: listener)
        if flags & O_NONBLOCK != wish {
            _ = try System.call("fcntl", "F_SETFL") { fcntl(listener, F_SETFL, flags & ~O_NONBLOCK | wish) }
        }
        copyInheritedOptions(from: socket, to: listener)
        let isCloseOnExec = try System.call("fcntl", "F_GETFD") { fcntl(socket, F_GETFD) } & FD_CLOEXEC != 0
        try System.replace(socket, by: listener, isCloseOnExec: isCloseOnExec)
        if let identity = System.identity(of: socket) { state.withLock { $0.taken[socket] = identity } }
    }

    /// Copies the options that accepted connections inherit from their listener (tcp(7), socket(7)).
    private func copyInheritedOptions(from socket: CInt, to listener: CInt) {
        let options: [(CInt, CInt, String)] = [
            (SystemConstant.tcp, CInt(TCP_NODELAY), "TCP_NODELAY"), (SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE"),
        ]
        for (level, option, name) in options {
            // A Unix-domain socket has no options of TCP.
            guard let value = try? SocketOption.get(socket, level, option, name), value != 0 else { continue }
            try? SocketOption.set(listener, level, option, value, name)
        }
    }
}
