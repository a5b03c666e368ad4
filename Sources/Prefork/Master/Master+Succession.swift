// How a program continues the fleet of the one before in the same process.

extension Master {
    /// Takes over, then supervises until no child is left.
    func run(
        succeeding succession: Succession, _ old: Predecessor, _ fleet: Prefork, _ signals: borrowing SignalHandling
    ) throws {
        // Everything that may fail comes first, because the old program can still go on.
        let isBack = succession.notice.fault != nil
        let wanted = try wantedListeners(old, fleet, isBack: isBack)
        let lowest = Handshake.descriptors(
            listenerCount: configuration.takeover == nil ? wanted.sources.count : 0
        ).upperBound
        var control: ControlServer?
        let taken: Relocation
        do {
            control = try newControlServer(old, isBack: isBack)
            taken = try Relocation(old.process.descriptors, atLeast: lowest)
        } catch {
            // Their files must not stay.
            wanted.bound.close()
            control?.end(at: System.now())
            throw error
        }
        readySince = System.now()
        succession.adopt()
        adopt(old, wanted, taken, lowest: lowest)
        defer {
            handle.publish(listeners: [])
            departing?.listeners.close()
            listeners.close()
        }
        handle.publish(listeners: listeners.views)
        continueControl(old, control, taken, isBack: isBack)
        needsSteering = true
        steer()
        for slot in supervisor.slots.indices {
            if case .accepting = supervisor.slots[slot].retirement { awaitEmptyQueue(of: slot) }
        }
        // Other code in the process may have taken their statuses. Their numbers must not be signalled.
        for child in old.children where !ExitWatch.isChild(child.pid) { reap(child.pid) }
        if let fault = succession.notice.fault {
            feed(.handoverFailed(reason: fault))
        } else {
            feed(.handedOver)
        }
        let pids = supervisor.slots.compactMap { $0.current?.pid }
        callHook { () throws in try configuration.hooks.onMasterReady?(pids) }
        if succession.notice.fault == nil { applyChanges(old) }
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

    /// - Parameter isBack: whether this is the old program, which goes on with what it had.
    private func wantedListeners(_ old: Predecessor, _ fleet: Prefork, isBack: Bool) throws -> WantedListeners {
        guard old.process.takeover == configuration.takeoverName else {
            throw PreforkError.invalidHandover(reason: "its children get their listeners in another way")
        }
        var wanted = WantedListeners()
        if isBack {
            wanted.sources = old.listeners.indices.map { .old($0) }
            wanted.configured = old.listeners.map { $0.configured.flatMap { try? Prefork.Address($0) } }
            return wanted
        }
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
    private func newControlServer(_ old: Predecessor, isBack: Bool) throws(PreforkError) -> ControlServer? {
        guard !isBack, let path = configuration.controlSocket, !isContinued(old.control, path) else { return nil }
        return try ControlServer(path: path, observe: observe)
    }

    private func isContinued(_ record: HandoverRecord?, _ path: String) -> Bool {
        guard let record, Predecessor.descriptor(record) != nil else { return false }
        return (try? record.optionalText("path")) == SocketFile.absolute(path)
    }

    // MARK: Taking

    private func adopt(_ old: Predecessor, _ wanted: WantedListeners, _ taken: Relocation, lowest: CInt) {
        let backlog = CInt(clamping: configuration.sockets.backlog)
        var made: [Int: Listener] = [:]
        for (position, listener) in old.listeners.enumerated() {
            let named = wanted.sources.firstIndex { if case .old(position) = $0 { true } else { false } }
                .flatMap { wanted.configured[$0] }
            made[position] = Listener(
                listener, named: named, lowest: lowest, backlog: listener.isAdopted ? nil : backlog
            ) { OpenSocket(Descriptor(taken.number($0))) }
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
        if !wanted.isSame {
            departing = DepartingListeners(ListenerSet(wanted.unwanted.compactMap { made[$0] }, configuration))
        }
        for child in old.children {
            // Only this process reaps its children, so the number of one that it has is still that child's.
            let exit = ExitWatch.isChild(child.pid) ? (try? mechanisms.exitNotice.watch(child.pid)) ?? nil : nil
            admit(
                ChildHandle(child, exit: exit, outOfMemory: launcher.outOfMemoryMark(), take: taken.number))
        }
        // Several generations may be of one program.
        var programs: [CInt: ProgramFile.Opened] = [:]
        for (generation, path, descriptor) in old.programs {
            let program =
                descriptor.map { programs[$0] ?? ProgramFile.Opened(Descriptor(taken.number($0))) }
                ?? ProgramFile.Opened(path: path)
            if let descriptor { programs[descriptor] = program }
            launcher.adopt(program, as: generation)
        }
        for number in old.unused { Descriptor(taken.number(number)).close() }
        (requested, shards, inherited) = (old.requested, old.process.shards, old.process.inherited)
        useCount = requested.values.map(\.lastUse).max() ?? 0
    }

    private func continueControl(_ old: Predecessor, _ new: ControlServer?, _ taken: Relocation, isBack: Bool) {
        let now = System.now()
        control = new
        if let record = old.control, let raw = Predecessor.descriptor(record), let file = try? SocketFile(record) {
            let socket = ControlSocket(Descriptor(taken.number(raw)), file)
            if isBack || configuration.controlSocket.map({ isContinued(record, $0) }) == true {
                control = ControlServer(path: file.path, continuing: socket, observe: observe)
            } else {
                socket.close()
            }
        }
        for record in old.clients {
            guard let raw = Predecessor.descriptor(record) else { continue }
            let connection = Descriptor(taken.number(raw))
            if let control {
                control.adopt(record, connection, at: now)
            } else if case .upgrade(let generation) = ControlWork.Kind(record) {
                // A new connection has room for one line.
                let answer = ControlAnswer.success([.init("generation", .integer(generation))])
                _ = try? Channel.sendPart(answer[...], to: connection.raw)
            }
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
        case .renew:
            departing = leaving
            feed(.renew)
        case .close:
            leaving.listeners.close()
            departing = nil
        }
    }
}
