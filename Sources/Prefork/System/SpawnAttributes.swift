// posix_spawn's attributes: a struct on Linux, a pointer on Darwin.
import PreforkLibc

#if canImport(Darwin)
    private typealias RawAttributes = posix_spawnattr_t?
    typealias AttributesPointer = UnsafePointer<posix_spawnattr_t?>
#else
    private typealias RawAttributes = posix_spawnattr_t
    typealias AttributesPointer = UnsafePointer<posix_spawnattr_t>
#endif

/// posix_spawnattr_t(3).
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

    /// Sets an empty signal mask and default dispositions.
    /// - Parameter ignored: the signals that stay ignored, if this process ignores them.
    func setCleanSignals(except ignored: [Signal]) throws(SystemError) {
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        for signal in ignored { sigdelset(&all, signal.number) }
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
