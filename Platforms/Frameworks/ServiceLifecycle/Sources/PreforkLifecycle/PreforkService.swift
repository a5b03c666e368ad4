import Prefork
import ServiceLifecycle

/// A fleet as a service of a `ServiceGroup`: the group's graceful shutdown is the fleet's orderly stop.
///
/// The group handles the signals of the master, so the fleet does not. The program's children run the same `main`, and
/// with it the same group around this service; there it calls `serve`.
public struct PreforkService: Service {
    /// The fleet, for its `status`.
    public let fleet: Prefork
    private let serve: @Sendable (Prefork.Child) async throws -> Void

    /// A fleet as `Prefork` makes it, but that `signals.master` becomes `.unhandled`.
    public init(
        _ addresses: Prefork.Address...,
        adopting: Prefork.SocketSource = .none,
        configuration: Prefork.Configuration = Prefork.Configuration(),
        serve: @escaping @Sendable (Prefork.Child) async throws -> Void
    ) {
        self.init(addresses, adopting: adopting, configuration: configuration, serve: serve)
    }

    /// The same with a list of addresses.
    public init(
        _ addresses: [Prefork.Address],
        adopting: Prefork.SocketSource = .none,
        configuration: Prefork.Configuration = Prefork.Configuration(),
        serve: @escaping @Sendable (Prefork.Child) async throws -> Void
    ) {
        var configuration = configuration
        configuration.signals.master = .unhandled
        fleet = Prefork(addresses, adopting: adopting, configuration: configuration)
        self.serve = serve
    }

    /// In the master, until the last child is gone; in a child, `serve`.
    public func run() async throws {
        try await withGracefulShutdownHandler {
            try await fleet.run(serve: serve)
        } onGracefulShutdown: {
            fleet.stop()
        }
    }

    /// How this service stands in a group: when the fleet has ended, in order or not, the other services are shut down
    /// gracefully, and the group returns or throws the fleet's error. A group's default would cancel them.
    public var configuration: ServiceGroupConfiguration.ServiceConfiguration {
        .init(
            service: self,
            successTerminationBehavior: .gracefullyShutdownGroup,
            failureTerminationBehavior: .gracefullyShutdownGroup)
    }
}

extension Prefork.Child {
    /// Runs a group of a child's own services. When the child is to leave, because the fleet stops or the master has
    /// died, the group is shut down gracefully.
    public func run(_ group: ServiceGroup) async throws {
        onStop {
            // Before the group runs it is remembered.
            Task { await group.triggerGracefulShutdown() }
        }
        try await group.run()
    }
}
