// The surroundings of this process when it started.
import PreforkLibc

/// The surroundings of a process at its start, before its program changed them. Children get the same.
struct ProcessStart: Sendable {
    /// The surroundings of this process at the first use. ``Prefork/role`` uses this value, and so does `run`.
    static let own = ProcessStart()

    /// The signals that were ignored. The program that started this one may have wanted that: nohup ignores HUP, and
    /// systemd ignores PIPE.
    let ignoredSignals: [Signal]
    /// The directory in which the program finds its relative paths.
    private let directory: (path: CString, identity: FileIdentity)?

    private init() {
        ignoredSignals = Signal.ignored()
        directory = Self.currentDirectory()
    }

    /// The directory that a child must change to, so that it starts in the same one. `nil` if this process is still
    /// there. That needs no path, because the directory may have been renamed or removed. Also `nil` if the path now
    /// leads elsewhere.
    var directoryToReturnTo: CString? {
        guard let directory, Self.identity(of: CString(".")) != directory.identity,
            Self.identity(of: directory.path) == directory.identity
        else { return nil }
        return directory.path
    }

    private static func currentDirectory() -> (path: CString, identity: FileIdentity)? {
        guard let path = getcwd(nil, 0) else { return nil }
        defer { free(path) }
        return identity(of: CString(".")).map { (CString(copying: path), $0) }
    }

    /// The identity of the file at a path. It follows symbolic links.
    private static func identity(of path: CString) -> FileIdentity? {
        var status = stat()
        let result = withCStrings([path]) { $0[0].map { stat($0, &status) } ?? -1 }
        return result == 0 ? FileIdentity(status) : nil
    }
}
