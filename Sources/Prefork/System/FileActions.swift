// posix_spawn's file actions: a struct on Linux, a pointer on Darwin.
import PreforkLibc

#if canImport(Darwin)
    private typealias RawActions = posix_spawn_file_actions_t?
    typealias ActionsPointer = UnsafePointer<posix_spawn_file_actions_t?>
#else
    private typealias RawActions = posix_spawn_file_actions_t
    typealias ActionsPointer = UnsafePointer<posix_spawn_file_actions_t>
#endif

/// posix_spawn_file_actions_t(3): the changes to a child's descriptors before it executes its program.
struct FileActions: ~Copyable {
    /// How a child's descriptors are closed.
    enum Closing {
        /// posix_spawn_file_actions_addclosefrom_np(3).
        case closefrom
        /// POSIX_SPAWN_CLOEXEC_DEFAULT.
        case cloexecDefault
        /// One close action for each descriptor.
        case enumeration
    }

    private let raw: UnsafeMutablePointer<RawActions>

    init() throws(SystemError) {
        let raw = UnsafeMutablePointer<RawActions>.allocate(capacity: 1)
        let code = posix_spawn_file_actions_init(raw)
        if code != 0 {
            raw.deallocate()
            throw SystemError(call: "posix_spawn_file_actions_init", code: code)
        }
        self.raw = raw
    }

    deinit {
        posix_spawn_file_actions_destroy(raw)
        raw.deallocate()
    }

    func withUnsafe<Result>(_ body: (ActionsPointer) -> Result) -> Result { body(raw) }

    #if canImport(Darwin)
        /// The best mechanism of this system.
        static func probe() -> Closing { .cloexecDefault }

        /// Uses addinherit_np for a descriptor that keeps its number, because adddup2 would leave it close-on-exec.
        func inherit(_ source: CInt, as target: CInt) throws(SystemError) {
            let code =
                source == target
                ? posix_spawn_file_actions_addinherit_np(raw, source)
                : posix_spawn_file_actions_adddup2(raw, source, target)
            try System.check("posix_spawn_file_actions_adddup2", code, "\(source) \(target)")
        }

        /// Does nothing if Apple's headers do not offer the function.
        func changeDirectory(_ path: CString) throws(SystemError) {
            #if os(macOS)
                let code = withCStrings([path]) { texts in
                    texts[0].map { posix_spawn_file_actions_addchdir_np(raw, $0) } ?? ENOENT
                }
                try System.check("posix_spawn_file_actions_addchdir_np", code, path.text)
            #endif
        }

        /// Does nothing, because POSIX_SPAWN_CLOEXEC_DEFAULT closes every descriptor that no action names.
        func closeAll(from lowest: CInt, enumerating: Bool) throws(SystemError) {}
    #else
        /// The best mechanism of this system.
        static func probe() -> Closing { HiddenSymbols.hasCloseFrom ? .closefrom : .enumeration }

        /// Clears close-on-exec, even for a descriptor that keeps its number (glibc 2.29).
        func inherit(_ source: CInt, as target: CInt) throws(SystemError) {
            try System.check(
                "posix_spawn_file_actions_adddup2",
                posix_spawn_file_actions_adddup2(raw, source, target),
                "\(source) \(target)"
            )
        }

        /// Does nothing without the C library's function.
        func changeDirectory(_ path: CString) throws(SystemError) {
            try HiddenSymbols.addChangeDirectory(&raw.pointee, path)
        }

        /// - Parameter enumerating: adds one action for each descriptor.
        func closeAll(from lowest: CInt, enumerating: Bool) throws(SystemError) {
            if !enumerating { return try HiddenSymbols.addCloseFrom(&raw.pointee, lowest) }
            // A descriptor that is closed before the spawn does no harm: the C libraries ignore EBADF here.
            for descriptor in OpenDescriptors.list(from: lowest) {
                try System.check(
                    "posix_spawn_file_actions_addclose",
                    posix_spawn_file_actions_addclose(raw, descriptor),
                    "\(descriptor)"
                )
            }
        }
    #endif
}
