/// A fleet of processes that serve on the same listening sockets.
///
/// The process that the user starts becomes the *master*: it binds the addresses, starts children by executing its own
/// program again, and keeps them alive. The same call in a *child* calls `serve`. `Prefork.main`
/// is what a program uses; this value is for those who embed a fleet.
public final class Prefork: Sendable {
    /// Where the fleet listens.
    public let addresses: [Address]
    /// On which sockets of somebody else's it serves, too.
    public let adopting: SocketSource
    /// How it is run.
    public let configuration: Configuration
    let handle = FleetHandle()

    /// A fleet, not started yet. Nothing is checked or opened before `run`.
    public init(
        _ addresses: [Address],
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration()
    ) {
        self.addresses = addresses
        self.adopting = adopting
        self.configuration = configuration
    }

    /// A fleet, not started yet. Nothing is checked or opened before `run`.
    public convenience init(
        _ addresses: Address...,
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration()
    ) {
        self.init(addresses, adopting: adopting, configuration: configuration)
    }

    /// In the master: runs the fleet in this thread and returns after an orderly stop, when the last child is reaped. In a
    /// child: calls `serve` and returns when it returns. Code after this call runs in both; ``role`` tells which it is.
    ///
    /// Whether it returns or throws, in the master nothing is left: no child, no zombie, no thread, no descriptor, no signal
    /// handler of Prefork's; it may be called again, also with another fleet. A child of a later run executes the same program
    /// from its beginning: there the calls before its own return where they have returned in the master, and throw
    /// ``PreforkError/earlierRunFailed`` where they have thrown, so they must not stand behind a look at ``role``. After its
    /// own run a child is to leave; a further call throws ``PreforkError/childHasServed``. It never calls exit(3).
    /// - Throws: ``PreforkError`` where nothing could be started or the fleet gave up; what a hook threw; in a child what
    ///   `serve` threw.
    @_disfavoredOverload  // In an async function a closure that awaits nothing fits both forms.
    public func run(serve: (Child) throws -> Void) throws {
        try run(isLast: false, beforeReturn: { _ in }, serve: serve)
    }

    /// What happens when all is done but signals are still handled.
    typealias BeforeReturn = @Sendable (Result<Void, any Error>) -> Void

    func run(isLast: Bool, beforeReturn: BeforeReturn, serve: (Child) throws -> Void) throws {
        try handle.claim()
        defer { handle.release() }
        guard let handshake = try Self.handshake() else {
            try EarlierRuns.recording {
                try Master.run(self, token: RunToken(), beforeReturn: beforeReturn)
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

    /// Begins an orderly stop of the running master, as SIGTERM does; more than once is harmless. Before `run` it makes that
    /// return at once; after its end, and in a child, it does nothing. From any thread, also from a hook; returns at once.
    public func stop() { handle.stop() }

    /// What the fleet looks like now; without slots before it runs and after its end. From any thread.
    public var status: Status { handle.status }
}
