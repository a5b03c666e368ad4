// A self-pipe and handlers: signals become bits that a poll loop reads.
import PreforkLibc
import Synchronization

/// Handlers for a set of signals, for as long as this value lives. One at a time in a process.
///
/// A handler may interrupt any thread anywhere, so it touches nothing but raw memory: no lazy global, no reference count,
/// no exclusivity check. It sets the signal's bit, then writes one byte: a full pipe may drop the byte (the reader is about
/// to wake anyway) but the bit stays, so no signal is lost.
struct SignalHandling: ~Copyable {
    /// Readable when a signal has come, or `wake` was called.
    let descriptor: Descriptor
    private let writeEnd: Descriptor
    private let installed: [Replaced]
    private let signals: sigset_t
    private let previousMask: sigset_t?

    // Not a tuple: the runtime would have to build the metadata of an array of tuples.
    private struct Replaced {
        let signal: CInt
        var previous: sigaction
    }

    /// Installs the handlers and unblocks the signals in the calling thread: libdispatch's threads and some shells' children
    /// block them, and a signal needs one thread that does not.
    /// - Parameters:
    ///   - handled: recorded, to be taken by `take`. SIGCHLD's handler calls the one that was there before, too.
    ///   - silenced: an empty handler, never SIG_IGN, which would survive exec into what this process starts.
    ///   - unblocking: false where another thread is to `unblock` them.
    init(handled: [Signal], silenced: [Signal] = [], unblocking: Bool = true) throws(SystemError) {
        let state = SignalState.shared()
        let ends = try Channel.makePair().split()
        descriptor = Descriptor(ends.first)
        writeEnd = Descriptor(ends.second)
        // Nothing may be left from the one before us.
        _ = state.pointee.pending.exchange(0, ordering: .sequentiallyConsistent)
        // The descriptor first, then the handlers: a handler never finds an old number.
        state.pointee.wake.store(ends.second, ordering: .sequentiallyConsistent)

        var replaced: [Replaced] = []
        var mask = sigset_t()
        sigemptyset(&mask)
        for signal in handled + silenced {
            sigaddset(&mask, signal.number)
            var previous = sigaction()
            sigaction(signal.number, nil, &previous)
            if signal == .child {
                // A library that had chained to ours still calls it: installed over that, the two would call each other
                // without end. Where it does not, the master's sweep notices exits.
                if previous.handlerAddress > 1,
                    previous.handlerAddress == state.pointee.foreign.load(ordering: .sequentiallyConsistent)
                {
                    continue
                }
                state.pointee.chained.store(previous.handlerAddress, ordering: .sequentiallyConsistent)
            }
            var action = sigaction.calling(silenced.contains(signal) ? ignoringHandler : recordingHandler)
            sigaction(signal.number, &action, nil)
            replaced.append(Replaced(signal: signal.number, previous: previous))
        }
        installed = replaced
        signals = mask
        var before = sigset_t()
        previousMask = unblocking && pthread_sigmask(SIG_UNBLOCK, &mask, &before) == 0 ? before : nil
    }

    /// Unblocks the signals in the calling thread, for as long as it lives.
    func unblock() {
        var mask = signals
        pthread_sigmask(SIG_UNBLOCK, &mask, nil)
    }

    /// Takes the signals that have come since the last call, each once, by number.
    /// - Returns: the signals, and when the last TERM or INT came: whoever reads them may have been busy since.
    func take() -> (signals: [Signal], arrival: Instant) {
        _ = Channel.receive(from: descriptor.raw)
        // Bytes first, then bits: a signal between the two leaves a byte that wakes us once more for nothing. The other
        // way round it would leave a bit without a byte.
        let state = SignalState.shared()
        let bits = state.pointee.pending.exchange(0, ordering: .sequentiallyConsistent)
        let arrival = Instant(nanoseconds: state.pointee.arrival.load(ordering: .sequentiallyConsistent))
        return ((1..<64).filter { bits & (1 << UInt64($0)) != 0 }.map { Signal(number: CInt($0)) }, arrival)
    }

    /// A number to write one byte to from any thread (`Channel.send`) as long as this value lives.
    var wakeDescriptor: CInt { writeEnd.raw }

    /// Puts back what was there before, where ours is still the one installed. To be called in the thread that made this
    /// value where that has unblocked the signals: the mask is a thread's.
    consuming func restore() {}

    deinit {
        for var replaced in installed {
            var current = sigaction()
            sigaction(replaced.signal, nil, &current)
            if current.handlerAddress == recordingAddress || current.handlerAddress == ignoringAddress {
                sigaction(replaced.signal, &replaced.previous, nil)
            } else if replaced.signal == SIGCHLD {
                SignalState.shared().pointee.foreign.store(current.handlerAddress, ordering: .sequentiallyConsistent)
            }
        }
        if var mask = previousMask { pthread_sigmask(SIG_SETMASK, &mask, nil) }
        let state = SignalState.shared()
        state.pointee.wake.store(-1, ordering: .sequentiallyConsistent)
        // A handler that runs in another thread may have loaded the number already. It has counted itself in before it did,
        // so once nobody is inside the number can be closed: nobody writes into whatever gets it next.
        while state.pointee.inside.load(ordering: .sequentiallyConsistent) != 0 { sched_yield() }
    }
}

/// SIGCHLD ignored, or SA_NOCLDWAIT, is inherited through exec and makes the kernel throw exit statuses away (waitpid(2)).
struct ChildStatusKeeping: ~Copyable {
    private let previous: sigaction?
    private let installed: UInt

    init() {
        var action = sigaction()
        sigaction(SIGCHLD, nil, &action)
        let ignored = action.handlerAddress == sigaction.ignoreAddress
        let discards = action.sa_flags & CInt(SA_NOCLDWAIT) != 0
        guard ignored || discards else {
            previous = nil
            installed = 0
            return
        }
        previous = action
        if ignored { action = sigaction() }
        action.sa_flags &= ~CInt(SA_NOCLDWAIT)
        sigaction(SIGCHLD, &action, nil)
        installed = action.handlerAddress
    }

    /// Puts back what was there, unless the program has installed something else meanwhile.
    consuming func restore() {
        var current = sigaction()
        sigaction(SIGCHLD, nil, &current)
        if var previous, current.handlerAddress == installed { sigaction(SIGCHLD, &previous, nil) }
    }
}

/// What the handlers touch. Allocated once and never freed: a handler may still be on its way when `restore` returns.
private struct SignalState: ~Copyable {
    let pending = Atomic<UInt64>(0)
    let wake = Atomic<CInt>(-1)
    let inside = Atomic<Int>(0)
    let chained = Atomic<UInt>(0)
    /// The handler of SIGCHLD that somebody had put over ours when we left: it may call ours for ever.
    let foreign = Atomic<UInt>(0)
    /// When the last TERM or INT came, on the monotonic clock in nanoseconds.
    let arrival = Atomic<Int64>(0)

    static func shared() -> UnsafeMutablePointer<SignalState> {
        if let state = signalState { return state }
        let state = UnsafeMutablePointer<SignalState>.allocate(capacity: 1)
        state.initialize(to: SignalState())
        signalState = state
        return state
    }
}

// Statically initialised and read without an exclusivity check, in debug builds too. Written once, by the first `init` above,
// before the first handler is installed and under the one-at-a-time rule: no thread reads it while it is written.
@exclusivity(unchecked) nonisolated(unsafe) private var signalState: UnsafeMutablePointer<SignalState>? = nil

private typealias Handler = @convention(c) (CInt, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void

private let recordingHandler: Handler = { number, information, context in
    guard let state = signalState else { return }
    let savedErrno = errno  // The interrupted code may be between a system call and its look at errno.
    state.pointee.inside.wrappingAdd(1, ordering: .sequentiallyConsistent)
    if number == SIGTERM || number == SIGINT {
        // clock_gettime(2) is among the functions that a handler may call (signal-safety(7)).
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        state.pointee.arrival.store(
            Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec), ordering: .sequentiallyConsistent)
    }
    state.pointee.pending.bitwiseOr(1 &<< UInt64(truncatingIfNeeded: number), ordering: .sequentiallyConsistent)
    let descriptor = state.pointee.wake.load(ordering: .sequentiallyConsistent)
    if descriptor >= 0 {
        var byte: UInt8 = 0
        _ = write(descriptor, &byte, 1)
    }
    let chained = state.pointee.chained.load(ordering: .sequentiallyConsistent)
    // 0 and 1 are SIG_DFL and SIG_IGN everywhere. A handler of one argument does not look at the other two.
    if number == SIGCHLD, chained > 1 {
        unsafeBitCast(chained, to: Handler.self)(number, information, context)
    }
    state.pointee.inside.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    errno = savedErrno
}

private let ignoringHandler: Handler = { _, _, _ in }
private var recordingAddress: UInt { unsafeBitCast(recordingHandler, to: UInt.self) }
private var ignoringAddress: UInt { unsafeBitCast(ignoringHandler, to: UInt.self) }

#if canImport(Darwin)
    /// Outside of `sigaction`, which has a member of that name.
    private typealias HandlerUnion = __sigaction_u
#endif

extension sigaction {
    fileprivate static let ignoreAddress: UInt = 1
    // SA_RESTART: the program's own system calls go on as if nothing had happened.
    private static let flags = CInt(truncatingIfNeeded: UInt32(SA_RESTART)) | CInt(SA_SIGINFO)

    #if canImport(Darwin)
        fileprivate static func calling(_ handler: @escaping Handler) -> sigaction {
            sigaction(__sigaction_u: unsafeBitCast(handler, to: HandlerUnion.self), sa_mask: 0, sa_flags: flags)
        }
        fileprivate var handlerAddress: UInt { unsafeBitCast(__sigaction_u, to: UInt.self) }
    #elseif canImport(Musl)
        fileprivate static func calling(_ handler: @escaping Handler) -> sigaction {
            var action = sigaction()
            action.__sa_handler.sa_sigaction = handler
            action.sa_flags = flags
            return action
        }
        fileprivate var handlerAddress: UInt { unsafeBitCast(__sa_handler, to: UInt.self) }
    #else
        fileprivate static func calling(_ handler: @escaping Handler) -> sigaction {
            var action = sigaction()
            action.__sigaction_handler.sa_sigaction = handler
            action.sa_flags = flags
            return action
        }
        fileprivate var handlerAddress: UInt { unsafeBitCast(__sigaction_handler, to: UInt.self) }
    #endif
}
