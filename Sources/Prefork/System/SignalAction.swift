// struct sigaction, whose handler has another name in each C library.
import PreforkLibc

typealias SignalHandler = @convention(c) (CInt, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void

#if canImport(Darwin)
    /// Declared outside of `sigaction`, which has a member of that name.
    private typealias HandlerUnion = __sigaction_u
#endif

extension sigaction {
    /// SIG_IGN.
    static let ignoreAddress: UInt = 1
    // SA_RESTART: the program's own system calls continue as if nothing had happened.
    private static let flags = CInt(truncatingIfNeeded: UInt32(SA_RESTART)) | CInt(SA_SIGINFO)

    #if canImport(Darwin)
        static func calling(_ handler: @escaping SignalHandler) -> sigaction {
            sigaction(__sigaction_u: unsafeBitCast(handler, to: HandlerUnion.self), sa_mask: 0, sa_flags: flags)
        }
        var handlerAddress: UInt { unsafeBitCast(__sigaction_u, to: UInt.self) }
    #elseif canImport(Musl)
        static func calling(_ handler: @escaping SignalHandler) -> sigaction {
            var action = sigaction()
            action.__sa_handler.sa_sigaction = handler
            action.sa_flags = flags
            return action
        }
        var handlerAddress: UInt { unsafeBitCast(__sa_handler, to: UInt.self) }
    #else
        static func calling(_ handler: @escaping SignalHandler) -> sigaction {
            var action = sigaction()
            action.__sigaction_handler.sa_sigaction = handler
            action.sa_flags = flags
            return action
        }
        var handlerAddress: UInt { unsafeBitCast(__sigaction_handler, to: UInt.self) }
    #endif
}
