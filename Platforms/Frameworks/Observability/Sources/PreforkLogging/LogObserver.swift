import Logging
import Prefork

/// Writes a fleet's events to a swift-log logger.
///
///     configuration.observe = LogObserver(logger).observe
///
/// The messages are fixed texts; what belongs to an event is its metadata, in keys that begin with `prefork.`.
public struct LogObserver: Sendable {
    private let logger: Logger
    private let level: @Sendable (Prefork.Event) -> Logger.Level

    /// - Parameters:
    ///   - logger: where to.
    ///   - level: how grave each event is to be; by default as ``defaultLevel(of:)`` says.
    public init(_ logger: Logger, level: @escaping @Sendable (Prefork.Event) -> Logger.Level = Self.defaultLevel) {
        self.logger = logger
        self.level = level
    }

    /// Writes one event. From any thread.
    @Sendable public func observe(_ event: Prefork.Event) {
        let (message, metadata) = event.record
        logger.log(level: level(event), message, metadata: metadata.isEmpty ? nil : metadata)
    }

    /// What swift-log advises to libraries: `debug` for what goes well, `info` for what goes wrong and is dealt with,
    /// `warning` only for what comes once. That a fleet gives up is a warning; the error itself is what `run` throws.
    /// The status that somebody has asked for by a signal is `notice`: he wants to see it.
    @Sendable public static func defaultLevel(of event: Prefork.Event) -> Logger.Level {
        switch event.code {
        case .mechanisms, .listening, .spawned, .ready, .stopped, .reapedOrphans: .debug
        case .stopping, .alreadyStopping: event.stopReason?.code == .failure ? .warning : .debug
        case .exited, .spawnFailed:
            switch event.consequence?.code {
            case .expected, .replaced: .debug
            case .givingUp: .warning
            default: .info
            }
        case .moreChildrenThanProcessors, .steeringRefused, .notAdopted, .ignoredVariable: .warning
        case .status: .notice
        default: .info
        }
    }
}

extension Prefork.Event {
    fileprivate var record: (Logger.Message, Logger.Metadata) {
        switch code {
        case .mechanisms:
            ("fleet starts", [:].adding("prefork.mechanisms", mechanisms))
        case .procIsMissing:
            ("there is no /proc", [:].adding("prefork.program", path))
        case .moreChildrenThanProcessors:
            (
                "more children than processors",
                [:].adding("prefork.children", count).adding("prefork.processors", limit)
            )
        case .bindRetry:
            (
                "address in use, trying again",
                [:].adding("prefork.address", address).adding("prefork.attempt", count)
                    .adding("prefork.attempts", limit).adding("prefork.delay", duration)
            )
        case .listening:
            ("listening", ["prefork.addresses": .array(addresses.map { "\($0)" })])
        case .sharing:
            ("children share their listeners", [:].adding("prefork.reason", reason))
        case .steeringRefused:
            (
                "connections cannot be steered",
                [:].adding("prefork.address", address).adding("prefork.error", systemError)
            )
        case .queueFilling:
            (
                "connections wait",
                [:].adding("prefork.address", address).adding("prefork.queue.waiting", queue?.waiting)
                    .adding("prefork.queue.limit", queue?.limit).adding("prefork.child.slot", slot)
            )
        case .listenerStopped:
            (
                "listener was stopped by a child",
                child.adding("prefork.address", address).adding("prefork.reason", reason)
            )
        case .spawned: ("child started", child.adding("prefork.child.replaces", replacedPID))
        case .spawnFailed: ("child could not be started", childExit)
        case .ready: ("child ready", child.adding("prefork.child.delay", duration))
        case .fleetReady: ("fleet ready", [:].adding("prefork.children", count).adding("prefork.duration", duration))
        case .notReady: ("child not ready in time, stopping it", child.adding("prefork.child.delay", duration))
        case .draining: ("child drains unasked", child.adding("prefork.reason", drainOrigin))
        case .exited: ("child exited", childExit)
        case .backtracesSuppressed: ("too many crashes, backtraces are off", [:])
        case .backtracesResumed: ("backtraces are on again", [:])
        case .suspended: ("master did not run", [:].adding("prefork.duration", duration))
        case .stopping:
            ("fleet stops", [:].adding("prefork.reason", stopReason).adding("prefork.grace", duration))
        case .alreadyStopping:
            ("fleet is already stopping", [:].adding("prefork.reason", stopReason).adding("prefork.grace", duration))
        case .admissionStaysOpen:
            (
                "listener stays open during the stop",
                [:].adding("prefork.address", address).adding("prefork.reason", reason)
            )
        case .killing:
            (
                "child has not exited in time, killing it",
                child.adding("prefork.reason", killReason).adding("prefork.duration", duration)
            )
        case .stopped: ("fleet stopped", [:])
        case .reapedOrphans: ("orphans reaped", ["prefork.orphans": .array(pids.map { "\($0)" })])
        case .notAdopted:
            ("sockets were passed that are not served", [:].adding("prefork.sockets", count))
        case .ignoredVariable: ("variable cannot be used", [:].adding("prefork.reason", reason))
        case .status: ("fleet status", [:].adding("prefork.status", status))
        case .systemError: ("something did not work", [:].adding("prefork.error", systemError))
        // A code that is newer than this file.
        default: ("fleet event", ["prefork.event": "\(code)", "prefork.description": "\(self)"])
        }
    }

    private var child: Logger.Metadata {
        [:].adding("prefork.child.slot", slot).adding("prefork.child.pid", pid)
    }

    private var childExit: Logger.Metadata {
        var metadata = child.adding("prefork.exit.reason", exit?.reason)
        if pid != nil {
            metadata = metadata.adding("prefork.exit.lifetime", exit?.lifetime)
                .adding("prefork.exit.ready", exit?.wasReady)
        }
        let name = consequence?.code == .givingUp ? "giving up" : consequence?.code.description
        return metadata.adding("prefork.exit.consequence", name).adding("prefork.exit.delay", consequence?.delay)
    }
}

extension Logger.Metadata {
    fileprivate func adding(_ key: String, _ value: (some CustomStringConvertible & Sendable)?) -> Logger.Metadata {
        guard let value else { return self }
        return merging([key: "\(value)"]) { $1 }
    }
}
