// The file of a Unix-domain socket, whether another process listens on it, and whether this process may remove it.
import PreforkLibc

struct SocketFile {
    let path: String
    let identity: FileIdentity
    /// A second name of the file, so that it can get its path back (link(2)). Only programs that bind the path
    /// themselves need it, because they remove the file first.
    private(set) var link: String?

    init(path: String, identity: FileIdentity, link: String? = nil) {
        self.path = path
        self.identity = identity
        self.link = link
    }

    /// Gives the file a second name in the same directory. Call it while the directory is locked, because it replaces a
    /// name that a killed master has left behind. If the file system has no second names, another socket's file
    /// replaces one that was removed.
    /// - Throws: ENOENT if the file was removed meanwhile.
    mutating func keep() throws(SystemError) {
        let parts = Self.split(path)
        let other = "\(parts.directory).\(parts.name).prefork"
        unlink(other)
        if systemLink(path, other) == 0 {
            link = other
        } else if errno == ENOENT {
            throw SystemError(call: "link", code: ENOENT, context: path)
        }
    }

    /// Gives the file its path back if it has none. It is the same socket, so all children get its connections.
    /// - Returns: whether the path leads to this socket.
    func restoreLink() -> Bool {
        guard let link else { return false }
        // If the path has another file by now, link(2) fails. That file's owner has made it on purpose.
        if isMissing { _ = systemLink(link, path) }
        return (try? System.identity(ofPath: path).identity) == identity
    }

    /// The directory, with a slash at its end or empty, and the name.
    private static func split(_ path: String) -> (directory: String, name: String) {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return ("", path) }
        return (String(path[...slash]), String(path[path.utf8.index(after: slash)...]))
    }

    /// A path that does not depend on the working directory (getcwd(3)). An abstract name stays as it is.
    static func absolute(_ path: String) -> String {
        let first = path.utf8.first
        guard first != UInt8(ascii: "/"), first != UInt8(ascii: "@"), let directory = getcwd(nil, 0) else {
            return path
        }
        defer { free(directory) }
        var rest = path[...]
        while rest.utf8.starts(with: "./".utf8) { rest = rest.dropFirst(2) }
        return String(cString: directory) + "/" + rest
    }

    /// Removes the file if it is still the one that this master created. After a restart it may be the successor's.
    func remove() {
        // The removal does not wait for the lock, because a stop must not wait, and any process may hold the lock of a
        // shared directory.
        try? DirectoryLock.withLock(ofFile: path, patience: .zero) { () throws(SystemError) in removeIfOwn() }
    }

    /// Removes the file if it is still this master's. Call it while the directory is locked.
    func removeIfOwn() {
        let found = try? System.identity(ofPath: path)
        if let found, found.isSocket, found.identity == identity { unlink(path) }
        if let link, (try? System.identity(ofPath: link).identity) == identity { unlink(link) }
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
    /// - Throws: EADDRINUSE if a process listens on the socket. EEXIST if the file is not a socket. Such a file is
    ///   never removed, and waiting would not help.
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
            case EAGAIN, EPROTOTYPE: break  // A full backlog, or a datagram socket. It is in use.
            default: throw SystemError(call: "connect", code: error.code, context: path)
            }
        }
        throw SystemError(call: "bind", code: EADDRINUSE, context: path)
    }
}

/// link(2) under a name that `SocketFile.link` does not hide.
private func systemLink(_ old: String, _ new: String) -> CInt { PreforkLibc.link(old, new) }
