// Which file a descriptor or a path stands for.
import PreforkLibc

/// A file's device and inode (fstat(2)).
struct FileIdentity: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64

    init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }

    init(_ status: stat) {
        device = UInt64(truncatingIfNeeded: status.st_dev)
        inode = UInt64(truncatingIfNeeded: status.st_ino)
    }
}

extension System {
    /// The file behind an open descriptor (fstat(2)). `nil` if it is not open.
    static func identity(of descriptor: CInt) -> FileIdentity? {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        return FileIdentity(status)
    }

    /// The file that a path leads to (stat(2)). `nil` if there is none.
    static func identity(following path: CString) -> FileIdentity? {
        var status = stat()
        let result = withCStrings([path]) { $0[0].map { stat($0, &status) } ?? -1 }
        return result == 0 ? FileIdentity(status) : nil
    }

    /// The file at a path. Does not follow a symbolic link (lstat(2)).
    static func identity(ofPath path: String) throws(SystemError) -> (identity: FileIdentity, isSocket: Bool) {
        var status = stat()
        _ = try call("lstat", path) { lstat(path, &status) }
        return (FileIdentity(status), status.st_mode & S_IFMT == S_IFSOCK)
    }

    /// The permissions of the file at a path. Does not follow a symbolic link (lstat(2)).
    static func permissions(ofPath path: String) throws(SystemError) -> UInt32 {
        var status = stat()
        _ = try call("lstat", path) { lstat(path, &status) }
        return UInt32(status.st_mode) & 0o7777
    }
}
