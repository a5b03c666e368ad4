// Listening and accepting.
import PreforkLibc

extension System {
    /// Accepts all connections that are queued on a non-blocking listener, and closes them (accept(2)).
    /// - Returns: how many there were.
    static func closeQueued(on listener: CInt) -> Int {
        var count = 0
        while true {
            let connection = acceptConnection(listener)
            if connection >= 0 {
                Descriptor(connection).close()
                count += 1
            } else if errno != EINTR, errno != ECONNABORTED {
                return count
            }
        }
    }

    /// listen(2). On a socket that listens already, it changes the backlog and the process that clients see as their
    /// peer (SO_PEERCRED, unix(7)).
    static func listen(
        _ descriptor: CInt, backlog: CInt, _ context: @autoclosure () -> String = ""
    ) throws(SystemError) {
        _ = try call("listen", context()) { systemListen(descriptor, backlog) }
    }

    /// accept(2) for a connection that this process keeps: close-on-exec and non-blocking, and without SIGPIPE.
    static func acceptForMaster(_ descriptor: CInt) throws(SystemError) -> Descriptor {
        #if os(Linux) || os(Android)
            if let accepted = try HiddenSymbols.acceptCloseOnExecNonBlocking(descriptor) { return try own(accepted) }
        #endif
        let connection = try accept(descriptor)
        try setCloseOnExec(connection.raw)
        try setNonBlocking(connection.raw)
        #if canImport(Darwin)
            try SocketOption.set(connection.raw, SOL_SOCKET, SO_NOSIGPIPE, 1, "SO_NOSIGPIPE")
        #endif
        return connection
    }

    /// accept(2). The connection is not close-on-exec.
    static func accept(_ descriptor: CInt) throws(SystemError) -> Descriptor {
        try own(try call("accept") { systemAccept(descriptor, nil, nil) })
    }
}

/// listen(2) under a name that `System.listen` does not hide.
private func systemListen(_ descriptor: CInt, _ backlog: CInt) -> CInt { listen(descriptor, backlog) }

/// accept(2) under a name that `System.accept` does not hide.
private func systemAccept(
    _ descriptor: CInt, _ address: UnsafeMutablePointer<sockaddr>?, _ length: UnsafeMutablePointer<socklen_t>?
) -> CInt {
    accept(descriptor, address, length)
}

extension System {
    /// The effective user of the process that connected, or that made a pair of sockets (SO_PEERCRED, unix(7)). `nil`
    /// if the system does not say.
    static func peerUser(of descriptor: CInt) -> uid_t? { peer(of: descriptor)?.user }

    /// That process and its effective user.
    static func peer(of descriptor: CInt) -> SignalSender? {
        #if os(Linux) || os(Android)
            var credentials: (process: pid_t, user: uid_t, group: gid_t) = (0, 0, 0)
            var size = socklen_t(MemoryLayout.size(ofValue: credentials))
            guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 else { return nil }
            return SignalSender(pid: credentials.process, user: credentials.user)
        #else
            var (user, group): (uid_t, gid_t) = (0, 0)
            guard getpeereid(descriptor, &user, &group) == 0 else { return nil }
            var process: pid_t = 0
            var size = socklen_t(MemoryLayout.size(ofValue: process))
            // LOCAL_PEERPID of the level SOL_LOCAL (sys/un.h). 0 if the system does not say.
            getsockopt(descriptor, 0, 2, &process, &size)
            return SignalSender(pid: process, user: user)
        #endif
    }
}

/// accept(2) under a name that no method hides.
private func acceptConnection(_ listener: CInt) -> CInt { accept(listener, nil, nil) }
