import PreforkLibc
import Synchronization
import Testing

@testable import Prefork

/// The set of one signal.
private func signalSet(_ signal: CInt) -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, signal)
    return set
}

private func isBlocked(_ signal: CInt) -> Bool {
    var mask = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &mask)
    return sigismember(&mask, signal) == 1
}

private func isPending(_ signal: CInt) -> Bool {
    var set = sigset_t()
    sigpending(&set)
    return sigismember(&set, signal) == 1
}

/// Runs `body` with the signal blocked or unblocked in this thread. Signals that are pending at the end are discarded.
private func withMask(_ how: CInt, _ signal: CInt, _ body: () throws -> Void) rethrows {
    var set = signalSet(signal)
    var previous = sigset_t()
    pthread_sigmask(how, &set, &previous)
    defer {
        if isPending(signal) {
            var taken: CInt = 0
            sigwait(&set, &taken)
        }
        pthread_sigmask(SIG_SETMASK, &previous, nil)
    }
    try body()
}

private let firstCalls = Atomic<Int>(0)
private let secondCalls = Atomic<Int>(0)
private let firstHandler: SimpleHandler = { _ in firstCalls.wrappingAdd(1, ordering: .relaxed) }
private let secondHandler: SimpleHandler = { _ in secondCalls.wrappingAdd(1, ordering: .relaxed) }

/// How often each handler has been called since this was made.
private struct Calls {
    private let first = firstCalls.load(ordering: .relaxed)
    private let second = secondCalls.load(ordering: .relaxed)

    var counts: [Int] {
        [firstCalls.load(ordering: .relaxed) - first, secondCalls.load(ordering: .relaxed) - second]
    }
}

private typealias SimpleHandler = @convention(c) (CInt) -> Void

/// signal(3). Installs a handler and returns the earlier one. `nil` stands for SIG_DFL.
private func install(_ handler: SimpleHandler?, for number: CInt) -> SimpleHandler? { signal(number, handler) }

/// Runs `body` with that handler and the signal unblocked, because libdispatch's threads block it. Then it restores
/// both.
private func withHandler(
    _ signal: CInt,
    _ handler: @escaping SimpleHandler,
    _ body: () throws -> Void
) rethrows {
    let previous = install(handler, for: signal)
    defer { _ = install(previous, for: signal) }
    try withMask(SIG_UNBLOCK, signal, body)
}

/// All tests that raise a signal or change its disposition, because a process has only one disposition for each.
/// `raise` delivers to this thread before it returns. None of these tests suspends, so each stays in its thread.
@Suite(.serialized) struct SignalTests {
    @Test func takesASignalToThisProcess() throws {
        let handling = try SignalHandling(handled: [.user1])
        #expect(handling.take().signals == [])
        System.signalSelf(.user1)
        #expect(try becomesReadable(handling.descriptor.raw))
        #expect(handling.take().signals == [.user1])
        #expect(handling.take().signals == [])
        handling.restore()
    }

    @Test func takesEachSignalOnceInOrder() throws {
        let handling = try SignalHandling(handled: [.user1, .terminate, .interrupt, Signal(number: SIGHUP)])
        for _ in 0..<3 { for number in [SIGTERM, SIGUSR1, SIGHUP, SIGINT] { raise(number) } }
        #expect(handling.take().signals.map(\.number) == [SIGHUP, SIGINT, SIGUSR1, SIGTERM].sorted())
        #expect(handling.take().signals == [])
        handling.restore()
    }

    /// No reader empties the pipe. The bit must come through nevertheless.
    @Test(.timeLimit(.minutes(1))) func losesNoSignalWhereThePipeIsFull() throws {
        let handling = try SignalHandling(handled: [.user1, .terminate])
        for _ in 0..<2000 { raise(SIGUSR1) }
        for _ in 0..<5000 { Channel.send(0, to: handling.wakeDescriptor) }
        raise(SIGTERM)
        #expect(Set(handling.take().signals) == [.user1, .terminate])
        handling.restore()
    }

    @Test func wakesWithoutASignal() throws {
        let handling = try SignalHandling(handled: [.user1])
        Channel.send(0, to: handling.wakeDescriptor)
        #expect(try becomesReadable(handling.descriptor.raw))
        #expect(handling.take().signals == [])
        #expect(Channel.receive(from: handling.descriptor.raw) == .nothing)
        handling.restore()
    }

    @Test func keepsErrno() throws {
        let handling = try SignalHandling(handled: [.user1])
        for _ in 0..<2000 { raise(SIGUSR1) }
        // The pipe is full, so the handler's write fails and sets errno.
        errno = ENOTTY
        raise(SIGUSR1)
        let after = errno
        #expect(after == ENOTTY)
        handling.restore()
    }

    @Test func nothingIsLeftForTheNext() throws {
        let first = try SignalHandling(handled: [.user1])
        raise(SIGUSR1)
        first.restore()
        let second = try SignalHandling(handled: [.user1])
        #expect(second.take().signals == [])
        second.restore()
    }

    @Test func putsAPreviousHandlerBack() throws {
        try withHandler(SIGUSR1, firstHandler) {
            let calls = Calls()
            let handling = try SignalHandling(handled: [.user1])
            raise(SIGUSR1)
            #expect(calls.counts == [0, 0])
            handling.restore()
            raise(SIGUSR1)
            #expect(calls.counts == [1, 0])
        }
    }

    @Test func putsAPreviousHandlerOfASilencedSignalBack() throws {
        try withHandler(SIGUSR2, firstHandler) {
            let calls = Calls()
            let handling = try SignalHandling(handled: [], silenced: [Signal(number: SIGUSR2)])
            raise(SIGUSR2)
            #expect(calls.counts == [0, 0])
            handling.restore()
            raise(SIGUSR2)
            #expect(calls.counts == [1, 0])
        }
    }

    @Test func leavesAnotherHandlerAlone() throws {
        try withHandler(SIGUSR1, firstHandler) {
            let calls = Calls()
            let handling = try SignalHandling(handled: [.user1])
            _ = install(secondHandler, for: SIGUSR1)
            handling.restore()
            raise(SIGUSR1)
            #expect(calls.counts == [0, 1])
        }
    }

    @Test func silencedSignalHasAnEmptyHandler() throws {
        let silenced = Signal(number: SIGUSR2)
        let handling = try SignalHandling(handled: [.user1], silenced: [silenced])
        raise(SIGUSR2)
        #expect(handling.take().signals == [])
        // The signal is not ignored, because that would survive exec into the processes that this one starts.
        let installed = install(firstHandler, for: SIGUSR2)
        #expect(unsafeBitCast(installed, to: UInt.self) > 1)
        _ = install(installed, for: SIGUSR2)
        handling.restore()
    }

    @Test func unblocksASignalAndRestoresTheMask() throws {
        try withMask(SIG_BLOCK, SIGUSR1) {
            try withMask(SIG_BLOCK, SIGUSR2) {
                let handling = try SignalHandling(handled: [.user1])
                #expect(!isBlocked(SIGUSR1))
                #expect(isBlocked(SIGUSR2))
                raise(SIGUSR1)
                #expect(handling.take().signals == [.user1])
                handling.restore()
                #expect(isBlocked(SIGUSR1))
                #expect(isBlocked(SIGUSR2))
            }
        }
    }

    @Test func unblocksASilencedSignal() throws {
        try withMask(SIG_BLOCK, SIGUSR2) {
            let handling = try SignalHandling(handled: [], silenced: [Signal(number: SIGUSR2)])
            #expect(!isBlocked(SIGUSR2))
            handling.restore()
            #expect(isBlocked(SIGUSR2))
        }
    }

    @Test func callsThePreviousHandlerOfSIGCHLDToo() throws {
        try withHandler(SIGCHLD, firstHandler) {
            let calls = Calls()
            let handling = try SignalHandling(handled: [.child])
            raise(SIGCHLD)
            #expect(calls.counts == [1, 0])
            #expect(handling.take().signals == [.child])
            handling.restore()
            raise(SIGCHLD)
            #expect(calls.counts == [2, 0])
        }
    }

    @Test func endOfTheValueRestores() throws {
        try withHandler(SIGUSR1, firstHandler) {
            let calls = Calls()
            do { _ = try SignalHandling(handled: [.user1]) }
            raise(SIGUSR1)
            #expect(calls.counts == [1, 0])
        }
    }

    // MARK: SIGPIPE

    @Test func lineToAPipeWithoutAReader() throws {
        try withHandler(SIGPIPE, firstHandler) {
            let calls = Calls()
            let pipe = try makePipe()
            let writeEnd = Descriptor(pipe.writeEnd)
            Descriptor(pipe.readEnd).close()
            #expect(!LogWriter.write(Array("line\n".utf8), to: writeEnd.raw))
            #expect(!isPending(SIGPIPE))
            #expect(!isBlocked(SIGPIPE))
            #expect(calls.counts == [0, 0])
        }
    }

    @Test func blockedSIGPIPEStaysBlocked() throws {
        try withMask(SIG_BLOCK, SIGPIPE) {
            let pipe = try makePipe()
            let writeEnd = Descriptor(pipe.writeEnd)
            Descriptor(pipe.readEnd).close()
            #expect(!LogWriter.write(Array("line\n".utf8), to: writeEnd.raw))
            #expect(!isPending(SIGPIPE))
            #expect(isBlocked(SIGPIPE))
        }
    }

    @Test func pendingSIGPIPEOfSomebodyElseStays() throws {
        try withMask(SIG_BLOCK, SIGPIPE) {
            raise(SIGPIPE)
            try #require(isPending(SIGPIPE))
            let pipe = try makePipe()
            let readEnd = Descriptor(pipe.readEnd)
            let writeEnd = Descriptor(pipe.writeEnd)
            #expect(LogWriter.write(Array("line\n".utf8), to: writeEnd.raw))
            #expect(isPending(SIGPIPE))
            readEnd.close()
            #expect(!LogWriter.write(Array("line\n".utf8), to: writeEnd.raw))
            #expect(isPending(SIGPIPE))
        }
    }

    @Test func pendingSIGXFSZOfSomebodyElseStays() throws {
        try withMask(SIG_BLOCK, SIGXFSZ) {
            raise(SIGXFSZ)
            let pipe = try makePipe()
            let writeEnd = Descriptor(pipe.writeEnd)
            Descriptor(pipe.readEnd).close()
            #expect(!LogWriter.write(Array("line\n".utf8), to: writeEnd.raw))
            #expect(isPending(SIGXFSZ))
            #expect(isBlocked(SIGXFSZ))
            #expect(!isPending(SIGPIPE))
        }
    }

    @Test func sendingToAGonePeerIsNoSIGPIPE() throws {
        try withMask(SIG_BLOCK, SIGPIPE) {
            let ends = try Channel.makePair().split()
            let first = Descriptor(ends.first)
            Descriptor(ends.second).close()
            Channel.send(1, to: first.raw)
            #expect(!isPending(SIGPIPE))
            #expect(Channel.receive(from: first.raw) == .hungUp)
        }
    }
}
