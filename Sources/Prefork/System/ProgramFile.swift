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

        static let startedPath = (try? path())?.text

        static func setCommandName(_ name: CString, suffix: String) {}
        static func commandName() -> CString? { nil }
        static func writeCommandName(_ name: CString) {}
    #else
        static let link = "/proc/self/exe"

        /// Whether there is no /proc, or this process may not read it. The program is then known by its path alone, and
        /// CPU quotas are not visible.
        static var isProcMissing: Bool { access(link, X_OK) != 0 }

        /// /proc/self/exe, the file that this process runs, even if its path leads to another file by now. Without
        /// /proc, it is the path that the process was started by, or the path at which a shell would find it. If a
        /// dynamic linker was started to run the program (ld.so(8)), /proc/self/exe is that linker, and this is the
        /// program's path.
        static func path() throws(SystemError) -> CString {
            if !isProcMissing {
                guard let mapped = pathBehindLinker else { return CString(link) }
                if let path = absolute(CString(mapped)) { return path }
                throw SystemError(
                    call: "access", code: ENOENT,
                    context: "\(mapped), which \(linkedPath() ?? "a dynamic linker") was started with; see executable")
            }
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

        /// The path of this program's file at the first use, even if /proc/self/exe is a dynamic linker. `nil` without
        /// /proc.
        static let startedPath: String? = pathBehindLinker ?? linkedPath().map(withoutMark)

        /// The kernel marks the path of a file that has been removed or replaced.
        static func withoutMark(_ path: String) -> String {
            let mark = " (deleted)"
            guard path.hasSuffix(mark), access(path, F_OK) != 0 else { return path }
            return String(path.utf8.dropLast(mark.utf8.count)) ?? path
        }

        /// The program's path if /proc/self/exe is another file. `nil` if it is the program.
        private static let pathBehindLinker: String? = {
            guard let linked = linkedPath(), let headers = HiddenSymbols.programHeaders(),
                let maps = System.text("/proc/self/maps"), let mapped = path(mappedAt: headers, in: maps)
            else { return nil }
            return mapped == linked ? nil : mapped
        }()

        /// The path of the file that is mapped at an address.
        /// - Parameter maps: the text of /proc/PID/maps (proc(5)).
        static func path(mappedAt address: UInt, in maps: String) -> String? {
            for line in maps.utf8.split(separator: UInt8(ascii: "\n")) {
                let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
                guard fields.count == 6 else { continue }  // Mapped from no file.
                let range = fields[0].split(separator: UInt8(ascii: "-")).map { UInt(String(Substring($0)), radix: 16) }
                guard range.count == 2, let start = range[0], let end = range[1], start..<max(start, end) ~= address
                else { continue }
                let path = String(Substring(fields[5].drop { $0 == UInt8(ascii: " ") }))
                // A line feed in the path is written as an octal number.
                return path.utf8.first == UInt8(ascii: "/") && !path.utf8.contains(UInt8(ascii: "\\")) ? path : nil
            }
            return nil
        }

        /// Paths at which the program may be, the likeliest first.
        /// - Parameters:
        ///   - executed: the path that the kernel was given, AT_EXECFN.
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
        static func linkedPath() -> String? {
            // Not `UInt8`, because for a pointer to characters Swift 6.0 would pass the array's inline storage, and
            // overwrite the stack.
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = readlink(link, &buffer, buffer.count)
            guard count > 0 else { return nil }
            return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }

        private static let commandNameFile = "/proc/self/comm"
        /// TASK_COMM_LEN without the NUL at its end.
        private static let longestCommandName = 15

        /// Gives this process the command name that its arguments say, with `suffix` at its end, so that ps(1) and
        /// top(1) tell the processes of a fleet apart. The kernel keeps 15 bytes (proc(5), /proc/PID/comm), so a long
        /// name loses its end. If /proc is missing or read-only the name stays as it is.
        static func setCommandName(_ name: CString, suffix: String) {
            let base = name.bytes.split(separator: UInt8(ascii: "/")).last ?? []
            guard !base.isEmpty else { return }
            writeCommandName(
                CString(bytes: base.prefix(longestCommandName - suffix.utf8.count) + Array(suffix.utf8)))
        }

        /// The current command name. `nil` if it cannot be read.
        static func commandName() -> CString? {
            guard let text = System.text(commandNameFile) else { return nil }
            return CString(bytes: Array(text.utf8.prefix { $0 != UInt8(ascii: "\n") }))
        }

        static func writeCommandName(_ name: CString) {
            let descriptor = open(commandNameFile, O_WRONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return }
            let file = Descriptor(descriptor)
            _ = name.bytes.withUnsafeBytes { write(file.raw, $0.baseAddress, $0.count) }
        }
    #endif
}
