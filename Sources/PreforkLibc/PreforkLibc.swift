// The C library, by whichever name this system gives it. Files import this module and need no condition of their own.
//
// This is a module and not a file of Prefork, because `@_exported` there would put every C function into the scope of
// every program that imports Prefork. This module's exports stop at the modules that import it.
//
// Prefork depends on this module, so on an unsupported system the build ends here with a single error.
#if canImport(Musl)
    @_exported import Musl
#elseif canImport(Glibc)
    @_exported import Glibc
#elseif canImport(Darwin)
    @_exported import Darwin
#else
    #error("Prefork needs Linux or an Apple system: POSIX signals, waitpid, and sockets that are inherited by exec")
#endif
