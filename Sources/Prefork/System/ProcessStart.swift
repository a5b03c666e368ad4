// The surroundings of this process when it started.
import PreforkLibc

/// The surroundings of a process at its start, before its program changed them. Children get the same.
struct ProcessStart: Sendable {
    /// The surroundings of this process at the first use. ``Prefork/role`` uses this value, and so does `run`.
    static let own = ProcessStart()

    /// The signals that were ignored. The program that started this one may have wanted that: nohup ignores HUP, and
    /// systemd ignores PIPE.
    let ignoredSignals: [Signal]
    /// The signals that were blocked in the first calling thread.
    let blockedSignals: [Signal]
    /// Whether this process had a controlling terminal.
    let hadTerminal: Bool
    /// The directory in which the program finds its relative paths.
    private let directory: (path: CString, identity: FileIdentity)?

    private init() {
        ignoredSignals = Signal.ignored()
        blockedSignals = SignalMask.blocked()
        hadTerminal = System.hasTerminal
        directory = Self.currentDirectory()
    }

    /// The directory that a child must change to, so that it starts in the same one. `nil` if this process is still
    /// there. That needs no path, because the directory may have been renamed or removed. Also `nil` if the path now
    /// leads elsewhere.
    var directoryToReturnTo: CString? {
        guard let directory, System.identity(following: CString(".")) != directory.identity,
            System.identity(following: directory.path) == directory.identity
        else { return nil }
        return directory.path
    }

    private static func currentDirectory() -> (path: CString, identity: FileIdentity)? {
        guard let path = getcwd(nil, 0) else { return nil }
        defer { free(path) }
        return System.identity(following: CString(".")).map { (CString(copying: path), $0) }
    }

    /// A path as this process's arguments mean it, with all its symbolic links. `nil` if the directory that it is
    /// relative to is not known.
    func absolute(_ path: CString) -> CString? {
        if path.bytes.first == UInt8(ascii: "/") { return path }
        return directory.map { CString(bytes: $0.path.bytes + [UInt8(ascii: "/")] + path.bytes) }
    }
}
