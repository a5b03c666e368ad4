/// The listeners of a fleet: bound by the master before the first child, open until the stop.
struct Listeners {
    private var open: [Listener] = []
    /// In the order in which they were asked for; ports are resolved.
    private(set) var addresses: [Prefork.Address] = []

    /// As long as they are open.
    var descriptors: [CInt] { open.compactMap(\.raw) }

    /// Binds all addresses. One that is in use is tried again: orphans of a killed master hold it while they drain.
    /// - Parameter isStopRequested: waits for that long, or for a stop, and says which.
    /// - Returns: false where a stop came first.
    mutating func bind(
        _ wanted: [Listener.Resolved],
        _ configuration: Prefork.Configuration,
        observe: (Prefork.Event) -> Void,
        isStopRequested: (Duration) -> Bool
    ) throws(PreforkError) -> Bool {
        let lowest = ChildSpawner.firstDescriptor + CInt(wanted.count) + 1
        let retry = configuration.bindRetry
        let attempts = retry.attempts(covering: configuration.shutdownGracePeriod)
        for target in wanted {
            let address = target.address
            var attempt = 0
            while let error = add(target, configuration.backlog, lowest) {
                guard error.isAddressInUse, attempt < attempts else { throw .cannotListen(address, error) }
                attempt += 1
                observe(.bindRetry(address, attempt: attempt, of: attempts, after: retry.interval))
                if isStopRequested(retry.interval) { return false }
            }
        }
        addresses = open.map(\.address)
        observe(.listening(addresses))
        return true
    }

    private mutating func add(_ target: Listener.Resolved, _ backlog: Int, _ lowest: CInt) -> SystemError? {
        do throws(SystemError) {
            open.append(try Listener.open(target, backlog: backlog, atLeast: lowest))
            return nil
        } catch {
            return error
        }
    }

    /// Closes our copies; the children have theirs. More than once is harmless.
    func close() {
        for listener in open { listener.close() }
    }
}

extension Prefork.Configuration.BindRetry {
    /// The tries that it takes to wait for orphans that drain for `grace`.
    fileprivate func attempts(covering grace: Duration) -> Int {
        if let attempts { return attempts }
        let enough = (grace + .seconds(1)).clampedNanoseconds / max(1, interval.clampedNanoseconds)
        return Int(max(5, enough))
    }
}
