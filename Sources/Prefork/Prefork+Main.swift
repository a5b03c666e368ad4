extension Prefork {
    /// Runs a fleet and never returns: an error is one line on standard error, not a trap with a backtrace.
    ///
    /// Exit statuses: 0 after an orderly stop; ``PreforkError/exitStatus``; 70 for an error that a hook threw; 1 in a child
    /// whose `serve` threw.
    @_disfavoredOverload
    public static func main(
        _ addresses: Address...,
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration(),
        serve: (Child) throws -> Void
    ) -> Never {
        main(addresses, adopting: adopting, configuration: configuration, serve: serve)
    }

    /// The same for an array of addresses.
    @_disfavoredOverload
    public static func main(
        _ addresses: [Address],
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration(),
        serve: (Child) throws -> Void
    ) -> Never {
        let fleet = Prefork(addresses, adopting: adopting, configuration: configuration)
        finish(Result { try fleet.run(isLast: true, beforeReturn: { finish($0) }, serve: serve) })
    }

    /// The same as the blocking form, for an async `serve`. To be called at the top of an async `main`.
    public static func main(
        _ addresses: Address...,
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration(),
        serve: @escaping @Sendable (Child) async throws -> Void
    ) async -> Never {
        await main(addresses, adopting: adopting, configuration: configuration, serve: serve)
    }

    /// The same for an array of addresses.
    public static func main(
        _ addresses: [Address],
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration(),
        serve: @escaping @Sendable (Child) async throws -> Void
    ) async -> Never {
        do {
            try await Prefork(addresses, adopting: adopting, configuration: configuration).run(
                isLast: true, beforeReturn: { finish($0) }, serve: serve)
            finish(.success(()))
        } catch {
            finish(.failure(error))
        }
    }

    /// Called while signals are still handled: a second SIGTERM, to the group or from an impatient supervisor, must not turn
    /// an orderly stop into a death by signal at the last moment.
    static func finish(_ result: Result<Void, any Error>) -> Never {
        guard case .failure(let error) = result else { System.exit(0) }
        EventLog.write("error: \(error)")
        // The status says "do not try again" only where the error is ours: a PreforkError that `serve` passes on is one too.
        if let error = error as? PreforkError { System.exit(error.exitStatus) }
        if case .child = role { System.exit(1) }
        System.exit(70)
    }
}
