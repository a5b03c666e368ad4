// Empty where Prefork can work. Elsewhere the build ends here, with nothing else said: Prefork depends on this module, so its
// own sources are not compiled before.
#if os(Windows) || os(WASI)
    #error(
        "Prefork needs processes that inherit sockets by exec, POSIX signals and waitpid, which this system does not have"
    )
#endif
