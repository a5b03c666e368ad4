// Prefork depends on this module on those systems alone. It comes first, so the build ends here, and with nothing else said.
#if os(Windows) || os(WASI)
    #error(
        "Prefork needs processes that inherit sockets by exec, POSIX signals and waitpid, which this system does not have"
    )
#endif
