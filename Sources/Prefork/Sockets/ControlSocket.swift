import PreforkLibc

/// The listening control socket and its file.
struct ControlSocket: ~Copyable {
    private let descriptor: Descriptor
    private let file: SocketFile
    var raw: CInt { descriptor.raw }

    /// How many clients may wait until they are accepted.
    private static let backlog: CInt = 64

    /// Binds the path and listens. Nothing at the path is replaced or followed, except a socket that no process listens
    /// on.
    /// - Parameter patience: how long to wait for another process that has locked the directory.
    /// - Throws: EADDRINUSE if another process listens, EEXIST if the file is not a socket.
    init(path: String, patience: Duration) throws(SystemError) {
        let absolute = SocketFile.absolute(path)
        // The kernel's limit holds for the path as it is given to bind(2).
        let bound = absolute.utf8.count <= PlatformListener.longestPath ? absolute : path
        guard bound.utf8.count <= PlatformListener.longestPath else {
            throw SystemError(call: "bind", code: ENAMETOOLONG, context: path)
        }
        let socket = try PlatformListener.makeSocket(family: AF_UNIX)
        let raw = socket.raw
        let file = try DirectoryLock.withLock(ofFile: bound, patience: patience) { () throws(SystemError) in
            try SocketFile.removeIfStale(bound)
            try PlatformListener.bindForOwner(raw, bound)
            let file = SocketFile(path: absolute, identity: try System.identity(ofPath: bound).identity)
            do throws(SystemError) {
                // No client can connect before listen(2).
                guard try System.permissions(ofPath: bound) == 0o600 else {
                    throw SystemError(call: "bind", code: EACCES, context: "\(path), whose mode is not 0600")
                }
                try System.listen(raw, backlog: Self.backlog, path)
            } catch {
                file.removeIfOwn()
                throw error
            }
            return file
        }
        self.file = file
        descriptor = socket
    }

    /// The socket of an earlier program of this process.
    init(_ descriptor: consuming Descriptor, _ file: SocketFile) {
        self.descriptor = descriptor
        self.file = file
    }

    func write(to record: inout HandoverRecord) {
        record.set("descriptor", raw)
        file.write(to: &record)
    }

    /// The number, or -1 for `nil`.
    static func number(of socket: borrowing ControlSocket?) -> CInt {
        switch socket {
        case .some(let socket): socket.raw
        case .none: -1
        }
    }

    /// Removes the file if it is still this one, and closes the socket.
    consuming func close() { file.remove() }
}
