import Metrics
import Prefork
import Synchronization

/// Counts a fleet's events with swift-metrics, and measures its state.
///
///     let metrics = MetricsObserver()
///     configuration.observe = metrics.observe
///     let fleet = Prefork(.tcp("127.0.0.1", port: 8080), configuration: configuration)
///     // At intervals, or when the metrics are collected:
///     metrics.record(fleet.status)
///
/// The README of this package lists the metrics. Their dimensions have few values, because a backend keeps a series for
/// each combination.
public final class MetricsObserver: Sendable {
    /// A metric and its dimensions.
    struct Series: Hashable {
        let label: String
        let dimensions: [[String]]

        init(_ label: String, _ dimensions: [(String, String)]) {
            self.label = label
            self.dimensions = dimensions.map { [$0.0, $0.1] }
        }
    }

    private struct State {
        /// The children that run, by slot. During a restart a slot has two.
        var running: [Int: Set<Int32>] = [:]
        /// Children that are about to be replaced because of their age, their memory or a request.
        var recycling: Set<Int32> = []
        /// The gauges of the last status.
        var gauges: Set<Series> = []
    }

    private let factory: any MetricsFactory
    private let state = Mutex(State())

    /// - Parameter factory: The maker of the metrics. Default: the one that the program has bootstrapped.
    public init(factory: any MetricsFactory = MetricsSystem.factory) {
        self.factory = factory
    }

    /// Counts one event. Call it from any thread.
    @Sendable public func observe(_ event: Prefork.Event) {
        switch event.code {
        case .spawned, .spawnFailed, .ready, .notReady, .exited, .killing, .draining, .unresponsive, .recycling,
            .retiring, .dropped:
            if let slot = event.slot { observe(event, slot) }
        case .fleetReady: record(event.duration, "prefork.fleet.ready.time")
        case .restarted:
            count("prefork.restarts", [("outcome", "restarted")])
            record(event.duration, "prefork.restart.time")
        case .restartFailed: count("prefork.restarts", [("outcome", "failed")])
        case .rolledBack: count("prefork.restarts", [("outcome", "rolled back")])
        case .upgraded: count("prefork.upgrades", [("outcome", "upgraded")])
        case .upgradeFailed: count("prefork.upgrades", [("outcome", "failed")])
        case .queueFilling: count("prefork.queue.alarms", [("slot", event.slot.map { "\($0)" } ?? "all")])
        case .systemError: count("prefork.system.errors", [("call", event.systemError?.call ?? "")])
        default: break
        }
    }

    private func observe(_ event: Prefork.Event, _ slot: Int) {
        let own = [("slot", "\(slot)")]
        switch event.code {
        case .spawned:
            spawned(event, slot)
            count("prefork.children.spawned", own)
        case .spawnFailed:
            count("prefork.children.spawn.failed", own + [("reason", Self.name(of: event.exit?.reason))])
            count("prefork.children.start.failed", own)
        case .ready: record(event.duration, "prefork.children.ready.time", own)
        case .exited: exited(event, own)
        case .killing: count("prefork.children.killed", own + [("reason", event.killReason?.description ?? "")])
        case .draining: replaced(own, "unasked drain")
        case .unresponsive: replaced(own, "unresponsive")
        case .recycling: state.withLock { _ = $0.recycling.insert(event.pid ?? 0) }
        case .retiring:
            let isRecycled = state.withLock { $0.recycling.contains(event.pid ?? 0) }
            replaced(own, isRecycled ? "recycled" : "restart")
        case .dropped: count("prefork.connections.dropped", own, by: event.count ?? 0)
        default: break
        }
    }

    private func spawned(_ event: Prefork.Event, _ slot: Int) {
        var isRecovery = event.replacedPID != nil
        change(slot) { running in
            // In a restart, the old child still runs beside the new one.
            if let old = event.replacedPID, running.contains(old) { isRecovery = false }
            running.insert(event.pid ?? 0)
        }
        if isRecovery { count("prefork.children.recovered", [("slot", "\(slot)")]) }
    }

    private func exited(_ event: Prefork.Event, _ own: [(String, String)]) {
        guard let exit = event.exit else { return }
        state.withLock { _ = $0.recycling.remove(exit.pid) }
        change(exit.slot) { $0.remove(exit.pid) }
        let isExpected = event.consequence?.code == .expected
        count(
            "prefork.children.exited",
            own + [("reason", Self.name(of: exit.reason)), ("expected", isExpected ? "true" : "false")])
        if exit.isProbablyOutOfMemory { count("prefork.children.out.of.memory", own) }
        if !exit.wasReady, !isExpected { count("prefork.children.start.failed", own) }
    }

    private func replaced(_ own: [(String, String)], _ reason: String) {
        count("prefork.children.replaced", own + [("reason", reason)])
    }

    private static func name(of reason: Prefork.ChildExit.Reason?) -> String {
        switch reason?.code {
        case nil: "unknown"
        case .status: "status \(reason?.status ?? 0)"
        case .signal: "signal \(reason?.signal ?? 0)"
        case .notSpawned: "errno \(reason?.systemError?.code ?? 0)"
        case let code?: "\(code)"
        }
    }

    private func change(_ slot: Int, _ body: (inout Set<Int32>) -> Void) {
        state.withLock { state in
            body(&state.running[slot, default: []])
            set("prefork.children.alive", [("slot", "\(slot)")], state.running[slot]?.count ?? 0)
        }
    }

    private func count(_ label: String, _ dimensions: [(String, String)], by amount: Int = 1) {
        Counter(label: label, dimensions: dimensions, factory: factory).increment(by: amount)
    }

    private func record(_ duration: Duration?, _ label: String, _ dimensions: [(String, String)] = []) {
        guard let duration else { return }
        Timer(label: label, dimensions: dimensions, factory: factory).record(duration: duration)
    }

    private func set(_ label: String, _ dimensions: [(String, String)], _ value: Int) {
        Meter(label: label, dimensions: dimensions, factory: factory).set(value)
    }
}

// MARK: Gauges

extension MetricsObserver {
    /// Sets the gauges to a status of the fleet. Call it at intervals, or when the metrics are collected, from any
    /// thread.
    public func record(_ status: Prefork.Status) {
        let values = Self.gauges(of: status)
        state.withLock { state in
            // After an upgrade of the master, children run whose start this observer has not seen.
            for slot in status.slots where state.running[slot.slot] == nil {
                guard let pid = slot.state.pid else { continue }
                state.running[slot.slot] = [pid]
                set("prefork.children.alive", [("slot", "\(slot.slot)")], 1)
            }
            for (series, value) in values { set(series.label, series.pairs, value) }
            // A build that no slot runs any more, and an address that is closed.
            for series in state.gauges.subtracting(values.keys) {
                let meter = Meter(label: series.label, dimensions: series.pairs, factory: factory)
                meter.set(0)
                meter.destroy()
            }
            state.gauges = Set(values.keys)
        }
    }

    private static func gauges(of status: Prefork.Status) -> [Series: Int] {
        var values: [Series: Int] = [
            Series("prefork.generation", []): status.generation,
            Series("prefork.restarting", []): status.isRestarting ? 1 : 0,
        ]
        for slot in status.slots {
            let generation = slot.generation.map { "\($0)" } ?? "none"
            values[
                Series("prefork.slots", [("state", slot.state.code.description), ("generation", generation)]),
                default: 0] += 1
        }
        for listener in status.listeners {
            for (number, queue) in listener.queues.enumerated() {
                guard let queue else { continue }
                let slot = listener.mode == .sharded ? "\(number)" : "all"
                let dimensions = [("address", listener.address.description), ("slot", slot)]
                values[Series("prefork.queue.waiting", dimensions)] = queue.waiting
                values[Series("prefork.queue.limit", dimensions)] = queue.limit
            }
        }
        return values
    }
}

extension MetricsObserver.Series {
    fileprivate var pairs: [(String, String)] { dimensions.map { ($0[0], $0[1]) } }
}
