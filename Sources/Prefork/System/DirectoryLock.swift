// An advisory lock on a directory.
import PreforkLibc

enum DirectoryLock {
    /// Runs `body` while this process holds flock(2) on the directory of a file. `body` runs without the lock if the
    /// directory is not readable, its file system has no locks, or another process holds the lock for longer than
    /// `patience`.
    static func withLock<Result>(
        ofFile path: String,
        patience: Duration = .seconds(1),
        _ body: () throws(SystemError) -> Result
    ) throws(SystemError) -> Result {
        let parent = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let raw = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard raw >= 0 else { return try body() }
        let directory = try System.own(raw)
        let end = System.now() + patience
        while isHeldElsewhere(directory.raw), System.now() < end { System.pause(milliseconds: 5) }
        let result = try body()
        directory.close()
        return result
    }

    /// Tries once. A file system without locks counts as free.
    private static func isHeldElsewhere(_ directory: CInt) -> Bool {
        do throws(SystemError) {
            _ = try System.call("flock") { flock(directory, LOCK_EX | LOCK_NB) }
            return false
        } catch {
            return error.code == EWOULDBLOCK
        }
    }
}
