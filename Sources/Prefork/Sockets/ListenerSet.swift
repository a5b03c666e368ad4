/// The listeners of a fleet: bound by the master before the first child, open until the stop.
struct ListenerSet {
    private var open: [Listener] = []
    private var closing: Closing?
    private var alarm: QueueMonitor?
    /// In the order in which they were asked for, then the adopted ones; ports are resolved.
    private(set) var addresses: [Prefork.Address] = []

    /// What a child in that slot inherits, as long as they are open, in the order of the addresses.
    func descriptors(of slot: Int) -> [CInt] { open.compactMap { $0.socket(of: slot) } }

    /// For those who ask from other threads.
    var views: [ListenerView] { open.map { ListenerView($0) } }

    // MARK: Binding

    /// What is to be opened.
    struct Plan {
        var bound: [Listener.Resolved]
        var adopted: [Prefork.SocketSource.Socket]
        /// The number of slots.
        var slots: Int
        var isSharded: Bool
    }

    /// Binds all addresses. One that is in use is tried again: orphans of a killed master hold it while they drain.
    /// - Parameter isStopRequested: waits for that long, or for a stop, and says which.
    /// - Returns: false where a stop came first.
    mutating func bind(
        _ plan: Plan,
        _ configuration: Prefork.Configuration,
        observe: (Prefork.Event) -> Void,
        isStopRequested: (Duration) -> Bool
    ) throws(PreforkError) -> Bool {
        var options = Listener.Options(configuration)
        options.lowest = ChildSpawner.firstDescriptor + CInt(plan.bound.count + plan.adopted.count) + 1
        options.shards = plan.isSharded ? plan.slots : nil
        // What another has bound may be wrong; nothing of ours is open yet then.
        for socket in plan.adopted { try adopt(socket, options.lowest) }
        let adopted = open
        open = []
        let retry = configuration.sockets.bindRetry
        let attempts = retry.attempts(covering: configuration.shutdown.gracePeriod)
        for target in plan.bound {
            var attempt = 0
            while let error = add(target, options) {
                guard error.isAddressInUse, attempt < attempts else { throw .cannotListen(target.address, error) }
                attempt += 1
                observe(.bindRetry(target.address, attempt: attempt, of: attempts, after: retry.interval))
                if isStopRequested(retry.interval) { return false }
            }
        }
        open += adopted
        addresses = open.map(\.address)
        alarm = configuration.sockets.queueAlarm.map { QueueMonitor($0) }
        observe(.listening(addresses))
        return true
    }

    private mutating func add(_ target: Listener.Resolved, _ options: Listener.Options) -> SystemError? {
        do throws(SystemError) {
            open.append(try Listener.open(target, options))
            return nil
        } catch {
            return error
        }
    }

    private mutating func adopt(_ socket: Prefork.SocketSource.Socket, _ lowest: CInt) throws(PreforkError) {
        if let fault = Listener.fault(of: socket.descriptor) {
            throw .cannotAdopt(socket.descriptor, reason: fault)
        }
        do throws(SystemError) {
            open.append(try AdoptedSocket.listener(socket.descriptor, name: socket.name, lowest: lowest))
        } catch {
            throw .cannotAdopt(socket.descriptor, reason: "\(error)")
        }
    }

    // MARK: While the fleet runs

    /// New connections to these slots only, where listeners are sharded.
    /// - Returns: where the kernel refuses, once for each address.
    func steer(to rotation: [Int]) -> [Prefork.Event] {
        open.compactMap { listener in
            listener.steer(to: rotation).map { .steeringRefused(listener.address, $0) }
        }
    }

    /// A child in that slot is ready: whatever it has done to its listeners' backlog is done.
    func restoreBacklog(of slot: Int) {
        for listener in open { listener.restoreBacklog(of: slot) }
    }

    /// When the queues are to be looked at; nil: never.
    var nextQueueCheck: Instant? { closing == nil ? alarm?.next : nil }

    /// - Returns: the queues that have passed the share since they were looked at last.
    mutating func checkQueues(at now: Instant) -> [Prefork.Event] {
        guard closing == nil, let next = alarm?.next, next <= now else { return [] }
        let views = views
        return alarm?.check(views, at: now) ?? []
    }

    // MARK: The stop

    /// Lets nobody in any more, where that can be had.
    /// - Returns: where it cannot.
    mutating func beginClosing(_ rotation: [Int], at now: Instant) {
        for listener in open { listener.beginClosingAdmission(rotation, at: now) }
        closing = Closing(rotation: rotation, next: now, handshakesUntil: now + Closing.handshakePatience)
    }

    /// When the closing is to be looked at; nil where there is none.
    var nextClosingStep: Instant? { closing?.next }

    /// - Parameter ready: the slots whose children still accept.
    /// - Returns: whether nobody comes in any more and nothing is queued that they could accept.
    mutating func isClosed(ready: [Int], at now: Instant) -> Bool {
        guard var closing, closing.next <= now else { return false }
        defer { self.closing = closing }
        if ready != closing.rotation, !ready.isEmpty {
            closing.rotation = ready
            for listener in open { listener.narrowAdmission(to: ready) }
        }
        // All of them are asked: each is closed as soon as it can be.
        let pending = open.filter { !$0.isAdmissionClosed(closing.rotation, at: now) }
        let closed = open.filter { $0.decoy?.isActive == true }
        // Where it cannot be had the queue is never empty for sure: nothing to wait for.
        if pending.isEmpty, closed.isEmpty { return true }
        // In this order: a handshake that is over by the time of the first question is in a queue at the second.
        let hasPendingHandshakes =
            now < closing.handshakesUntil && closed.contains { $0.decoy?.hasPendingHandshakes == true }
        let isQuiet =
            pending.isEmpty && !hasPendingHandshakes && !System.isAnyReadable(closed.flatMap { $0.sockets(of: ready) })
        if isQuiet, closing.wasQuiet { return true }
        closing.wasQuiet = isQuiet
        closing.next = now + (pending.isEmpty ? Closing.pause : Closing.shortPause)
        return false
    }

    /// The children have been told to leave, whether or not all queues were empty.
    /// - Returns: where new connections go on coming in until the last copy of the listener is closed.
    mutating func closeAfterExitRequests() -> [Prefork.Event] {
        let rotation = closing?.rotation ?? []
        closing = nil
        alarm = nil
        return open.compactMap { listener in
            if !rotation.isEmpty { listener.giveUpAdmission("its queue could not be filled in time", rotation) }
            listener.closeAfterExitRequests()
            return listener.admissionFault.map { .admissionStaysOpen(listener.address, reason: $0) }
        }
    }

    /// Closes our copies and the decoys, when no child is left. More than once is harmless.
    func close() {
        // The last first: a socket that was adopted twice has what the first found.
        for listener in open.reversed() { listener.close() }
    }

    /// How far a stop has come.
    private struct Closing {
        static let pause: Duration = .milliseconds(5)
        static let shortPause: Duration = .milliseconds(1)
        /// More than a round trip over the longest of networks. Whoever does not end a handshake must not hold up the stop.
        static let handshakePatience: Duration = .milliseconds(500)
        var rotation: [Int]
        var next: Instant
        let handshakesUntil: Instant
        var wasQuiet = false
    }
}

extension Listener.Options {
    init(_ configuration: Prefork.Configuration) {
        self.init(backlog: CInt(clamping: configuration.sockets.backlog), lowest: 0)
        closesAdmission = configuration.shutdown.queueDrainPeriod > .zero
        // Rounded up: the kernel counts seconds, and 0 is off.
        deferAccept = configuration.sockets.deferAccept.map {
            CInt(clamping: ($0.clampedNanoseconds - 1) / 1_000_000_000 + 1)
        }
        fastOpen = configuration.sockets.fastOpen.map { CInt(clamping: $0) }
    }
}

extension Prefork.Configuration.Sockets.BindRetry {
    /// The tries that it takes to wait for orphans that drain for `grace`.
    fileprivate func attempts(covering grace: Duration) -> Int {
        if let attempts { return attempts }
        let enough = (grace + .seconds(1)).clampedNanoseconds / max(1, interval.clampedNanoseconds)
        return Int(max(5, enough))
    }
}
