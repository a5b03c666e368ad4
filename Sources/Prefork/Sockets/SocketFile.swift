// The file of a Unix-domain socket, whether another process listens on it, and whether this process may remove it.
import PreforkLibc

struct SocketFile {
    let path: String
    let identity: FileIdentity

    /// Removes the file if it is still the one that this master created. After a restart it may be the successor's.
    func remove() {
        // No patience: a stop must not wait, and any process may hold the lock of a common directory.
        try? DirectoryLock.withLock(ofFile: path, patience: .zero) { () throws(SystemError) in removeIfOwn() }
    }

    /// Call it while the directory is locked.
    func removeIfOwn() {
        let found = try? System.identity(ofPath: path)
        if let found, found.isSocket, found.identity == identity { unlink(path) }
    }

    /// Whether there is no file at the path.
    var isMissing: Bool {
        do throws(SystemError) {
            _ = try System.identity(ofPath: path)
            return false
        } catch {
            return error.code == ENOENT
        }
    }

    /// Removes the socket that a killed master has left behind.
    /// - Throws: EADDRINUSE if a process listens on the socket. EEXIST if the file is not a socket: it is never
    ///   removed, and waiting would not help.
    static func removeIfStale(_ path: String) throws(SystemError) {
        guard let found = try? System.identity(ofPath: path) else { return }
        guard found.isSocket else {
            throw SystemError(call: "bind", code: EEXIST, context: "\(path), which is not a socket")
        }
        let probe = try PlatformListener.makeSocket(family: AF_UNIX)
        do throws(SystemError) {
            try SocketAddress(unixPath: path).connect(probe.raw)
        } catch {
            switch error.code {
            case ECONNREFUSED:
                // No process listens. Between this answer and the removal only another master could bind the path
                // again, and that master waits for our lock.
                unlink(path)
                return
            case ENOENT: return
            case EAGAIN, EPROTOTYPE: break  // A full backlog, or a datagram socket: it is in use.
            default: throw SystemError(call: "connect", code: error.code, context: path)
            }
        }
        throw SystemError(call: "bind", code: EADDRINUSE, context: path)
    }
}
