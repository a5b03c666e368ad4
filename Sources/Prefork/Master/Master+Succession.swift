// How a program continues the fleet of the one before in the same process.

extension Master {
    /// Takes over, then supervises until no child is left.
    /// - Parameter adopting: the sockets that the program adopts, if the old one had adopted none.
    func run(
        succeeding succession: Succession, _ old: Predecessor, _ fleet: Prefork, _ signals: borrowing SignalHandling
    ) throws {
        // Everything that may fail comes first, because the old program can still go on.
        let wanted = try wantedListeners(old, fleet)
        let control = try newControlServer(old)
        do {
            try adopt(old, wanted)
        } catch {
            throw PreforkError.system(error)
        }
        succession.adopt()
        defer {
            handle.publish(listeners: [])
            departing?.listeners.close()
            listeners.close()
        }
        handle.publish(listeners: listeners.views)
        continueControl(old, control)
        needsSteering = true
        steer()
        for slot in supervisor.slots.indices {
            if case .accepting = supervisor.slots[slot].retirement { awaitEmptyQueue(of: slot) }
        }
        if let fault = succession.notice.fault {
            feed(.handoverFailed(reason: fault))
        } else {
            feed(.handedOver)
            let pids = supervisor.slots.compactMap { $0.current?.pid }
            callHook { () throws in try configuration.hooks.onMasterReady?(pids) }
            applyChanges(old)
        }
        superviseUntilEmpty(signals)
        try throwFailure()
    }

    // MARK: Before anything is taken

    /// What the new program listens on.
    struct WantedListeners {
        enum Source {
            /// The listener of the old program at this position.
            case old(Int)
            /// The listener in `bound` at this position.
            case new(Int)
        }

        var sources: [Source] = []
        /// The addresses as configured, by position. `nil` for adopted sockets and for those that children asked for.
        var configured: [Prefork.Address?] = []
        /// Listeners for addresses that the old program did not have.
        var bound = ListenerSet()
        /// The positions of listeners that the new program does not want.
        var unwanted: [Int] = []

        /// Whether the children have the listeners of the new program, in its order.
        var isSame: Bool {
            unwanted.isEmpty
                && sources.enumerated().allSatisfy { position, source in
                    if case .old(position) = source { true } else { false }
                }
        }
    }

    private func wantedListeners(_ old: Predecessor, _ fleet: Prefork) throws -> WantedListeners {
        guard old.process.takeover == configuration.takeoverName else {
            throw PreforkError.invalidHandover(reason: "its children get their listeners in another way")
        }
        var wanted = WantedListeners()
        var rest = Array(old.listeners.indices)
        var missing: [Prefork.Address] = []
        for address in fleet.addresses {
            wanted.configured.append(address)
            if let found = rest.first(where: { old.listeners[$0].configured == address.description }) {
                rest.removeAll { $0 == found }
                wanted.sources.append(.old(found))
            } else {
                wanted.sources.append(.new(missing.count))
                missing.append(address)
            }
        }
        var adopted = fleet.adopting.isNone ? [] : rest.filter { old.listeners[$0].isAdopted }
        if configuration.takeover == .requested { adopted = rest.filter { old.listeners[$0].configured == nil } }
        let isNew = !fleet.adopting.isNone && adopted.isEmpty
        let sockets = isNew ? try fleet.adopting.sockets() : []
        wanted.sources += adopted.map { .old($0) }
        wanted.sources += sockets.indices.map { .new(missing.count + $0) }
        wanted.configured += (adopted.indices.map { _ in nil }) + sockets.map { _ in nil }
        wanted.unwanted = rest.filter { !adopted.contains($0) }
        if !missing.isEmpty || !sockets.isEmpty { try bind(missing, sockets, into: &wanted.bound) }
        guard !wanted.sources.isEmpty || configuration.takeover == .requested else {
            throw PreforkError.invalidConfiguration("addresses", reason: "there is none to listen on")
        }
        return wanted
    }

    /// Without another try, because the old program serves while this one waits.
    private func bind(
        _ addresses: [Prefork.Address], _ sockets: [Prefork.SocketSource.Socket], into bound: inout ListenerSet
    ) throws {
        var once = configuration
        once.sockets.bindRetry.attempts = 0
        let count = supervisor.target
        let isSharded = try MasterStartup.isSharded(
            addresses.count { !$0.isUnix }, children: count, configuration, observe)
        let plan = ListenerSet.Plan(
            bound: try addresses.map(ListenerSet.resolve), adopted: sockets, slots: count, isSharded: isSharded)
        do {
            _ = try bound.bind(plan, once, observe: observe) { _ in false }
        } catch {
            bound.close()
            throw error
        }
    }

    /// `nil` if there is none, or the old one is continued.
    private func newControlServer(_ old: Predecessor) throws(PreforkError) -> ControlServer? {
        guard let path = configuration.controlSocket, !isContinued(old.control, path) else { return nil }
        return try ControlServer(path: path, observe: observe)
    }

    private func isContinued(_ record: HandoverRecord?, _ path: String) -> Bool {
        guard let record, Predecessor.descriptor(record) != nil else { return false }
        return (try? record.optionalText("path")) == SocketFile.absolute(path)
    }

    // MARK: Taking

    /// Only a shortage of descriptors can end it half way, if some have to get other numbers.
    private func adopt(_ old: Predecessor, _ wanted: WantedListeners) throws(SystemError) {
        let lowest = Handshake.descriptors(
            listenerCount: configuration.takeover == nil ? wanted.sources.count : 0
        ).upperBound
        let backlog = CInt(clamping: configuration.sockets.backlog)
        var made: [Int: Listener] = [:]
        for (position, listener) in old.listeners.enumerated() {
            let named = wanted.sources.firstIndex { if case .old(position) = $0 { true } else { false } }
                .flatMap { wanted.configured[$0] }
            made[position] = try Listener(
                listener, named: named, lowest: lowest, backlog: listener.isAdopted ? nil : backlog)
        }
        let new = wanted.bound.all
        listeners = ListenerSet(
            wanted.sources.compactMap { source in
                switch source {
                case .old(let position): made[position]
                case .new(let position): new[position]
                }
            }, configuration)
        for slot in 0..<supervisor.target { listeners.restoreBacklog(of: slot) }
        let unwanted = wanted.unwanted.compactMap { made[$0] }
        if !wanted.isSame {
            departing = DepartingListeners(ListenerSet(unwanted, configuration))
        }
        for child in old.children {
            // Only this process reaps its children, so the number is still this child's, whether it lives or not.
            let exit = (try? mechanisms.exitNotice.watch(child.pid)) ?? nil
            admit(
                try ChildHandle(child, lowest: lowest, exit: exit, outOfMemory: launcher.outOfMemoryMark()))
        }
        for (generation, path, descriptor) in old.programs {
            let program =
                try descriptor.map { number throws(SystemError) in
                    ProgramFile.Opened(try System.move(Descriptor(number), atLeast: lowest))
                } ?? ProgramFile.Opened(path: path)
            launcher.adopt(program, as: generation)
        }
        for number in old.unused { Descriptor(number).close() }
        (requested, shards, inherited) = (old.requested, old.process.shards, old.process.inherited)
        useCount = requested.values.map(\.lastUse).max() ?? 0
    }

    private func continueControl(_ old: Predecessor, _ new: ControlServer?) {
        let now = System.now()
        control = new
        if let record = old.control, let raw = Predecessor.descriptor(record), let file = try? SocketFile(record) {
            let socket = ControlSocket(Descriptor(raw), file)
            if let path = configuration.controlSocket, isContinued(record, path) {
                control = ControlServer(path: SocketFile.absolute(path), continuing: socket, observe: observe)
            } else {
                socket.close()
            }
        }
        for record in old.clients {
            guard let raw = Predecessor.descriptor(record) else { continue }
            let connection = Descriptor(raw)
            control?.adopt(record, connection, at: now)
        }
    }

    // MARK: What the new program configures differently

    private func applyChanges(_ old: Predecessor) {
        if configuredChildren != old.process.children { resize(to: configuredChildren) }
        departing?.begin(supervisor.acceptingSlots, at: System.now(), patience: configuration.shutdown.queueDrainPeriod)
    }

    /// Ends the listeners that the new program does not want.
    func endDeparting(at now: Instant) {
        guard var leaving = departing else { return }
        switch leaving.step(supervisor, at: now) {
        case .wait: departing = leaving
        case .restart:
            departing = leaving
            feed(.restart)
        case .close:
            leaving.listeners.close()
            departing = nil
        }
    }
}
