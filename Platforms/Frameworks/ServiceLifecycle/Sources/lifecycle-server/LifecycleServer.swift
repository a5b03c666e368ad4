import ExampleSupport  // the command line
import Foundation
import Logging
import Prefork
import PreforkLifecycle
import ServiceLifecycle
import UnixSignals

struct LifecycleOptions: ParsableCommand {
    static var configuration: CommandConfiguration { ExampleOptions.configuration }

    @OptionGroup var common: ExampleOptions

    @Flag(
        name: .customLong("group-handles-signals"),
        help: "In a child its service group handles SIGTERM by itself, not Prefork.")
    var groupHandlesSignals = false
}

@main struct LifecycleServer {
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        let options = LifecycleOptions.parseOrExit()
        let own = options.groupHandlesSignals
        var configuration = options.common.configuration
        if own { configuration.signals.children = .unhandled }
        let isMaster = if case .master = Prefork.role { true } else { false }
        // Ctrl-C reaches all processes; what it means is for the master to say.
        if own, !isMaster { signal(SIGINT, SIG_IGN) }
        let logger = Logger(label: "lifecycle-server")

        options.common.delayChild()
        let fleet = PreforkService(options.common.onlyAddress, configuration: configuration) { child in
            let server = AcceptLoop(listener: try child.takeListener())
            let signals: [UnixSignal] = own ? [.sigterm] : []
            try await child.run(ServiceGroup(services: [server], gracefulShutdownSignals: signals, logger: logger))
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [options.common.isSingle ? alone(options.common.onlyAddress) : fleet.configuration],
                // A child has its own group above; this one is around it, too, because a child runs the same `main`.
                gracefulShutdownSignals: isMaster ? [.sigterm, .sigint] : [],
                logger: logger))
        do {
            try await group.run()
        } catch {
            leave((error as? PreforkError)?.exitStatus ?? 70, "\(error)")
        }
    }
    static func alone(_ address: Prefork.Address) -> ServiceGroupConfiguration.ServiceConfiguration {
        .init(service: AcceptLoop(listener: SingleServer(address).listener))
    }
}
