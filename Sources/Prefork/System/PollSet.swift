// The descriptors that one turn of a loop waits for.
import PreforkLibc

/// Descriptors to wait for, each with a token that says what it reports. Only open descriptors belong here: poll(2)
/// counts every entry against RLIMIT_NOFILE.
struct PollSet {
    /// The source of an event: the owner of a descriptor that becomes readable or hangs up.
    enum Token: Hashable {
        /// A signal, or a request of another thread.
        case wake
        /// The end of this process.
        case exit(pid: Int32)
        /// A message of this process, or the end of its channel.
        case channel(pid: Int32)
        /// Any of the children, see `EventQueue`.
        case children
        /// A client that connects to the control socket.
        case control
        /// A client of the control socket.
        case client(id: Int)
    }

    private var requests: [pollfd] = []
    /// `tokens[i]` belongs to `requests[i]`.
    private var tokens: [Token] = []

    /// The pause after a failed poll(2), in milliseconds. Without it, a loop would spin until the system recovers.
    private static let failurePause: CInt = 10

    init() {}

    init(wake descriptor: CInt) { add(descriptor, .wake) }

    /// What to wait for. Every descriptor also reports its hang-up.
    struct Interest: OptionSet {
        let rawValue: Int16

        static let input = Interest(rawValue: Int16(POLLIN))
        static let output = Interest(rawValue: Int16(POLLOUT))
    }

    /// - Parameter descriptor: ignored if it is -1.
    mutating func add(_ descriptor: CInt, _ token: Token, _ interest: Interest = .input) {
        if descriptor == -1 { return }
        requests.append(pollfd(fd: descriptor, events: interest.rawValue, revents: 0))
        tokens.append(token)
    }

    /// Waits until a descriptor is ready, a signal comes, or the deadline passes. After a failure it pauses for 10 ms,
    /// so that callers can simply try again.
    /// - Parameter deadline: `nil` waits without a limit.
    /// - Returns: the error of poll(2). It is ENOMEM, or there are more descriptors than RLIMIT_NOFILE allows.
    @discardableResult
    mutating func wait(until deadline: Instant?) -> SystemError? {
        do throws(SystemError) {
            try System.poll(&requests, until: deadline)
            return nil
        } catch {
            System.pause(milliseconds: Self.failurePause)
            return error
        }
    }

    /// The tokens of the descriptors that were ready, or had hung up, when `wait` returned. In the order of `add`.
    var ready: [Token] { tokens.indices.filter { requests[$0].revents != 0 }.map { tokens[$0] } }

    /// Those of `ready` whose other end is closed. There may be something left to read.
    var hungUp: Set<Token> {
        Set(tokens.indices.filter { requests[$0].revents & ~Int16(POLLIN | POLLOUT) != 0 }.map { tokens[$0] })
    }
}
