// Signals by number and name.
import PreforkLibc

/// A signal by number (signal(7)). TERM, INT, KILL, QUIT and ABRT have the same numbers on all systems.
struct Signal: Hashable, Sendable, CustomStringConvertible {
    let number: CInt

    static let terminate = Signal(number: SIGTERM)
    static let interrupt = Signal(number: SIGINT)
    static let quit = Signal(number: SIGQUIT)
    static let kill = Signal(number: SIGKILL)
    static let abort = Signal(number: SIGABRT)
    static let user1 = Signal(number: SIGUSR1)
    static let user2 = Signal(number: SIGUSR2)
    static let child = Signal(number: SIGCHLD)
    static let hangUp = Signal(number: SIGHUP)
    static let backgroundRead = Signal(number: SIGTTIN)
    static let backgroundWrite = Signal(number: SIGTTOU)

    private static let names: [(CInt, String)] = [
        (SIGHUP, "HUP"), (SIGINT, "INT"), (SIGQUIT, "QUIT"), (SIGILL, "ILL"), (SIGTRAP, "TRAP"), (SIGABRT, "ABRT"),
        (SIGBUS, "BUS"), (SIGFPE, "FPE"), (SIGKILL, "KILL"), (SIGUSR1, "USR1"), (SIGSEGV, "SEGV"), (SIGUSR2, "USR2"),
        (SIGPIPE, "PIPE"), (SIGALRM, "ALRM"), (SIGTERM, "TERM"), (SIGCHLD, "CHLD"), (SIGXCPU, "XCPU"),
        (SIGXFSZ, "XFSZ"), (SIGSYS, "SYS"), (SIGTTIN, "TTIN"), (SIGTTOU, "TTOU"),
    ]

    /// The signals that this process ignores now.
    static func ignored() -> [Signal] {
        var ignored: [Signal] = []
        for number in 1...largestNumber {
            var action = sigaction()
            // sigaction(2) fails for numbers that do not exist, and for those that the C library keeps for itself.
            guard sigaction(number, nil, &action) == 0, action.handlerAddress == sigaction.ignoreAddress else {
                continue
            }
            ignored.append(Signal(number: number))
        }
        return ignored
    }

    static var all: [Signal] { (1...largestNumber).map { Signal(number: $0) } }

    /// Linux has 64 signals, Darwin 31.
    private static let largestNumber: CInt = 64

    /// Whether Swift's backtracer prints a backtrace when this signal kills a process.
    static func printsBacktrace(_ number: CInt) -> Bool {
        [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV].contains(number)
    }

    /// For example `9 (KILL)`.
    var description: String {
        let name = Signal.names.first { $0.0 == number }?.1
        return name.map { "\(number) (\($0))" } ?? "\(number)"
    }
}
