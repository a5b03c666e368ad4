// Programs that stay the same build although their files are replaced.
import PreforkLibc

extension ProgramFile {
    /// A program to execute, held open.
    struct Opened {
        /// The path to execute it by.
        let path: CString
        /// `nil` if the system can only execute a path.
        private let file: OpenSocket?
        /// `nil` if nothing is held open.
        var descriptor: CInt? { file?.raw }

        /// The kernel finds the open file again by /proc/PID/fd/N (proc(5)), even if its path has another file by then.
        init(_ file: consuming Descriptor) {
            path = CString("/proc/\(System.pid)/fd/\(file.raw)")
            self.file = OpenSocket(file)
        }

        init(path: CString) {
            self.path = path
            file = nil
        }
    }

    #if canImport(Darwin)
        /// This system has no path of an open file that it could execute. If the file is replaced, children that start
        /// later are of the new build.
        static func openProgram(_ path: CString) throws(SystemError) -> Opened {
            guard access(path.text, X_OK) == 0 else {
                throw SystemError(call: "access", code: errno, context: path.text)
            }
            return Opened(path: path)
        }

        static let givenPath = try? path()
    #else
        /// Opens the program that the path leads to now. The kernel finds the open file again by /proc/PID/fd/N
        /// (proc(5)), even if its path has another file by then. Scripts, and programs of a process whose /proc entries
        /// are not readable, are executed by their paths.
        static func openProgram(_ path: CString) throws(SystemError) -> Opened {
            let file: Descriptor
            do throws(SystemError) {
                let raw = try System.call("open", path.text) {
                    withCStrings([path]) { $0[0].map { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) } ?? -1 }
                }
                file = try System.own(raw)
            } catch {
                // A file may be executable and not readable.
                guard error.code == EACCES, isExecutable(path) else { throw error }
                return Opened(path: path)
            }
            var status = stat()
            guard fstat(file.raw, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                throw SystemError(call: "execve", code: EACCES, context: "\(path.text), which is not a regular file")
            }
            guard isExecutable(path) else { throw SystemError(call: "access", code: errno, context: path.text) }
            // An interpreter is given the path, and a script may look at it.
            var mark: [UInt8] = [0, 0]
            let isScript = pread(file.raw, &mark, mark.count, 0) == 2 && mark == Array("#!".utf8)
            if isScript || isProcMissing || !isReadableByChildren || !ProcessStat.isOwnNamespace {
                return Opened(path: path)
            }
            return Opened(file)
        }

        private static func isExecutable(_ path: CString) -> Bool {
            withCStrings([path]) { $0[0].map { access($0, X_OK) } ?? -1 } == 0
        }

        /// Another process, which a child is before it executes the program, may read this one's /proc/PID/fd only if
        /// this process is dumpable. A program with file capabilities is not, and then its files in /proc belong to
        /// root (prctl(2), PR_SET_DUMPABLE).
        private static var isReadableByChildren: Bool {
            var status = stat()
            return stat("/proc/self/fd", &status) == 0 && status.st_uid == geteuid()
        }

        /// The path by which this program was started, with its symbolic links, so that a link to another release leads
        /// to the new build. If that path does not lead to this program, it is the path of its file. Read it before the
        /// file can be moved.
        static let givenPath: CString? = {
            let started = startedPath.map { CString($0) } ?? (try? path())
            guard let executed = HiddenSymbols.executedPath(), let path = ProcessStart.own.absolute(executed),
                !path.text.hasPrefix("/proc/"), !path.text.hasPrefix("/dev/fd/")
            else { return started }
            let own = CString(isProcMissing ? started?.text ?? "" : link)
            guard let identity = System.identity(following: path),
                identity == System.identity(following: own)
            else { return started }
            return path
        }()
    #endif
}
