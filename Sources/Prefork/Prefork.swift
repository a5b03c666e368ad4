/// A fleet of processes that serve on the same listening sockets.
///
/// The process that the user starts becomes the *master*. It binds the addresses, starts *children* by executing its
/// own program again, and keeps them alive. In a child, the same call runs `serve`.
///
/// Most programs call `Prefork.main`. Make a fleet to run code after it has stopped, to stop it from another thread, or
/// to read its ``status``.
public final class Prefork: Sendable {
    /// The addresses that the fleet listens on.
    public let addresses: [Address]
    /// The source of sockets that the fleet adopts.
    public let adopting: SocketSource
    /// The settings of the fleet.
    public let configuration: Configuration
    let handle = FleetHandle()

    /// A fleet that is not started yet. Nothing is checked or opened before `run`.
    public init(
        _ addresses: [Address],
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration()
    ) {
        self.addresses = addresses
        self.adopting = adopting
        self.configuration = configuration
    }

    /// A fleet that is not started yet. Nothing is checked or opened before `run`.
    public convenience init(
        _ addresses: Address...,
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration()
    ) {
        self.init(addresses, adopting: adopting, configuration: configuration)
    }

    /// Runs the fleet in the master, and serves in a child.
    ///
    /// The master runs the fleet on this thread, and returns after an orderly stop when all children are reaped. A
    /// child calls `serve` and returns when it returns. Code after this call runs in both. ``role`` says which process
    /// it is.
    ///
    /// Afterwards, the master has none of Prefork's children, zombies, threads, descriptors or signal handlers left. It
    /// may call `run` again, also on another fleet.
    ///
    /// A SIGTERM or SIGINT that arrives while a run ends for another reason, an error or ``stop()``, is raised again
    /// once the handlers of Prefork are gone. Without a handler of its own, the program then ends by it.
    ///
    /// A child re-executes the program from the start. Earlier `run` calls return immediately there, so don't skip them
    /// based on ``role``. If such a call failed in the master, it throws ``PreforkError/Code/earlierRunFailed``. After
    /// its own `run` a child must exit. Another call throws ``PreforkError/Code/childHasServed``. `run` itself never
    /// calls exit(3).
    /// - Throws: A ``PreforkError`` if the fleet could not start or gave up, or the error of a hook. In a child, the
    ///   error of `serve`.
    @_disfavoredOverload  // In an async function a closure that awaits nothing fits both forms.
    public func run(serve: (Child) throws -> Void) throws {
        try run(isLast: false, beforeReturn: { _ in }, serve: serve)
    }

    /// Called at the end, while signals are still handled.
    typealias BeforeReturn = @Sendable (Result<Void, any Error>) -> Void

    func run(isLast: Bool, beforeReturn: BeforeReturn, serve: (Child) throws -> Void) throws {
        try handle.claim()
        defer { handle.release() }
        guard let handshake = try Self.handshake() else {
            let turn = try Succession.turn(isLast: isLast)
            if case .over = turn { return }
            try EarlierRuns.recording {
                try MasterStartup.run(self, turn, token: RunToken(), isLast: isLast, beforeReturn: beforeReturn)
            }
            return
        }
        guard let serving = try ChildRun.begin(handshake, configuration, isLast: isLast) else { return }
        let result = Result { try serve(serving.child) }
        serving.waitForCallbacks()
        beforeReturn(result)
        serving.end()
        try result.get()
    }

    /// Begins an orderly stop of the running master, as SIGTERM does, and returns at once.
    ///
    /// Further calls do nothing. Before `run`, it makes `run` return at once. After the end of `run`, and in a child,
    /// it does nothing. Call it from any thread, also from a hook.
    public func stop() { handle.stop() }

    /// Replaces all children by children of the program file as it is on disk now, as SIGHUP does, and returns at once.
    ///
    /// One slot after another gets a new child beside its old one. When the new child is up, the old one drains. If a
    /// new child fails before it is up, the fleet goes back to the build that served before. The events
    /// ``Event/Code/restarting``, ``Event/Code/restarted``, ``Event/Code/restartFailed`` and ``Event/Code/rolledBack``
    /// tell the outcome. During a restart it asks for one more, however often it is called. Before and after `run`, in
    /// a stop and in a child, it does nothing. Call it from any thread, also from a hook.
    public func restart() { handle.request(.restart) }

    /// Goes back to the build that served before, and returns at once.
    ///
    /// It ends a restart that is under way, or reverses the last one that succeeded. The master keeps the program file
    /// of that build open, so the file may have been replaced or removed. If there is no build before, the event
    /// ``Event/Code/restartFailed`` says so. Before and after `run`, in a stop and in a child, it does nothing. Call it
    /// from any thread, also from a hook.
    public func rollback() { handle.request(.rollback) }

    /// Replaces the children, and then this process's own program, by the program file as it is on disk now, as SIGUSR2
    /// does, and returns at once.
    ///
    /// It begins as ``restart()`` does. When every slot has a child of the new build that is up, this process executes
    /// that build (execve(2)) with its own arguments and environment, and `run` continues there. The process id, the
    /// children, the listeners and their queues, the control socket and the counters stay. The new build may have other
    /// addresses and another number of children. Everything of this process that is not Prefork's ends, without
    /// atexit(3): its threads, its memory, and the descriptors that it has opened. See <doc:Upgrading>.
    ///
    /// The new program reports ``Event/Code/upgraded``. If the restart fails, ``Event/Code/restartFailed`` says why. If
    /// the new program cannot take over, the old one goes on with the new children and reports
    /// ``Event/Code/upgradeFailed``. On a system other than Linux, nothing is restarted, and
    /// ``Event/Code/restartFailed`` says so.
    ///
    /// During a restart it asks for one more. Before and after `run`, in a stop and in a child, it does nothing. Call
    /// it from any thread, also from a hook.
    public func upgrade() { handle.request(.upgrade) }

    /// Changes the number of children, as SIGTTIN and SIGTTOU do by one, and returns at once.
    ///
    /// New slots get their listeners and children. Of the slots that go, those with the highest numbers first, the
    /// children accept what is queued, and drain. The event ``Event/Code/resized`` tells that the number has changed,
    /// or ``Event/Code/resizeFailed`` why it stays. Before and after `run`, in a stop and in a child, it does nothing.
    /// Call it from any thread, also from a hook.
    /// - Throws: ``PreforkError/Code/invalidConfiguration`` if the number is not in 1...4096.
    public func resize(to children: Int) throws(PreforkError) {
        guard (1...Configuration.mostChildren).contains(children) else {
            throw .invalidConfiguration("children", reason: "\(children) is not in 1...4096")
        }
        handle.request(.resize(to: children))
    }

    /// The current state of the fleet. It has no slots before and after `run`. Read it from any thread.
    public var status: Status { handle.status }
}
