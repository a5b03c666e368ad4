extension Prefork {
    /// Runs a fleet and never returns.
    ///
    /// An error becomes one line on standard error, without a trap and a backtrace. The exit status is 0 after an
    /// orderly stop, ``PreforkError/exitStatus`` for a ``PreforkError``, and 70 for an error of a hook. In a child, it
    /// is 1 for any other error of `serve`.
    @_disfavoredOverload
    public static func main(
        _ addresses: Address...,
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration(),
        serve: (Child) throws -> Void
    ) -> Never {
        main(addresses, adopting: adopting, configuration: configuration, serve: serve)
    }

    /// Runs a fleet on an array of addresses and never returns.
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

    /// Runs a fleet with an async `serve` and never returns. Call it at the top of an async `main`.
    public static func main(
        _ addresses: Address...,
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration(),
        serve: @escaping @Sendable (Child) async throws -> Void
    ) async -> Never {
        await main(addresses, adopting: adopting, configuration: configuration, serve: serve)
    }

    /// Runs a fleet on an array of addresses, with an async `serve`, and never returns.
    public static func main(
        _ addresses: [Address],
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration(),
        serve: @escaping @Sendable (Child) async throws -> Void
    ) async -> Never {
        let fleet = Prefork(addresses, adopting: adopting, configuration: configuration)
        let result: Result<Void, any Error>
        do {
            result = .success(try await fleet.run(isLast: true, beforeReturn: { finish($0) }, serve: serve))
        } catch {
            result = .failure(error)
        }
        finish(result)
    }

    /// Called while signals are still handled. A second SIGTERM, to the group or from an impatient supervisor, must not
    /// turn an orderly stop into a death by signal at the last moment.
    static func finish(_ result: Result<Void, any Error>) -> Never {
        guard case .failure(let error) = result else { System.exit(0) }
        EventLog.write("error: \(error)")
        // Only our own errors have a status that says "do not try again". That includes a PreforkError that `serve`
        // passes on.
        if let error = error as? PreforkError { System.exit(error.exitStatus) }
        if case .child = role { System.exit(1) }
        System.exit(70)
    }
}
