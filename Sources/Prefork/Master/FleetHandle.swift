import Synchronization

/// The part of a master that other threads may use. They can stop it and read its status. Each `Prefork` has one.
final class FleetHandle: Sendable {
    /// A request of the program, beside a stop.
    enum Request: Equatable {
        case restart
        case rollback
        case upgrade
        case resize(to: Int)

        fileprivate func isSameKind(as other: Request) -> Bool {
            switch (self, other) {
            case (.restart, .restart), (.rollback, .rollback), (.resize, .resize), (.upgrade, .upgrade): true
            default: false
            }
        }
    }

    private enum Phase {
        case fresh
        case running(wake: CInt)
        case ended
    }

    private struct State {
        var phase = Phase.fresh
        var stopRequested = false
        /// At most one of each kind, the last one, in the order in which they came.
        var requests: [Request] = []
        /// The call of `run` that this state belongs to.
        var token: RunToken?
        var slots: [Supervisor.Slot] = []
        /// A slot that has left the fleet is shown until its last child has exited.
        var shown = 0
        var generation = 1
        var isRestarting = false
        var isStopping = false
        var addresses: [Prefork.Address] = []
        var rotation = SlotSet()
        var listeners: [ListenerView] = []
        var counters = Prefork.Status.Counters()
    }

    private let state = LockedValueBox(State())
    /// Whether a run has claimed this process. Only one may, because signal handlers and the role belong to the
    /// process.
    private static let claimed = Atomic<Bool>(false)

    /// Claims the process for one run of this value, as master or child. From here on, a stop is remembered, however
    /// long the run takes to begin.
    /// - Throws: ``PreforkError/Code/alreadyRunning``.
    func claim() throws(PreforkError) {
        let (isFree, _) = Self.claimed.compareExchange(
            expected: false, desired: true, ordering: .sequentiallyConsistent)
        guard isFree else { throw .alreadyRunning }
        state.withLock { state in
            if case .ended = state.phase { state.phase = .fresh }
        }
    }

    func release() {
        end()
        Self.claimed.store(false, ordering: .sequentiallyConsistent)
    }

    /// - Parameter wake: the descriptor that wakes the master (`Channel.send`). It is valid until `end`.
    func begin(wake: CInt, _ token: RunToken) {
        state.withLock { state in
            state.token = token
            state.phase = .running(wake: wake)
            if token.isCancelled.load(ordering: .sequentiallyConsistent) { request(&state) }
            if state.stopRequested { Channel.send(0, to: wake) }
        }
    }

    /// Forgets the run. Further calls are harmless.
    func end() {
        state.withLock { state in
            state = State()
            state.phase = .ended
        }
    }

    /// The lock is held while the byte is sent, and `end` takes it before the descriptor is closed. The byte therefore
    /// cannot go to another file that has got the number.
    private func request(_ state: inout State) {
        switch state.phase {
        case .fresh: state.stopRequested = true
        case .running(let wake):
            state.stopRequested = true
            Channel.send(0, to: wake)
        case .ended: break
        }
    }

    func stop() { state.withLock { request(&$0) } }

    /// Does nothing unless the fleet runs.
    func request(_ request: Request) {
        state.withLock { state in
            guard case .running(let wake) = state.phase else { return }
            state.requests.removeAll { $0.isSameKind(as: request) }
            state.requests.append(request)
            Channel.send(0, to: wake)
        }
    }

    func takeRequests() -> [Request] {
        state.withLock { state in
            defer { state.requests = [] }
            return state.requests
        }
    }

    /// Stops the run of that token, now or when it begins. It never stops another run.
    func cancel(_ token: RunToken) {
        // The flag is set under the lock that `begin` takes. Either `begin` sees the flag, or this sees that the run
        // has begun.
        state.withLock { state in
            token.isCancelled.store(true, ordering: .sequentiallyConsistent)
            if state.token === token { request(&state) }
        }
    }

    /// Whether `takeStopRequest` or `takeRequests` has something.
    var hasRequests: Bool { state.withLock { $0.stopRequested || !$0.requests.isEmpty } }

    func takeStopRequest() -> Bool {
        state.withLock { state in
            defer { state.stopRequested = false }
            return state.stopRequested
        }
    }

    /// Copies the slots that have changed. The status is computed from them on demand.
    func publish(_ supervisor: inout Supervisor, addresses: [Prefork.Address]) {
        state.withLock { state in
            for slot in supervisor.slots.takeChanged() {
                while state.slots.count <= slot { state.slots.append(Supervisor.Slot()) }
                state.slots[slot] = supervisor.slots[slot]
            }
            state.shown = max(supervisor.target, (supervisor.slots.all(.occupied).last ?? -1) + 1)
            state.generation = supervisor.generation
            state.isRestarting = supervisor.restart != nil
            state.isStopping = supervisor.isStopping
            state.rotation = supervisor.rotation
            state.addresses = addresses
            state.counters = supervisor.counters
        }
    }

    /// Call it with an empty list before the listeners are closed. From then on the numbers are not used, because they
    /// may belong to other files.
    func publish(listeners: [ListenerView]) {
        state.withLock { $0.listeners = listeners }
    }

    var status: Prefork.Status {
        // The queues are read under the lock, see `publish(listeners:)`.
        let (state, listeners) = state.withLock { ($0, $0.listeners.map(\.status)) }
        let sharded = listeners.filter { $0.mode == .sharded }
        let now = System.now()
        return Prefork.Status(
            masterPID: System.pid,
            addresses: state.addresses,
            isStopping: state.isStopping,
            slots: state.slots.prefix(state.shown).enumerated().map { slot, record in
                Prefork.Status.Slot(
                    slot: slot, record, now: now,
                    isInRotation: state.rotation.contains(slot),
                    waiting: Self.waiting(in: slot, sharded)
                )
            },
            listeners: listeners,
            generation: state.generation,
            isRestarting: state.isRestarting,
            counters: state.counters
        )
    }

    private static func waiting(in slot: Int, _ sharded: [Prefork.Status.Listener]) -> Int? {
        var sum: Int?
        for listener in sharded where listener.queues.indices.contains(slot) {
            if let queue = listener.queues[slot] { sum = (sum ?? 0) + queue.waiting }
        }
        return sum
    }
}

/// One call of `run`. Its task may be cancelled before the run begins.
final class RunToken: Sendable {
    let isCancelled = Atomic<Bool>(false)
}

extension Prefork.Status.Slot {
    fileprivate init(slot: Int, _ record: Supervisor.Slot, now: Instant, isInRotation: Bool, waiting: Int?) {
        let (state, since) = record.publicState(at: now)
        self.init(
            slot: slot,
            state: state,
            since: since,
            spawns: record.launches,
            generation: record.current?.generation ?? record.outgoing.last?.child.generation,
            replacement: record.successor?.pid,
            lastExit: record.lastExit,
            isInRotation: isInRotation,
            waiting: waiting
        )
    }
}

extension Supervisor.Slot {
    /// The child that the slot works with comes first, then its next attempt, then children that are about to exit.
    fileprivate func publicState(at now: Instant) -> (Prefork.Status.State, since: Duration) {
        if let current {
            guard let readyAt = current.readyAt else { return (.starting(pid: current.pid), now - current.spawnedAt) }
            let isLeaving = current.isDraining || retirement != nil
            return (isLeaving ? .stopping(pid: current.pid) : .ready(pid: current.pid), now - readyAt)
        }
        if case .backingOff(let until) = attempt { return (.backingOff(max(.zero, until - now)), .zero) }
        if let exiting = outgoing.last { return (.stopping(pid: exiting.child.pid), now - exiting.since) }
        return (.empty, .zero)
    }
}
