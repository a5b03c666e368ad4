// The program that this process runs, as a file to be executed again.
import PreforkLibc

enum ProgramFile {
    #if canImport(Darwin)
        /// This system needs no /proc.
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

        /// There is no /proc, or this process may not read it. The program is then known by its path alone, and CPU
        /// quotas are not visible.
        static var isProcMissing: Bool { access(link, X_OK) != 0 }

        /// /proc/self/exe: the file that this process runs, even if its path leads to another file by now. Without
        /// /proc: the path that it was started by, or the path where a shell would find it.
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

        /// Where the program may be, the likeliest path first.
        /// - Parameters:
        ///   - executed: what the kernel was given, AT_EXECFN.
        ///   - name: the first argument.
        static func candidates(executed: CString?, name: CString?, searchPath: String?) -> [CString] {
            var candidates = executed.map { [$0] } ?? []
            guard let name, !name.bytes.isEmpty else { return candidates }
            if name.bytes.contains(UInt8(ascii: "/")) { return candidates + [name] }
            let colon = UInt8(ascii: ":")
            for directory in (searchPath ?? "").utf8.split(separator: colon, omittingEmptySubsequences: false) {
                // An empty entry stands for the working directory (environ(7)).
                let prefix = directory.isEmpty ? Array(".".utf8) : Array(directory)
                candidates.append(CString(bytes: prefix + [UInt8(ascii: "/")] + name.bytes))
            }
            return candidates
        }

        /// realpath(3), so that the path stays valid in any working directory. `nil` if it leads to no program.
        static func absolute(_ path: CString) -> CString? {
            guard !path.hasNUL, let resolved = realpath(path.text, nil) else { return nil }
            defer { free(resolved) }
            var status = stat()
            guard stat(resolved, &status) == 0, status.st_mode & S_IFMT == S_IFREG, access(resolved, X_OK) == 0 else {
                return nil
            }
            return CString(copying: resolved)
        }

        /// The path of the file behind /proc/self/exe. `nil` without /proc.
        static func resolvedPath() -> String? {
            // Not `UInt8`: for a pointer to characters Swift 6.0 would pass the array's inline storage, and overwrite
            // the stack.
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = readlink(link, &buffer, buffer.count)
            guard count > 0 else { return nil }
            return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }

        /// Gives this process the command name that its arguments say (proc(5), /proc/PID/comm, 15 bytes). A child that
        /// was executed as /proc/self/exe is called "exe" in ps and top. If /proc is missing or read-only the name
        /// stays as it is.
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
