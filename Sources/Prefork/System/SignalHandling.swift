// A self-pipe and signal handlers, which turn signals into bits that a poll loop reads.
import PreforkLibc
import Synchronization

/// Handlers for a set of signals, for as long as this value lives. One at a time in a process.
///
/// A handler may interrupt any thread anywhere, so it touches nothing but raw memory: no lazy global, no reference
/// count, no exclusivity check. It sets the signal's bit, then writes one byte. A full pipe drops the byte, because the
/// reader is about to wake up anyway. The bit stays, so no signal is lost.
struct SignalHandling: ~Copyable {
    /// Readable after a signal, or after a byte to `wakeDescriptor`.
    let descriptor: Descriptor
    private let writeEnd: Descriptor
    private let installed: [Replaced]
    private let signals: sigset_t
    private let previousMask: sigset_t?

    // Not a tuple, because the runtime would have to build the metadata of an array of tuples.
    private struct Replaced {
        let signal: CInt
        var previous: sigaction
    }

    /// Installs the handlers, and unblocks the signals in the calling thread. Threads of libdispatch and children of
    /// some shells block them, and a signal needs one thread that does not.
    /// - Parameters:
    ///   - handled: recorded for `take`. SIGCHLD's handler also calls the handler that was installed before.
    ///   - silenced: get an empty handler. SIG_IGN would survive exec into what this process starts.
    ///   - unblocking: `false` if another thread will call `unblock`.
    ///   - isHandedOver: whether this thread blocks the signals only because an earlier program of this process held
    ///     them.
    init(
        handled: [Signal], silenced: [Signal] = [], unblocking: Bool = true, isHandedOver: Bool = false
    ) throws(SystemError) {
        let state = SignalState.shared()
        let ends = try Channel.makePair().split()
        descriptor = Descriptor(ends.first)
        writeEnd = Descriptor(ends.second)
        // Discards signals that an earlier value has not taken.
        _ = state.pointee.pending.exchange(0, ordering: .sequentiallyConsistent)
        // The descriptor is stored before the handlers are installed, so that no handler finds an old number.
        state.pointee.wake.store(ends.second, ordering: .sequentiallyConsistent)

        var replaced: [Replaced] = []
        var mask = sigset_t()
        sigemptyset(&mask)
        for signal in handled + silenced {
            sigaddset(&mask, signal.number)
            var previous = sigaction()
            sigaction(signal.number, nil, &previous)
            if signal == .child {
                // A library that has chained to our handler still calls it. Installing ours over that one would make
                // the two call each other without end. If the library does not call ours, the master's sweep notices
                // exits.
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
        let isUnblocked = unblocking && pthread_sigmask(SIG_UNBLOCK, &mask, &before) == 0
        if isHandedOver { for signal in handled { sigdelset(&before, signal.number) } }
        previousMask = isUnblocked ? before : nil
    }

    /// Unblocks the signals in the calling thread, until that thread ends.
    func unblock() {
        var mask = signals
        pthread_sigmask(SIG_UNBLOCK, &mask, nil)
    }

    /// Runs `body` while no signal of this value is handled in any thread. Each one that comes stays pending in this
    /// thread, and survives execve(2).
    ///
    /// A handler that runs in another thread sets its bit before it reads `holder`, and this sets `holder` before it
    /// reads the bits. So either the handler passes the signal on, or its bit is found here. Both is harmless. A thread
    /// that has taken a signal from the kernel, and has not begun its handler, ends with the old program, and so does
    /// the signal. Nothing can be done about these few instructions.
    /// - Returns: `nil` without a call of `body` if there is a signal to `take`.
    func holdingSignals<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result? {
        var mask = signals
        var before = sigset_t()
        pthread_sigmask(SIG_BLOCK, &mask, &before)
        let state = SignalState.shared()
        state.pointee.holder.store(SignalState.currentThread, ordering: .sequentiallyConsistent)
        defer {
            state.pointee.holder.store(0, ordering: .sequentiallyConsistent)
            pthread_sigmask(SIG_SETMASK, &before, nil)
        }
        if state.pointee.pending.load(ordering: .sequentiallyConsistent) != 0 { return nil }
        return try body()
    }

    /// The same, if nobody else can take the signals that came: they are sent to this thread again, where they are
    /// pending.
    func holdingAllSignals(_ body: () -> Void) {
        var mask = signals
        pthread_sigmask(SIG_BLOCK, &mask, nil)
        for signal in Self.takeRest() { SignalState.send(signal.number, to: SignalState.currentThread) }
        if holdingSignals({ () throws(Never) in body() }) == nil { holdingAllSignals(body) }
    }

    /// The signals since the last call of `take`.
    struct Received {
        /// Each once, in the order of their numbers.
        let signals: [Signal]
        /// When the last TERM or INT came. The caller may have been busy since then.
        let arrival: Instant
        /// The sender of the last TERM or INT.
        let sender: SignalSender?
        /// The sender of the last HUP.
        let hangUpSender: SignalSender?
        /// How many more TTIN than TTOU came from processes.
        let slots: Int
        /// Whether the kernel sent TTIN or TTOU.
        let isJobControl: Bool
    }

    func take() -> Received {
        Channel.empty(descriptor.raw)
        // The bytes are read before the bits. A signal in between leaves a byte, which wakes the caller once more for
        // nothing. The other order would leave a bit without a byte.
        let state = SignalState.shared()
        let bits = state.pointee.pending.exchange(0, ordering: .sequentiallyConsistent)
        let arrival = Instant(nanoseconds: state.pointee.arrival.load(ordering: .sequentiallyConsistent))
        let sender = SignalSender(packed: state.pointee.sender.load(ordering: .sequentiallyConsistent))
        return Received(
            signals: Self.signals(in: bits), arrival: arrival, sender: sender,
            hangUpSender: SignalSender(packed: state.pointee.hangUpSender.load(ordering: .sequentiallyConsistent)),
            slots: state.pointee.slots.exchange(0, ordering: .sequentiallyConsistent),
            isJobControl: state.pointee.isJobControl.exchange(false, ordering: .sequentiallyConsistent))
    }

    /// Takes the signals that came after the last `take`, once the handlers are gone.
    static func takeRest() -> [Signal] {
        signals(in: SignalState.shared().pointee.pending.exchange(0, ordering: .sequentiallyConsistent))
    }

    private static func signals(in bits: UInt64) -> [Signal] {
        (1..<64).filter { bits & (1 << UInt64($0)) != 0 }.map { Signal(number: CInt($0)) }
    }

    /// Any thread may send a byte to this number (`Channel.send`) as long as this value lives.
    var wakeDescriptor: CInt { writeEnd.raw }

    /// Reinstalls the previous handlers, unless the program has installed others meanwhile. If the thread that created
    /// this value has unblocked the signals, call it in that thread, because a mask belongs to a thread.
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
        // A handler in another thread may have loaded the number already. It counts itself in before it does so. When
        // no handler is inside, the number can be closed, because none will write into the file that gets it next.
        while state.pointee.inside.load(ordering: .sequentiallyConsistent) != 0 { sched_yield() }
    }
}

/// The memory that the handlers touch. It is allocated once and never freed, because a handler may still run when
/// `restore` returns.
private struct SignalState: ~Copyable {
    let pending = Atomic<UInt64>(0)
    let wake = Atomic<CInt>(-1)
    let inside = Atomic<Int>(0)
    let chained = Atomic<UInt>(0)
    /// A SIGCHLD handler that other code had installed over ours when ours was removed. It may go on calling ours.
    let foreign = Atomic<UInt>(0)
    /// When the last TERM or INT came, on the monotonic clock in nanoseconds.
    let arrival = Atomic<Int64>(0)
    /// Its sender: the process in the upper half, the user in the lower one. 0 if the kernel sent it.
    let sender = Atomic<UInt64>(0)
    /// The sender of the last HUP.
    let hangUpSender = Atomic<UInt64>(0)
    /// How many more TTIN than TTOU came from processes. Each one counts, and not only each turn of the reader.
    let slots = Atomic<Int>(0)
    /// Whether the kernel sent TTIN or TTOU.
    let isJobControl = Atomic<Bool>(false)
    /// The thread that gets the signals of all others. 0 if each keeps its own.
    let holder = Atomic<UInt>(0)

    #if canImport(Darwin) || canImport(Musl)
        static var currentThread: UInt { UInt(bitPattern: pthread_self()) }
        static func send(_ signal: CInt, to thread: UInt) {
            if let thread = pthread_t(bitPattern: thread) { pthread_kill(thread, signal) }
        }
    #else
        static var currentThread: UInt { UInt(truncatingIfNeeded: pthread_self()) }
        static func send(_ signal: CInt, to thread: UInt) {
            pthread_kill(pthread_t(truncatingIfNeeded: thread), signal)
        }
    #endif

    static func shared() -> UnsafeMutablePointer<SignalState> {
        if let state = signalState { return state }
        let state = UnsafeMutablePointer<SignalState>.allocate(capacity: 1)
        state.initialize(to: SignalState())
        signalState = state
        return state
    }
}

// Statically initialised, and read without an exclusivity check in debug builds, too. The first `SignalHandling.init`
// writes it, before it installs the first handler. Only one such value exists at a time, so no thread reads it during
// the write.
@exclusivity(unchecked) nonisolated(unsafe) private var signalState: UnsafeMutablePointer<SignalState>? = nil

private let recordingHandler: SignalHandler = { number, information, context in
    guard let state = signalState else { return }
    let savedErrno = errno  // The interrupted code may be between a system call and its check of errno.
    state.pointee.inside.wrappingAdd(1, ordering: .sequentiallyConsistent)
    if number == SIGTERM || number == SIGINT {
        // Handlers may call clock_gettime(2) (signal-safety(7)).
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        state.pointee.arrival.store(
            Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec), ordering: .sequentiallyConsistent)
        state.pointee.sender.store(information?.pointee.packedSender ?? 0, ordering: .sequentiallyConsistent)
    }
    if number == SIGHUP {
        state.pointee.hangUpSender.store(information?.pointee.packedSender ?? 0, ordering: .sequentiallyConsistent)
    }
    if number == SIGTTIN || number == SIGTTOU {
        if (information?.pointee.packedSender ?? 0) == 0 {
            state.pointee.isJobControl.store(true, ordering: .sequentiallyConsistent)
        } else {
            state.pointee.slots.wrappingAdd(number == SIGTTIN ? 1 : -1, ordering: .sequentiallyConsistent)
        }
    }
    state.pointee.pending.bitwiseOr(1 &<< UInt64(truncatingIfNeeded: number), ordering: .sequentiallyConsistent)
    // pthread_kill(3) is safe in a handler (signal-safety(7)).
    let holder = state.pointee.holder.load(ordering: .sequentiallyConsistent)
    if holder != 0 { SignalState.send(number, to: holder) }
    let descriptor = state.pointee.wake.load(ordering: .sequentiallyConsistent)
    if descriptor >= 0 {
        var byte: UInt8 = 0
        _ = write(descriptor, &byte, 1)
    }
    let chained = state.pointee.chained.load(ordering: .sequentiallyConsistent)
    // 0 and 1 are SIG_DFL and SIG_IGN on all systems. A handler of one argument ignores the other two.
    if number == SIGCHLD, chained > 1 {
        unsafeBitCast(chained, to: SignalHandler.self)(number, information, context)
    }
    state.pointee.inside.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    errno = savedErrno
}

private let ignoringHandler: SignalHandler = { _, _, _ in }
private var recordingAddress: UInt { unsafeBitCast(recordingHandler, to: UInt.self) }
private var ignoringAddress: UInt { unsafeBitCast(ignoringHandler, to: UInt.self) }
