import ExampleSupport  // the command line, and the requests of one connection
import Foundation
import Logging
import Metrics
import Prefork
import PreforkLogging
import PreforkMetrics

struct Options: ParsableCommand {
    static var configuration: CommandConfiguration { ExampleOptions.configuration }

    @OptionGroup var common: ExampleOptions

    @Option(help: "Serve the metrics of slot N on this port + N, and those of the master on the port before it.")
    var metrics: UInt16?

    func validate() throws {
        // The ports of the slots that a fleet may have after a resize.
        guard metrics.map({ (2...60_000).contains($0) }) ?? true else {
            throw ValidationError("--metrics is not in 2...60000")
        }
    }
}

@main struct ObservabilityServer {
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        let options = Options.parseOrExit()
        let address = options.common.onlyAddress
        if options.common.isSingle {
            let single = SingleServer(address)
            return serve(single.listener, until: single.stopDescriptor)
        }
        let registry = PrometheusRegistry()
        MetricsSystem.bootstrap(registry)
        options.common.delayChild()
        do {
            if case .master = Prefork.role {
                try runMaster(address, options, registry)
            } else {
                try Prefork(address, configuration: options.common.configuration).run { child in
                    try runChild(child, options, registry)
                }
            }
        } catch {
            leave((error as? PreforkError)?.exitStatus ?? 1, "\(error)")
        }
    }

    /// The events and the state of the fleet, in the log and on a port of the master.
    private static func runMaster(
        _ address: Prefork.Address, _ options: Options, _ registry: PrometheusRegistry
    ) throws {
        LoggingSystem.bootstrap(StreamLogHandler.standardError)
        let log = LogObserver(Logger(label: "server"))
        let metrics = MetricsObserver()
        var configuration = options.common.configuration
        configuration.observe = { event in
            Prefork.logToStandardError(event)  // As without an observer. Leave it out if the logger is enough.
            log.observe(event)
            metrics.observe(event)
        }
        let fleet = Prefork(address, configuration: configuration)
        if let port = options.metrics {
            _ = try MetricsEndpoint(port: port - 1) { path in
                switch path {
                case "/metrics":
                    metrics.record(fleet.status)
                    return .prometheus(registry.text)
                case "/targets": return targets(fleet.status.slots.count, from: port)
                default: return nil
                }
            }
        }
        try fleet.run { (_: Prefork.Child) in }
    }

    /// The metrics of one child, on the port of its slot.
    private static func runChild(_ child: Prefork.Child, _ options: Options, _ registry: PrometheusRegistry) throws {
        let requests = Counter(label: "http.requests")
        Meter(label: "server.generation").set(child.generation)
        Meter(label: "server.launch").set(child.launch)
        if let port = options.metrics {
            let endpoint = try MetricsEndpoint(port: port + UInt16(child.slot)) { path in
                path == "/metrics" ? .prometheus(registry.text) : nil
            }
            // In a restart the successor gets the port when this child begins to drain.
            child.onStop { endpoint.close() }
        }
        serve(try child.takeListener(), until: child.stopDescriptor) { requests.increment() }
    }

    /// What Prometheus' `http_sd_configs` reads: a target for each slot that the fleet has at this moment.
    private static func targets(_ slots: Int, from port: UInt16) -> MetricsEndpoint.Answer {
        let targets = (0..<slots).map { slot in
            "{\"targets\": [\"127.0.0.1:\(port + UInt16(slot))\"], \"labels\": {\"slot\": \"\(slot)\"}}"
        }
        return .init(contentType: "application/json", body: "[\(targets.joined(separator: ", "))]\n")
    }
}
