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

    /// Unblocks signals in this thread, as far as that has no effect now: none that is handled or pending, and none of
    /// these. The thread that has executed this program may have blocked more than the one that this program expects.
    static func unblock(except kept: [CInt]) {
        var pending = sigset_t()
        var mask = sigset_t()
        sigpending(&pending)
        sigemptyset(&mask)
        for signal in Signal.all where !kept.contains(signal.number) && !held.contains(signal) {
            if sigismember(&pending, signal.number) != 1 { sigaddset(&mask, signal.number) }
        }
        pthread_sigmask(SIG_UNBLOCK, &mask, nil)
    }

    /// Those that the master handles (`SignalHandling.holdingSignals`).
    private static let held: [Signal] = [
        .terminate, .interrupt, .hangUp, .user1, .user2, .child, .backgroundRead, .backgroundWrite,
    ]

    /// The signals that this thread blocks.
    static func blocked() -> [Signal] {
        var mask = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &mask)
        return Signal.all.filter { sigismember(&mask, $0.number) == 1 }
    }

    /// Gives this thread the mask, until the thread ends.
    func apply() {
        var mask = signals
        pthread_sigmask(SIG_SETMASK, &mask, nil)
    }
}
