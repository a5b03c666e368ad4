import ExampleSupport  // the command line, and what is said on one connection
import Foundation
import Logging
import Metrics
import Prefork
import PreforkLogging
import PreforkMetrics

@main struct ObservabilityServer {
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        let options = ExampleOptions.parseOrExit()
        if options.isSingle {
            let single = SingleServer(options.onlyAddress)
            return serve(single.listener, until: single.stopDescriptor)
        }
        var configuration = options.configuration
        if case .master = Prefork.role { configuration.observe = makeObserver() }  // a child has nothing to tell
        options.delayChild()
        Prefork.main(options.onlyAddress, configuration: configuration) { child in
            serve(try child.takeListener(), until: child.stopDescriptor)
        }
    }

    static func makeObserver() -> @Sendable (Prefork.Event) -> Void {
        LoggingSystem.bootstrap(StreamLogHandler.standardError)
        var logger = Logger(label: "server")
        logger.logLevel = .debug
        MetricsSystem.bootstrap(MetricsLogger(logger))
        let log = LogObserver(logger)
        let metrics = MetricsObserver()
        return { event in
            Prefork.logToStandardError(event)  // as without an observer; leave it out where the logger is enough
            log.observe(event)
            metrics.observe(event)
        }
    }
}

/// Writes every value to the log: in place of a backend such as StatsD or Prometheus.
struct MetricsLogger: MetricsFactory {
    final class Value: CounterHandler, MeterHandler, RecorderHandler, TimerHandler {
        private let logger: Logger

        init(_ label: String, _ dimensions: [(String, String)], _ logger: Logger) {
            var logger = logger
            logger[metadataKey: "metric"] = "\(label)"
            for (name, value) in dimensions { logger[metadataKey: name] = "\(value)" }
            self.logger = logger
        }

        private func write(_ value: some CustomStringConvertible) {
            logger.debug("metric", metadata: ["value": "\(value)"])
        }

        func increment(by amount: Int64) { write(amount) }
        func reset() { write(0) }
        func set(_ value: Int64) { write(value) }
        func set(_ value: Double) { write(value) }
        func increment(by amount: Double) { write(amount) }
        func decrement(by amount: Double) { write(-amount) }
        func record(_ value: Int64) { write(value) }
        func record(_ value: Double) { write(value) }
        func recordNanoseconds(_ duration: Int64) { write(Duration.nanoseconds(duration)) }
    }

    private let logger: Logger

    init(_ logger: Logger) { self.logger = logger }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        Value(label, dimensions, logger)
    }
    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        Value(label, dimensions, logger)
    }
    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        Value(label, dimensions, logger)
    }
    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        Value(label, dimensions, logger)
    }
    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyMeter(_ handler: any MeterHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
}
