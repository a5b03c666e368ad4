import ExampleSupport  // the command line
import Foundation
import Logging
import Prefork
import PreforkLifecycle
import ServiceLifecycle
import UnixSignals

@main struct LifecycleServer {
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        var options = ExampleOptions.fromCommandLine(extra: ["--child-signals"])
        // Who handles SIGTERM in a child: Prefork, which then shuts the child's group down, or that group by itself.
        let own = options.extra["--child-signals"] == "unhandled"
        if own { options.configuration.childSignals = .unhandled }
        let isMaster = if case .master = Prefork.role { true } else { false }
        // Ctrl-C reaches all processes; what it means is for the master to say.
        if own, !isMaster { signal(SIGINT, SIG_IGN) }
        let logger = Logger(label: "lifecycle-server")

        let fleet = PreforkService(options.address, configuration: options.configuration) { child in
            let server = AcceptLoop(listener: try child.takeListener())
            let signals: [UnixSignal] = own ? [.sigterm] : []
            try await child.run(ServiceGroup(services: [server], gracefulShutdownSignals: signals, logger: logger))
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [options.isSingle ? alone(options.address) : fleet.configuration],
                // A child has its own group above; this one is around it, too, because a child runs the same `main`.
                gracefulShutdownSignals: isMaster ? [.sigterm, .sigint] : [],
                logger: logger))
        do {
            try await group.run()
        } catch {
            ExampleOptions.leave((error as? PreforkError)?.exitStatus ?? 70, "\(error)")
        }
    }
    static func alone(_ address: Prefork.Address) -> ServiceGroupConfiguration.ServiceConfiguration {
        .init(service: AcceptLoop(listener: SingleServer(address).listener))
    }
}
