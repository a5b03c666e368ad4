/// The listeners of a fleet. The master binds them before it starts the first child, and keeps them open until the
/// stop.
struct ListenerSet {
    private var open: [Listener] = []
    private var closing: Closing?
    private var releasing: Releasing?
    private var alarm: QueueMonitor?
    /// The addresses to bind, in the given order, then the adopted ones. They have the ports that the kernel has
    /// chosen.
    private(set) var addresses: [Prefork.Address] = []
    /// The positions of the addresses whose ports the kernel has chosen.
    var withChosenPorts: [Int] { open.indices.filter { open[$0].configured?.port == 0 } }

    init() {}

    /// Listeners that exist already.
    init(_ listeners: [Listener], _ configuration: Prefork.Configuration) {
        open = listeners
        addresses = listeners.map(\.address)
        alarm = configuration.sockets.queueAlarm.map { QueueMonitor($0) }
    }

    /// The sockets for a child in this slot, in the order of `addresses`. Empty after `close`.
    func descriptors(of slot: Int) -> [CInt] { open.compactMap { $0.socket(of: slot) } }

    /// All listeners, by their positions.
    var all: [Listener] { open }

    mutating func append(_ listener: Listener) {
        open.append(listener)
        addresses = open.map(\.address)
    }

    /// Closes a listener that no child has. The positions of those behind it change.
    mutating func remove(at index: Int) {
        open.remove(at: index).close()
        addresses = open.map(\.address)
    }

    /// The listeners as other threads see them.
    var views: [ListenerView] { open.map { ListenerView($0) } }

    // MARK: Binding

    /// The sockets to open.
    struct Plan {
        var bound: [Listener.Resolved]
        var adopted: [Prefork.SocketSource.Socket]
        /// The number of slots.
        var slots: Int
        var isSharded: Bool
    }

    /// Binds all addresses. An address that is in use, or not there yet, is tried again. Abandoned children of a killed
    /// master hold an address while they drain.
    /// - Parameter isStopRequested: waits for this duration or until a stop is requested, and returns whether it was.
    /// - Returns: `false` if a stop was requested first.
    mutating func bind(
        _ plan: Plan,
        _ configuration: Prefork.Configuration,
        observe: (Prefork.Event) -> Void,
        isStopRequested: (Duration) -> Bool
    ) throws(PreforkError) -> Bool {
        var options = Listener.Options(configuration)
        let inherited = configuration.takeover == nil ? plan.bound.count + plan.adopted.count : 0
        options.lowest = Handshake.descriptors(listenerCount: inherited).upperBound
        options.shards = plan.isSharded ? plan.slots : nil
        // Adopted before anything is opened, because an adopted socket may be unusable.
        for socket in plan.adopted { try adopt(socket, options.lowest) }
        let adopted = open
        open = []
        let retry = configuration.sockets.bindRetry
        let attempts = retry.attempts(covering: configuration.shutdown.gracePeriod)
        for planned in plan.bound {
            var target = planned
            var attempt = 0
            while let error = add(target, options) {
                guard error.isAddressInUse || error.isAddressNotThereYet else {
                    throw .cannotListen(target.address, error)
                }
                // Waiting would not help, because another address of this fleet excludes this one.
                if error.isAddressInUse, let other = (open + adopted).first(where: { $0.excludes(target) }) {
                    throw .invalidAddress(
                        target.address.description,
                        reason: "the same fleet listens on \(other.address), which excludes it")
                }
                guard attempt < attempts else { throw .cannotListen(target.address, error) }
                attempt += 1
                observe(.bindRetry(target.address, error, attempt: attempt, of: attempts, after: retry.interval))
                if isStopRequested(retry.interval) { return false }
                if target.delay != nil { target = try Self.resolve(target.address) }
            }
        }
        open += adopted
        addresses = open.map(\.address)
        alarm = configuration.sockets.queueAlarm.map { QueueMonitor($0) }
        if !open.isEmpty { observe(.listening(addresses)) }
        return true
    }

    static func resolve(_ address: Prefork.Address) throws(PreforkError) -> Listener.Resolved {
        do throws(SystemError) {
            return try Listener.resolve(address)
        } catch {
            throw .cannotListen(address, error)
        }
    }

    private mutating func add(_ target: Listener.Resolved, _ options: Listener.Options) -> SystemError? {
        do throws(SystemError) {
            let listener = try Listener.open(target, options)
            listener.configured = target.address
            open.append(listener)
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
            if error.mayPass { throw .system(error) }
            throw .cannotAdopt(socket.descriptor, reason: "\(error)")
        }
    }

    // MARK: Resizing

    /// The sockets that only this slot has. `nil` if it has none.
    func ownSockets(of slot: Int) -> [CInt]? {
        let own = open.filter { $0.mode == .sharded }.compactMap { $0.socket(of: slot) }
        return own.isEmpty ? nil : own
    }

    /// The addresses of sharded listeners on which handshakes may be in progress.
    var handshakeAddresses: [SocketAddress] { open.filter { $0.mode == .sharded }.compactMap(\.bound) }

    /// A listener whose slots cannot be taken out of rotation, because the kernel refuses to steer.
    var unsteered: Prefork.Address? { open.first(where: \.isSteeringRefused)?.address }

    /// How many sockets `grow` would open.
    func missingSockets(upTo slots: Int) -> Int { open.reduce(0) { $0 + $1.missingSockets(upTo: slots) } }

    /// Opens sockets for more slots. If one of them cannot be bound, none of them listens.
    mutating func grow(to slots: Int, _ configuration: Prefork.Configuration) throws(SystemError) {
        var made: [(Listener, [OpenSocket])] = []
        for listener in open {
            made.append((listener, try listener.bindMore(upTo: slots, Listener.Options(configuration))))
        }
        for (listener, sockets) in made { try listener.append(sockets, Listener.Options(configuration)) }
    }

    // MARK: While the fleet runs

    /// Steers new connections of sharded listeners to these slots only.
    /// - Returns: the kernel's refusals, once for each address.
    func steer(to rotation: SlotSet) -> [Prefork.Event] {
        open.compactMap { listener in
            listener.steer(to: rotation).map { .steeringRefused(listener.address, $0) }
        }
    }

    /// Call this when the child in this slot is ready: it may have changed its listeners' backlog before.
    func restoreBacklog(of slot: Int) {
        for listener in open { listener.restoreBacklog(of: slot) }
    }

    /// Makes listeners that a child has stopped with shutdown(2) listen again.
    /// - Parameters:
    ///   - slot: checks this slot's sockets only. `nil` checks all sockets.
    ///   - isStarting: a child is about to start.
    ///   - suspect: the child that has probably stopped a listener that all share.
    ///   - owner: the current or last child of a slot.
    /// - Returns: the events to report. If there are any, connections must be steered again.
    func repair(
        slot: Int? = nil, isStarting: Bool, suspect: Prefork.Event.StoppingChild?, owner: (Int) -> Int32?
    ) -> [Prefork.Event] {
        open.flatMap { listener in
            listener.repair(slot: slot, isStarting: isStarting).map { stopped in
                if stopped.hasLostFile { return .socketFileRemoved(listener.address, stopped.outcome) }
                let child = stopped.slot.flatMap { slot in
                    owner(slot).map { Prefork.Event.StoppingChild(slot: slot, pid: $0, isCertain: true) }
                }
                return .listenerStopped(listener.address, by: child ?? suspect, stopped.outcome)
            }
        }
    }

    /// Why a child in this slot would get a listener that does not listen. `nil` if it would not.
    func fault(of slot: Int) -> SystemError? {
        open.lazy.compactMap { $0.faults[$0.index(of: slot)] }.first
    }

    /// When to check the queues. `nil` for never.
    var nextQueueCheck: Instant? { closing == nil ? alarm?.next : nil }

    /// - Returns: the queues that have passed their share since the last check.
    mutating func checkQueues(at now: Instant) -> [Prefork.Event] {
        guard closing == nil, let next = alarm?.next, next <= now else { return [] }
        let views = views
        return alarm?.check(views, at: now) ?? []
    }

    // MARK: The stop

    /// Begins to keep new connections out.
    mutating func beginClosing(_ rotation: SlotSet, at now: Instant) {
        for listener in open { listener.beginClosingAdmission(rotation, at: now) }
        closing = Closing(rotation: rotation, next: now, handshakesUntil: now + Closing.handshakePatience)
    }

    /// When to check `isClosed`, or to call `release`. `nil` if there is nothing to do.
    var nextClosingStep: Instant? { closing?.next ?? releasing?.next }

    /// Checks the progress of the stop.
    /// - Parameter ready: the slots whose children still accept.
    /// - Returns: whether new connections are kept out and no connection is queued that these children could accept.
    mutating func isClosed(ready: SlotSet, at now: Instant) -> Bool {
        guard var closing, closing.next <= now else { return false }
        defer { self.closing = closing }
        if ready != closing.rotation, !ready.isEmpty {
            closing.rotation = ready
            for listener in open { listener.narrowAdmission(to: ready) }
        }
        // Every listener is checked, so that each is closed as soon as possible.
        let pending = open.filter { !$0.isAdmissionClosed(closing.rotation, at: now) }
        let closed = open.filter { $0.decoy?.isActive == true }
        // If no listener can keep connections out, the queues may never be empty. Waiting would not help.
        if pending.isEmpty, closed.isEmpty { return true }
        // Handshakes are checked before queues. A handshake that has ended by the first check is in a queue at the
        // second.
        let hasPendingHandshakes =
            now < closing.handshakesUntil && HalfOpen.exists(at: closed.compactMap { $0.decoy?.handshakeAddress })
        let isQuiet =
            pending.isEmpty && !hasPendingHandshakes && !System.isAnyReadable(closed.flatMap { $0.sockets(of: ready) })
        if isQuiet, closing.wasQuiet { return true }
        closing.wasQuiet = isQuiet
        closing.next = now + (pending.isEmpty ? Closing.pause : Closing.shortPause)
        return false
    }

    /// Call this when the children were asked to exit, whether or not all queues were empty.
    /// - Returns: the listeners that still queue new connections until their last copy is closed.
    mutating func closeAfterExitRequests(at now: Instant) -> [Prefork.Event] {
        let rotation = closing?.rotation ?? []
        closing = nil
        alarm = nil
        if !rotation.isEmpty {
            for listener in open { listener.giveUpAdmission("its queue could not be filled in time", rotation) }
        }
        // Read before anything is closed, because the list is only trusted if our own sockets are in it.
        let listening = listeningSockets() ?? []
        for listener in open { listener.closeAfterExitRequests(listening) }
        releasing = listening.isEmpty ? nil : Releasing(next: now + Releasing.shortPause)
        return open.compactMap { listener in
            listener.admissionFault.map { .admissionStaysOpen(listener.address, reason: $0) }
        }
    }

    /// Frees the addresses of which no child has a listener any more. Call it between `closeAfterExitRequests` and
    /// `close`.
    mutating func release(at now: Instant) {
        guard var releasing, releasing.next <= now else { return }
        self.releasing = nil
        guard let listening = listeningSockets() else { return }
        if open.filter({ $0.release(listening) }).isEmpty { return }
        releasing.pause = min(releasing.pause * 2, Releasing.longPause)
        releasing.next = now + releasing.pause
        self.releasing = releasing
    }

    /// The inodes of all listening sockets. `nil` if the system does not say, or if no address waits for the answer.
    private func listeningSockets() -> Set<UInt64>? {
        let families = Set(open.compactMap(\.releasedFamily))
        return families.isEmpty ? nil : try? ListeningSockets.inodes(families)
    }

    /// Closes our copies and the decoys, when no child is left. Further calls do nothing.
    func close() {
        // In reverse order: a socket that was adopted twice gets back the state that the first adoption has found.
        for listener in open.reversed() { listener.close() }
    }

    /// How often the last part of a stop looks whether children still have listeners.
    private struct Releasing {
        static let shortPause: Duration = .milliseconds(5)
        static let longPause: Duration = .milliseconds(50)
        var next: Instant
        var pause = Self.shortPause
    }

    /// The progress of a stop.
    private struct Closing {
        static let pause: Duration = .milliseconds(5)
        static let shortPause: Duration = .milliseconds(1)
        /// More than a round trip over any network. A client that never ends its handshake must not delay the stop.
        static let handshakePatience: Duration = .milliseconds(500)
        var rotation: SlotSet
        var next: Instant
        let handshakesUntil: Instant
        var wasQuiet = false
    }
}

extension Listener.Options {
    init(_ configuration: Prefork.Configuration) {
        self.init(backlog: CInt(clamping: configuration.sockets.backlog), lowest: 0)
        closesAdmission = configuration.shutdown.queueDrainPeriod > .zero
        keepsFiles = configuration.takeover != nil
        // Rounded up: the kernel counts seconds, and 0 means off.
        deferAccept = configuration.sockets.deferAccept.map {
            CInt(clamping: ($0.clampedNanoseconds - 1) / 1_000_000_000 + 1)
        }
        fastOpen = configuration.sockets.fastOpen.map { CInt(clamping: $0) }
    }
}

extension Prefork.Configuration.Sockets.BindRetry {
    /// How many attempts it takes to outlast abandoned children that drain for `grace`.
    fileprivate func attempts(covering grace: Duration) -> Int {
        if let attempts { return attempts }
        let enough = (grace + .seconds(1)).clampedNanoseconds / max(1, interval.clampedNanoseconds)
        return Int(max(5, enough))
    }
}
