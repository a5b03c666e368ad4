// The signals that a thread blocks (pthread_sigmask(3)).
import PreforkLibc

struct SignalMask: Sendable {
    private let signals: sigset_t

    /// Caused by the thread's own instructions. A blocked one ends the process without a backtrace (sigprocmask(2)).
    private static let synchronous = [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT]

    /// Blocks all signals in this thread while `body` runs, so that a thread which it starts begins with all of them
    /// blocked.
    /// - Parameter body: gets the mask that this thread had before.
    static func withAllBlocked<Result: ~Copyable, Failure: Error>(
        _ body: (SignalMask) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var all = sigset_t()
        var previous = sigset_t()
        sigfillset(&all)
        for signal in synchronous { sigdelset(&all, signal) }
        pthread_sigmask(SIG_SETMASK, &all, &previous)
        defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
        return try body(SignalMask(signals: previous))
    }

    /// Gives this thread the mask, until the thread ends.
    func apply() {
        var mask = signals
        pthread_sigmask(SIG_SETMASK, &mask, nil)
    }
}
