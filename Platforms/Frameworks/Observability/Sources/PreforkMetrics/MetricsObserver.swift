import Metrics
import Prefork

/// Counts a fleet's events with swift-metrics, each with the child's `slot` as a dimension.
///
///     configuration.observe = MetricsObserver().observe
///
/// | metric | kind | |
/// |---|---|---|
/// | `prefork.children.alive` | meter | 1 while a child runs in the slot, else 0; the sum is the fleet's |
/// | `prefork.children.spawned` | counter | starts, first and later ones |
/// | `prefork.children.recovered` | counter | starts in place of a child that has ended |
/// | `prefork.children.exited` | counter | also with `reason`: `status 1`, `signal 9`, `unknown` |
/// | `prefork.children.spawn.failed` | counter | also with `reason`: `errno 11` |
/// | `prefork.children.start.failed` | counter | starts that led to no ready child, for any reason |
/// | `prefork.children.out.of.memory` | counter | probably killed by the kernel's out-of-memory killer |
/// | `prefork.children.ready.time` | timer | from the start of a child to its readiness |
public struct MetricsObserver: Sendable {
    private let factory: any MetricsFactory

    /// - Parameter factory: who makes the metrics; by default the one that the program has bootstrapped.
    public init(factory: any MetricsFactory = MetricsSystem.factory) {
        self.factory = factory
    }

    /// Counts one event. From any thread.
    @Sendable public func observe(_ event: Prefork.Event) {
        guard let slot = event.slot else { return }
        switch event.code {
        case .spawned:
            alive(slot, 1)
            count("spawned", slot)
            if event.replacedPID != nil { count("recovered", slot) }
        case .ready:
            let timer = Timer(label: label("ready.time"), dimensions: dimensions(slot), factory: factory)
            if let time = event.duration { timer.record(duration: time) }
        case .exited:
            // A child that was replaced before its exit leaves its replacement in the slot.
            if event.consequence?.code != .replaced { alive(slot, 0) }
            count("exited", slot, event.exit?.reason)
            if event.exit?.isProbablyOutOfMemory == true { count("out.of.memory", slot) }
            if event.exit?.wasReady == false, event.consequence?.code != .expected { count("start.failed", slot) }
        case .spawnFailed:
            count("spawn.failed", slot, event.exit?.reason)
            count("start.failed", slot)
        default:
            break
        }
    }

    private func alive(_ slot: Int, _ value: Int) {
        Meter(label: label("alive"), dimensions: dimensions(slot), factory: factory).set(value)
    }

    private func count(_ name: String, _ slot: Int, _ reason: Prefork.ChildExit.Reason? = nil) {
        Counter(label: label(name), dimensions: dimensions(slot, reason), factory: factory).increment()
    }

    private func label(_ name: String) -> String { "prefork.children.\(name)" }

    /// Few values each: a backend keeps a series for every combination.
    private func dimensions(_ slot: Int, _ reason: Prefork.ChildExit.Reason? = nil) -> [(String, String)] {
        let text: String? =
            switch reason?.code {
            case nil: nil
            case .status: "status \(reason?.status ?? 0)"
            case .signal: "signal \(reason?.signal ?? 0)"
            case .notSpawned: "errno \(reason?.systemError?.code ?? 0)"
            case let code?: "\(code)"
            }
        return [("slot", "\(slot)")] + (text.map { [("reason", $0)] } ?? [])
    }
}
