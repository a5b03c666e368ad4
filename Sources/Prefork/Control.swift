import Synchronization

/// What other threads may do to a master: stop it and look at it. One for each `Prefork` value.
final class Control: Sendable {
    private enum Phase {
        case fresh
        case running(wake: CInt)
        case ended
    }

    private struct State {
        var phase = Phase.fresh
        var stopRequested = false
        /// Whose run it is.
        var token: RunToken?
        var slots: [Supervisor.Slot] = []
        var isStopping = false
        var addresses: [Prefork.Address] = []
    }

    private let state = Protected(State())
    /// One running master in a process: signal handlers belong to the process, and so does the answer to "who am I".
    private static let claimed = Atomic<Bool>(false)

    /// Takes the process; a stop that was asked for before holds.
    /// - Parameter wake: to send a byte to (`Channel.send`), valid until `end`.
    func begin(wake: CInt, _ token: RunToken) {
        state.withLock { state in
            if case .ended = state.phase { state.stopRequested = false }
            if token.isCancelled.load(ordering: .sequentiallyConsistent) { state.stopRequested = true }
            state.token = token
            state.phase = .running(wake: wake)
            state.isStopping = false
        }
    }

    func end() {
        state.withLock { state in
            state.phase = .ended
            state.token = nil
            state.slots = []
            state.addresses = []
            state.isStopping = false
        }
    }

    /// - Throws: ``PreforkError/alreadyRunning``.
    static func claim() throws(PreforkError) {
        guard claimed.compareExchange(expected: false, desired: true, ordering: .sequentiallyConsistent).exchanged
        else {
            throw .alreadyRunning
        }
    }

    static func release() { claimed.store(false, ordering: .sequentiallyConsistent) }

    /// The lock is held while the byte is sent, and `end` takes it before the descriptor is closed: the byte cannot go
    /// into a number that is somebody else's by then.
    func stop() {
        state.withLock { state in
            switch state.phase {
            case .fresh: state.stopRequested = true
            case .running(let wake):
                state.stopRequested = true
                Channel.send(0, to: wake)
            case .ended: break
            }
        }
    }

    /// Stops the run of that token, now or when it begins; never another's.
    func cancel(_ token: RunToken) {
        // Under the lock that `begin` takes: it sees the flag, or we see that it has begun.
        let isRunning = state.withLock { state in
            token.isCancelled.store(true, ordering: .sequentiallyConsistent)
            return state.token === token
        }
        if isRunning { stop() }
    }

    func takeStopRequest() -> Bool {
        state.withLock { state in
            defer { state.stopRequested = false }
            return state.stopRequested
        }
    }

    func publish(_ slots: [Supervisor.Slot], isStopping: Bool, addresses: [Prefork.Address]) {
        state.withLock { state in
            state.slots = slots
            state.isStopping = isStopping
            state.addresses = addresses
        }
    }

    var status: Prefork.Status {
        let (slots, isStopping, addresses) = state.withLock { ($0.slots, $0.isStopping, $0.addresses) }
        return Prefork.Status(slots: slots, isStopping: isStopping, addresses: addresses, now: System.now())
    }
}

/// One call of `run`: the task that has made it may be cancelled before the run begins.
final class RunToken: Sendable {
    let isCancelled = Atomic<Bool>(false)
}

extension Prefork.Status {
    init(slots: [Supervisor.Slot], isStopping: Bool, addresses: [Prefork.Address], now: Instant) {
        self.init(
            masterPID: System.processID,
            addresses: addresses,
            isStopping: isStopping,
            slots: slots.enumerated().map { Slot(slot: $0.offset, $0.element, now: now) }
        )
    }
}

extension Prefork.Status.Slot {
    fileprivate init(slot: Int, _ record: Supervisor.Slot, now: Instant) {
        let state: Prefork.Status.State
        var since = Duration.zero
        switch record.state {
        case .empty, .spawning: state = .empty
        case .starting(let life):
            state = .starting(pid: life.pid)
            since = now - life.spawnedAt
        case .ready(let life):
            state = .ready(pid: life.pid)
            since = now - (life.readyAt ?? life.spawnedAt)
        case .stopping(let life, let start, _):
            state = .stopping(pid: life.pid)
            since = now - start
        case .waiting(let until): state = .waiting(max(.zero, until - now))
        }
        self.init(slot: slot, state: state, since: since, spawns: record.spawns, lastExit: record.lastExit)
    }
}
