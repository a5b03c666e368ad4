// The program of this process: its file, to be executed once more, and its arguments.
import PreforkLibc

/// The file of this process's program.
enum ProgramFile {
    #if canImport(Darwin)
        /// Nothing is read there on this system.
        static let isProcMissing = false

        /// _NSGetExecutablePath(3).
        static func path() throws(SystemError) -> CString {
            var size = UInt32(0)
            _ = _NSGetExecutablePath(nil, &size)
            var buffer = [CChar](repeating: 0, count: Int(size) + 1)
            guard _NSGetExecutablePath(&buffer, &size) == 0 else {
                throw SystemError(call: "_NSGetExecutablePath", code: ENAMETOOLONG)
            }
            return buffer.withUnsafeBufferPointer { $0.baseAddress.map { CString(copying: $0) } ?? CString("") }
        }

        static func resolvedPath() -> String? { (try? path())?.text }

        static func restoreCommandName(_ name: CString) {}
    #else
        private static let link = "/proc/self/exe"

        /// No /proc, or not for us: some things are not known then, see ``Prefork/Prefork/Event/procIsMissing(program:)``.
        static var isProcMissing: Bool { access(link, X_OK) != 0 }

        /// /proc/self/exe: the very file that this process runs, also after somebody has put another in its place. Where
        /// there is no /proc: the path that it was started by, else where a shell would find it.
        static func path() throws(SystemError) -> CString {
            if !isProcMissing { return CString(link) }
            let candidates = candidates(
                executed: HiddenSymbols.executedPath(),
                name: ProcessArguments.own.first,
                searchPath: System.environmentValue("PATH")
            )
            for candidate in candidates {
                if let path = absolute(candidate) { return path }
            }
            throw SystemError(
                call: "access", code: ENOENT, context: "\(link), and this program's path is not known; see executable")
        }

        /// Where the program may be, the likeliest first.
        /// - Parameters:
        ///   - executed: what the kernel was given, AT_EXECFN.
        ///   - name: the first argument.
        static func candidates(executed: CString?, name: CString?, searchPath: String?) -> [CString] {
            var candidates = executed.map { [$0] } ?? []
            guard let name, !name.bytes.isEmpty else { return candidates }
            if name.bytes.contains(UInt8(ascii: "/")) { return candidates + [name] }
            let colon = UInt8(ascii: ":")
            for directory in (searchPath ?? "").utf8.split(separator: colon, omittingEmptySubsequences: false) {
                // An empty one is the working directory (environ(7)).
                let prefix = directory.isEmpty ? Array(".".utf8) : Array(directory)
                candidates.append(CString(bytes: prefix + [UInt8(ascii: "/")] + name.bytes))
            }
            return candidates
        }

        /// realpath(3), so that it holds wherever this process goes; nil where no program is there.
        static func absolute(_ path: CString) -> CString? {
            guard !path.hasNUL, let resolved = realpath(path.text, nil) else { return nil }
            defer { free(resolved) }
            var status = stat()
            guard stat(resolved, &status) == 0, status.st_mode & S_IFMT == S_IFREG, access(resolved, X_OK) == 0 else {
                return nil
            }
            return CString(copying: resolved)
        }

        /// The path of the file behind /proc/self/exe; nil where there is no /proc.
        static func resolvedPath() -> String? {
            // Not `UInt8`: for a pointer to characters Swift 6.0 would take that array's own storage, and overwrite the stack.
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = readlink(link, &buffer, buffer.count)
            guard count > 0 else { return nil }
            return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }

        /// A child that was executed as /proc/self/exe is called "exe" in ps and top; this gives it the name that the
        /// arguments say (proc(5), /proc/pid/comm; 15 bytes). Without a writable /proc the name stays: no harm.
        static func restoreCommandName(_ name: CString) {
            let base = name.bytes.split(separator: UInt8(ascii: "/")).last ?? []
            guard !base.isEmpty else { return }
            let descriptor = open("/proc/self/comm", O_WRONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return }
            let file = Descriptor(descriptor)
            _ = base.withUnsafeBytes { write(file.raw, $0.baseAddress, $0.count) }
        }
    #endif
}

/// This process's own argv, byte by byte.
enum ProcessArguments {
    static var own: [CString] {
        let known = (0..<Int(CommandLine.argc)).compactMap { CommandLine.unsafeArgv[$0].map { CString(copying: $0) } }
        return known.isEmpty ? initial() : known
    }

    #if os(Linux) || os(Android)
        /// Swift reads /proc/self/cmdline; where there is none, what the kernel has put on the stack.
        static func initial() -> [CString] { HiddenSymbols.initialArguments() }
    #else
        static func initial() -> [CString] { [] }
    #endif
}
