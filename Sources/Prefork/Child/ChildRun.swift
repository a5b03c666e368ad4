/// A child from the start of its watch to the return of `serve`.
struct ChildRun: ~Copyable {
    let child: Prefork.Child
    private let watch: ChildMonitor.Running

    private init(_ child: Prefork.Child, _ watch: consuming ChildMonitor.Running) {
        self.child = child
        self.watch = watch
    }

    /// Starts the monitor, and reports readiness if that is implied.
    /// - Parameters:
    ///   - isLast: whether the call does not return in a master (`main`), so that no run follows it.
    ///   - usesPool: whether the program runs in Swift's cooperative pool, so that a beat must pass through it.
    /// - Returns: `nil` if this run has already returned in the master.
    static func begin(
        _ handshake: Handshake, _ configuration: Prefork.Configuration, isLast: Bool, usesPool: Bool = false
    ) throws(PreforkError) -> ChildRun? {
        if !isLast, case .over(let error) = try EarlierRuns.next(handshake.earlierRuns) {
            if let error { throw error }
            return nil
        }
        let child = try wrappingSystemErrors { () throws(SystemError) in
            try Prefork.Child(
                handshake, tlsIdentity: configuration.tlsIdentity, heartbeat: configuration.health.heartbeatTimeout)
        }
        do throws(PreforkError) {
            let watch = try ChildMonitor.begin(child, configuration)
            do throws(SystemError) {
                try child.beginHeartbeat(usesPool: usesPool)
            } catch {
                watch.end()
                throw .system(error)
            }
            if configuration.readiness.mode == .implicit { child.ready() }
            return ChildRun(child, watch)
        } catch {
            child.end()
            throw error
        }
    }

    /// Waits until all callbacks of `onStop` have returned. The monitor keeps running, and ends the process if that
    /// takes too long.
    func waitForCallbacks() {
        // Without two free descriptors there is no way to wait, and no reason to stay.
        guard let ends = try? Channel.makePair().split() else { return }
        let gate = Descriptor(ends.first)
        let wake = Descriptor(ends.second)
        let number = wake.raw
        child.whenCallbacksHaveEnded { Channel.send(0, to: number) }
        var watched = PollSet(wake: gate.raw)
        repeat { watched.wait(until: nil) } while watched.ready.isEmpty
        gate.close()
        wake.close()
    }

    /// Waits for the same without holding a thread of the pool.
    func waitForCallbacks() async {
        let child = child
        await withCheckedContinuation { continuation in
            child.whenCallbacksHaveEnded { continuation.resume() }
        }
    }

    /// Ends the monitor before the child, because the monitor uses descriptors that the child closes.
    consuming func end() {
        let child = child
        watch.end()
        child.end()
    }
}
