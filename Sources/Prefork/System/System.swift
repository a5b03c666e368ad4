// The one place that reads `errno` and loops on EINTR.
@preconcurrency import PreforkLibc  // musl imports `environ` as a mutable global variable.

extension Prefork {
    /// A C function that failed: its name, its `errno` and what it was about.
    public struct SystemError: Error, Sendable, Hashable, CustomStringConvertible {
        /// The C function, for example `bind`.
        public let call: String
        /// The value of `errno` (errno(3)).
        public let code: CInt
        /// What the call was about, for example an address or a path; may be empty.
        public let context: String
        /// What the C library says of the code (strerror_r(3), gai_strerror(3)).
        public var message: String { ownMessage ?? System.message(for: code) }
        /// nil where it is strerror_r(3)'s, which is asked only when somebody wants to know: EAGAIN is an error, too.
        private let ownMessage: String?

        /// An error of the C function `call`.
        public init(call: String, code: CInt, context: String = "") {
            self.init(call: call, code: code, context: context, message: nil)
        }

        init(call: String, code: CInt, context: String, message: String?) {
            self.call = call
            self.code = code
            self.context = context
            ownMessage = message
        }

        /// For example `bind 127.0.0.1:80: Permission denied (errno 13)`.
        public var description: String {
            "\(call)\(context.isEmpty ? "" : " \(context)"): \(message) (\(ownMessage == nil ? "errno" : "code") \(code))"
        }
    }
}

typealias SystemError = Prefork.SystemError

extension SystemError {
    /// No free descriptor, no memory: another time the same call may succeed.
    var isShortage: Bool { [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) }
}

/// Wrapped system calls. Nothing here keeps state.
enum System {
    static var pid: Int32 { getpid() }
    static var parentPID: Int32 { getppid() }

    /// Calls `body` until it is not interrupted by a signal; -1 becomes an error with `errno`.
    @inline(__always)
    static func call<Result: SignedInteger>(
        _ name: String,
        _ context: @autoclosure () -> String = "",
        _ body: () -> Result
    ) throws(SystemError) -> Result {
        while true {
            let result = body()
            if result != -1 { return result }
            let code = errno
            if code != EINTR { throw SystemError(call: name, code: code, context: context()) }
        }
    }

    /// For functions that return an error number instead of setting `errno` (pthread_*, posix_spawn*).
    @inline(__always)
    static func check(_ name: String, _ code: CInt, _ context: @autoclosure () -> String = "") throws(SystemError) {
        if code != 0 { throw SystemError(call: name, code: code, context: context()) }
    }

    /// strerror_r(3); the number itself where the C library knows no text.
    static func message(for code: CInt) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            buffer.initialize(repeating: 0)
            guard let base = buffer.baseAddress, strerror_r(code, base, buffer.count - 1) == 0 else {
                return "error \(code)"
            }
            return String(cString: base)
        }
    }

    /// CLOCK_MONOTONIC: it does not jump when somebody sets the clock, and it goes on while this process is stopped.
    static func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    // MARK: Descriptors

    /// Sets close-on-exec (fcntl(2), FD_CLOEXEC).
    static func setCloseOnExec(_ descriptor: CInt) throws(SystemError) {
        let flags = try call("fcntl", "F_GETFD") { fcntl(descriptor, F_GETFD) }
        _ = try call("fcntl", "F_SETFD") { fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) }
    }

    /// Sets O_NONBLOCK. It belongs to the open file description: every process that shares it is affected.
    static func setNonBlocking(_ descriptor: CInt) throws(SystemError) {
        let flags = try call("fcntl", "F_GETFL") { fcntl(descriptor, F_GETFL) }
        _ = try call("fcntl", "F_SETFL") { fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
    }

    static func isOpen(_ descriptor: CInt) -> Bool { fcntl(descriptor, F_GETFD) != -1 }

    /// The lowest descriptor that is not below `minimum` becomes a copy of `descriptor`, which is closed.
    static func move(_ descriptor: consuming Descriptor, atLeast minimum: CInt) throws(SystemError) -> Descriptor {
        if descriptor.raw >= minimum { return descriptor }
        let raw = descriptor.raw
        return Descriptor(try call("fcntl", "F_DUPFD_CLOEXEC") { fcntl(raw, F_DUPFD_CLOEXEC, minimum) })
    }

    /// The device and inode of an open descriptor (fstat(2)).
    static func identity(of descriptor: CInt) -> FileIdentity? {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        return FileIdentity(status)
    }

    /// The same of a path, without following a link (lstat(2)).
    static func identity(ofPath path: String) throws(SystemError) -> (identity: FileIdentity, isSocket: Bool) {
        var status = stat()
        _ = try call("lstat", path) { lstat(path, &status) }
        return (FileIdentity(status), status.st_mode & S_IFMT == S_IFSOCK)
    }

    /// Opens /dev/null on those of 0, 1 and 2 that are closed: a listener or a pidfd that took such a number
    /// would be written to by the next `print`.
    static func openStandardDescriptors() throws(SystemError) {
        for number in CInt(0)...2 where !isOpen(number) {
            let raw = try call("open", "/dev/null") { open("/dev/null", O_RDWR) }
            // open(2) takes the lowest free number; another thread may have been quicker, then dup2 settles it.
            if raw != number {
                _ = try call("dup2") { dup2(raw, number) }
                Descriptor(raw).close()
            }
        }
    }

    /// The bytes of a file.
    static func readFile(_ path: String) throws(SystemError) -> [UInt8] {
        let file = Descriptor(try call("open", path) { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) })
        let raw = file.raw
        var contents: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = try call("read", path) { read(raw, &buffer, buffer.count) }
            if count == 0 { return contents }
            contents.append(contentsOf: buffer.prefix(count))
        }
    }

    /// The names in a directory (readdir(3)), without `.` and `..`.
    static func entries(of path: String) throws(SystemError) -> [String] {
        guard let directory = opendir(path) else { throw SystemError(call: "opendir", code: errno, context: path) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// The text of a file; nil where it cannot be read.
    static func text(_ path: String) -> String? {
        (try? readFile(path)).map { String(decoding: $0, as: UTF8.self) }
    }

    // MARK: Polling

    /// poll(2); returns early where a signal interrupts it.
    /// - Parameter deadline: nil waits for ever.
    static func poll(_ requests: inout [pollfd], until deadline: Instant?) throws(SystemError) {
        while true {
            let timeout: CInt
            if let deadline {
                // Rounded up: rounding down would spin through the last millisecond.
                let left = max(.zero, deadline - now()).clampedNanoseconds
                timeout = CInt(clamping: left / 1_000_000 + (left % 1_000_000 == 0 ? 0 : 1))
            } else {
                timeout = -1
            }
            let result = requests.withUnsafeMutableBufferPointer { buffer in
                systemPoll(buffer.baseAddress, nfds_t(buffer.count), timeout)
            }
            if result >= 0 { return }
            let code = errno
            if code == EINTR { return }  // The caller looks at its signals first.
            throw SystemError(call: "poll", code: code)
        }
    }

    /// For a loop whose poll(2) fails: nothing else would keep it from spinning.
    static func pause(milliseconds: CInt) { _ = systemPoll(nil, 0, milliseconds) }

    // MARK: Environment

    /// The environment as it is, entry by entry and byte by byte (environ(7)).
    static func environment() -> [CString] {
        var entries: [CString] = []
        guard var entry = environmentPointer() else { return entries }
        while let text = entry.pointee {
            entries.append(CString(copying: text))
            entry += 1
        }
        return entries
    }

    /// Repaired where the bytes are no UTF-8.
    static func environmentValue(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    static func removeEnvironmentValue(_ name: String) {
        unsetenv(name)
    }

    // MARK: Processes

    /// kill(2) of this process: delivered to whichever thread, or signalfd, is there for it.
    static func signalSelf(_ signal: Signal) {
        kill(getpid(), signal.number)
    }

    static func exitNow(_ status: CInt) -> Never { _exit(status) }

    /// exit(3): runs the handlers of atexit(3) and flushes C streams.
    static func exit(_ status: CInt) -> Never { systemExit(status) }
}

/// poll(2) under a name that `System.poll` does not hide.
private func systemPoll(_ requests: UnsafeMutablePointer<pollfd>?, _ count: nfds_t, _ timeout: CInt) -> CInt {
    poll(requests, count, timeout)
}

/// dlsym(3) in everything that is loaded; nil where the symbol is not there.
func symbol<Function>(_ name: String, as type: Function.Type) -> Function? {
    dlsym(everythingLoaded, name).map { unsafeBitCast($0, to: type) }
}

#if canImport(Darwin)
    /// RTLD_DEFAULT, a cast that Swift does not import.
    private var everythingLoaded: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: -2) }
    private func environmentPointer() -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? { _NSGetEnviron().pointee }
#else
    private var everythingLoaded: UnsafeMutableRawPointer? { nil }
    private func environmentPointer() -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? { environ }
#endif

/// exit(3) under a name that `System.exit` does not hide.
private func systemExit(_ status: CInt) -> Never { exit(status) }
