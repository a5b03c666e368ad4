// posix_spawn's file actions and attributes: structs on Linux, pointers on Darwin, hidden here.
import PreforkLibc

#if canImport(Darwin)
    private typealias RawActions = posix_spawn_file_actions_t?
    private typealias RawAttributes = posix_spawnattr_t?
    typealias ActionsPointer = UnsafePointer<posix_spawn_file_actions_t?>
    typealias AttributesPointer = UnsafePointer<posix_spawnattr_t?>
#else
    private typealias RawActions = posix_spawn_file_actions_t
    private typealias RawAttributes = posix_spawnattr_t
    typealias ActionsPointer = UnsafePointer<posix_spawn_file_actions_t>
    typealias AttributesPointer = UnsafePointer<posix_spawnattr_t>
#endif

/// posix_spawn_file_actions_t(3).
struct FileActions: ~Copyable {
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
        /// Where source and target are the same, adddup2 would leave close-on-exec alone.
        func inherit(_ source: CInt, as target: CInt) throws(SystemError) {
            let code =
                source == target
                ? posix_spawn_file_actions_addinherit_np(raw, source)
                : posix_spawn_file_actions_adddup2(raw, source, target)
            try System.check("posix_spawn_file_actions_adddup2", code, "\(source) \(target)")
        }

        /// Nothing to do: POSIX_SPAWN_CLOEXEC_DEFAULT closes what no action names.
        func closeAll(from lowest: CInt, _ closing: Prefork.Mechanisms.DescriptorClosing) throws(SystemError) {}
    #else
        /// Clears close-on-exec also where source and target are the same (glibc 2.29).
        func inherit(_ source: CInt, as target: CInt) throws(SystemError) {
            try System.check(
                "posix_spawn_file_actions_adddup2",
                posix_spawn_file_actions_adddup2(raw, source, target),
                "\(source) \(target)"
            )
        }

        func closeAll(from lowest: CInt, _ closing: Prefork.Mechanisms.DescriptorClosing) throws(SystemError) {
            if closing == .closefrom {
                try HiddenSymbols.addCloseFrom(&raw.pointee, lowest)
                return
            }
            // A number that is closed by the time of the spawn does no harm: the C libraries ignore EBADF here.
            for descriptor in ChildSpawner.openDescriptors(from: lowest) {
                try System.check(
                    "posix_spawn_file_actions_addclose",
                    posix_spawn_file_actions_addclose(raw, descriptor),
                    "\(descriptor)"
                )
            }
        }
    #endif
}

/// posix_spawnattr_t(3): an empty signal mask, default dispositions.
struct SpawnAttributes: ~Copyable {
    private let raw: UnsafeMutablePointer<RawAttributes>

    init() throws(SystemError) {
        let raw = UnsafeMutablePointer<RawAttributes>.allocate(capacity: 1)
        let code = posix_spawnattr_init(raw)
        if code != 0 {
            raw.deallocate()
            throw SystemError(call: "posix_spawnattr_init", code: code)
        }
        self.raw = raw
    }

    func setCleanSignals() throws(SystemError) {
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        try System.check("posix_spawnattr_setsigmask", posix_spawnattr_setsigmask(raw, &none))
        try System.check("posix_spawnattr_setsigdefault", posix_spawnattr_setsigdefault(raw, &all))
        try System.check("posix_spawnattr_setflags", posix_spawnattr_setflags(raw, SpawnAttributes.flags))
    }

    deinit {
        posix_spawnattr_destroy(raw)
        raw.deallocate()
    }

    func withUnsafe<Result>(_ body: (AttributesPointer) -> Result) -> Result { body(raw) }

    #if canImport(Darwin)
        private static let flags = Int16(
            POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_CLOEXEC_DEFAULT
        )
    #else
        private static let flags = Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
    #endif
}
