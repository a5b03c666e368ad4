// The file of a Unix-domain socket: whose it is, whether anybody still listens on it, who may remove it.
import PreforkLibc

struct SocketFile {
    let path: String
    let identity: FileIdentity

    /// Removes the file while it is still the one that we made: after a restart it may be our successor's.
    func remove() {
        // No patience: this is in the middle of a stop, and whoever holds the lock on a common directory may be anybody.
        try? withDirectoryLock(ofFile: path, patience: .zero) { () throws(SystemError) in
            let there = try? System.identity(ofPath: path)
            if let there, there.isSocket, there.identity == identity { unlink(path) }
        }
    }

    /// Removes what a master that was killed has left behind. A socket that somebody listens on is EADDRINUSE; what is no
    /// socket is never removed, and waiting for it would be in vain: EEXIST.
    static func removeIfStale(_ path: String) throws(SystemError) {
        guard let there = try? System.identity(ofPath: path) else { return }
        guard there.isSocket else {
            throw SystemError(call: "bind", code: EEXIST, context: "\(path), which is no socket")
        }
        let probe = try PlatformListener.makeSocket(family: AF_UNIX)
        let name = PlatformListener.unixAddress(path)
        let raw = probe.raw
        do {
            _ = try System.call("connect") {
                withUnsafePointer(to: name.storage) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(raw, $0, name.length) }
                }
            }
        } catch {
            switch error.code {
            case ECONNREFUSED:
                // Nobody listens. Between this answer and the unlink only another master could bind anew, and that one
                // waits for our lock.
                unlink(path)
                return
            case ENOENT: return
            case EAGAIN, EINPROGRESS, EPROTOTYPE: break  // A full backlog, or a datagram socket: somebody is there.
            default: throw SystemError(call: "connect", code: error.code, context: path)
            }
        }
        throw SystemError(call: "bind", code: EADDRINUSE, context: path)
    }
}

/// Runs `body` under flock(2) on the directory of a file: held while one master looks for a stale socket, removes it and
/// listens anew. Advisory: where it cannot be had (no permission to read the directory, a file system without locks,
/// somebody who holds it for longer than `patience`) the work goes on without it, as every other server does.
func withDirectoryLock<Result>(
    ofFile path: String,
    patience: Duration = .seconds(1),
    _ body: () throws(SystemError) -> Result
) throws(SystemError) -> Result {
    let parent = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    let raw = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard raw >= 0 else { return try body() }
    let directory = Descriptor(raw)
    let giveUp = System.now() + patience
    while isHeldByAnother(raw), System.now() < giveUp { System.pause(milliseconds: 5) }
    let result = try body()
    directory.close()
    return result
}

/// Tries once; a file system without locks is nobody's.
private func isHeldByAnother(_ directory: CInt) -> Bool {
    do throws(SystemError) {
        _ = try System.call("flock") { flock(directory, LOCK_EX | LOCK_NB) }
        return false
    } catch {
        return error.code == EWOULDBLOCK
    }
}
