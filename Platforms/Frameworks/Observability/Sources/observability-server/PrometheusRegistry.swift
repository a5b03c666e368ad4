import Metrics
import Synchronization

/// Keeps the metrics of this process, and writes them in the text format of Prometheus. It stands in for a package such
/// as swift-prometheus.
final class PrometheusRegistry: MetricsFactory {
    private enum Kind: String {
        case counter, gauge, summary
    }

    private struct Family {
        let kind: Kind
        let help: String
        /// By the text of the labels.
        var samples: [String: Sample] = [:]
    }

    private struct Sample {
        var value = 0.0
        /// How many values a summary has.
        var count = 0
    }

    private let families = Mutex<[String: Family]>([:])

    /// All metrics.
    var text: String {
        families.withLock { families in
            families.sorted { $0.key < $1.key }.map { name, family in
                let head = "# HELP \(name) \(family.help)\n# TYPE \(name) \(family.kind.rawValue)\n"
                let samples = family.samples.sorted { $0.key < $1.key }.map { labels, sample in
                    family.kind == .summary
                        ? "\(name)_sum\(labels) \(sample.value)\n\(name)_count\(labels) \(sample.count)\n"
                        : "\(name)\(labels) \(sample.value)\n"
                }
                return head + samples.joined()
            }.joined()
        }
    }

    // MARK: Handlers

    /// One series. It keeps no value, so all handlers of a series count together.
    private final class Handler: CounterHandler, MeterHandler, RecorderHandler, TimerHandler {
        let registry: PrometheusRegistry
        let name: String
        let labels: String

        init(_ registry: PrometheusRegistry, _ name: String, _ labels: String) {
            self.registry = registry
            self.name = name
            self.labels = labels
        }

        private func change(_ body: (inout Sample) -> Void) {
            registry.families.withLock { families in
                var sample = families[name]?.samples[labels] ?? Sample()
                body(&sample)
                families[name]?.samples[labels] = sample
            }
        }

        func increment(by amount: Int64) { change { $0.value += Double(amount) } }
        func reset() { change { $0.value = 0 } }
        func set(_ value: Int64) { set(Double(value)) }
        func set(_ value: Double) { change { $0.value = value } }
        func increment(by amount: Double) { change { $0.value += amount } }
        func decrement(by amount: Double) { change { $0.value -= amount } }
        func record(_ value: Int64) { record(Double(value)) }
        func record(_ value: Double) {
            change { sample in
                sample.value += value
                sample.count += 1
            }
        }
        func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
    }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        handler(.counter, label, dimensions, suffix: "_total")
    }
    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        handler(.gauge, label, dimensions)
    }
    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        aggregate ? handler(.summary, label, dimensions) : handler(.gauge, label, dimensions)
    }
    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        handler(.summary, label, dimensions, suffix: "_seconds")
    }
    func destroyCounter(_ handler: any CounterHandler) { destroy(handler) }
    func destroyMeter(_ handler: any MeterHandler) { destroy(handler) }
    func destroyRecorder(_ handler: any RecorderHandler) { destroy(handler) }
    func destroyTimer(_ handler: any TimerHandler) { destroy(handler) }

    private func handler(
        _ kind: Kind, _ label: String, _ dimensions: [(String, String)], suffix: String = ""
    ) -> Handler {
        let name = label.map { $0.isLetter || $0.isNumber ? String($0) : "_" }.joined() + suffix
        let labels = dimensions.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
        let handler = Handler(self, name, labels.isEmpty ? "" : "{\(labels)}")
        families.withLock { families in
            var family = families[name] ?? Family(kind: kind, help: "swift-metrics: \(label)")
            family.samples[handler.labels] = family.samples[handler.labels] ?? Sample()
            families[name] = family
        }
        return handler
    }

    private func destroy(_ handler: Any) {
        guard let handler = handler as? Handler else { return }
        families.withLock { _ = $0[handler.name]?.samples.removeValue(forKey: handler.labels) }
    }

    private static func escaped(_ value: String) -> String {
        value.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : $0 == "\n" ? "\\n" : "\($0)" }.joined()
    }
}
