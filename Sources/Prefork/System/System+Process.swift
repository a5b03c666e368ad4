// This process: its numbers, its end, its environment.
@preconcurrency import PreforkLibc  // musl imports `environ` as a mutable global variable.

extension System {
    /// CLOCK_PROCESS_CPUTIME_ID: the processor time that this process has used.
    static func processorTime() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
    }

    static var pid: Int32 { getpid() }
    static var parentPID: Int32 { getppid() }

    /// Sends a signal to this process (kill(2)). Any thread, or signalfd, that is prepared for the signal gets it.
    static func signalSelf(_ signal: Signal) {
        kill(getpid(), signal.number)
    }

    /// Like `signalSelf`. If this thread does not block the signal, the signal has had its effect when this returns.
    static func raise(_ signal: Signal) {
        var mask = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &mask)
        if sigismember(&mask, signal.number) == 1 { signalSelf(signal) } else { systemRaise(signal.number) }
    }

    /// The default action of SIGTTIN and SIGTTOU, for a process that handles them (signal(7)). Returns when something
    /// continues this process.
    static func stopProcess() { kill(getpid(), SIGSTOP) }

    /// Whether this process has a controlling terminal that is not hung up (tty(4)).
    static var hasTerminal: Bool {
        let terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)
        if terminal >= 0 { Descriptor(terminal).close() }
        return terminal >= 0
    }

    static func exitNow(_ status: CInt) -> Never { _exit(status) }

    /// exit(3): runs the handlers of atexit(3) and flushes C streams.
    static func exit(_ status: CInt) -> Never { systemExit(status) }

    // MARK: Environment

    /// All entries, byte by byte (environ(7)).
    static func environment() -> [CString] {
        var entries: [CString] = []
        guard var entry = environmentPointer() else { return entries }
        while let text = entry.pointee {
            entries.append(CString(copying: text))
            entry += 1
        }
        return entries
    }

    /// The value of a variable. Bytes that are not UTF-8 are repaired.
    static func environmentValue(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    static func removeEnvironmentValue(_ name: String) {
        unsetenv(name)
    }

    /// Runs `body` while this thread cannot be cancelled (pthread_setcancelstate(3)).
    static func withoutCancellation<Result>(_ body: () -> Result) -> Result {
        #if os(Android)
            return body()  // Bionic has no cancellation.
        #else
            var previous: CInt = 0
            pthread_setcancelstate(SystemConstant.cancellationDisabled, &previous)
            defer { pthread_setcancelstate(previous, nil) }
            return body()
        #endif
    }
}

#if canImport(Darwin)
    private func environmentPointer() -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? { _NSGetEnviron().pointee }
#else
    private func environmentPointer() -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? { environ }
#endif

/// raise(3) under a name that `System.raise` does not hide.
private func systemRaise(_ number: CInt) { raise(number) }

/// exit(3) under a name that `System.exit` does not hide.
private func systemExit(_ status: CInt) -> Never { exit(status) }
