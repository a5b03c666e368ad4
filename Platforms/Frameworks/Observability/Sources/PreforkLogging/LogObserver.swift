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
        switch event {
        case .mechanisms, .listening, .spawned, .ready, .stopped, .reapedOrphans: .debug
        case .exited(_, .expected), .spawnFailed(_, .expected): .debug
        case .stopping(.signal, _), .stopping(.request, _): .debug
        case .procIsMissing, .bindRetry, .sharing, .queueFilling, .notReady, .suspended: .info
        case .admissionStaysOpen, .killing, .systemError: .info
        case .exited(_, .recovering), .spawnFailed(_, .recovering): .info
        case .moreChildrenThanProcessors, .steeringRefused, .notAdopted, .stopping(.failure, _): .warning
        case .exited(_, .givingUp), .spawnFailed(_, .givingUp): .warning
        case .status: .notice
        }
    }
}

extension Prefork.Event {
    fileprivate var record: (Logger.Message, Logger.Metadata) {
        switch self {
        case .mechanisms(let mechanisms):
            ("fleet starts", ["prefork.mechanisms": "\(mechanisms)"])
        case .procIsMissing(let program):
            ("there is no /proc", ["prefork.program": "\(program)"])
        case .moreChildrenThanProcessors(let children, let allowed):
            ("more children than processors", ["prefork.children": "\(children)", "prefork.processors": "\(allowed)"])
        case .bindRetry(let address, let attempt, let count, let delay):
            (
                "address in use, trying again",
                [
                    "prefork.address": "\(address)", "prefork.attempt": "\(attempt)", "prefork.attempts": "\(count)",
                    "prefork.delay": "\(delay)",
                ]
            )
        case .listening(let addresses):
            ("listening", ["prefork.addresses": .array(addresses.map { "\($0)" })])
        case .sharing(let reason):
            ("children share their listeners", ["prefork.reason": "\(reason)"])
        case .steeringRefused(let address, let error):
            ("connections cannot be steered", ["prefork.address": "\(address)", "prefork.error": "\(error)"])
        case .queueFilling(let address, let slot, let queue):
            (
                "connections wait",
                [
                    "prefork.address": "\(address)", "prefork.queue.waiting": "\(queue.waiting)",
                    "prefork.queue.limit": "\(queue.limit)",
                ].adding("prefork.child.slot", slot)
            )
        case .spawned(let slot, let pid, let old):
            ("child started", child(slot, pid).adding("prefork.child.replaces", old))
        case .spawnFailed(let exit, let consequence):
            ("child could not be started", metadata(of: exit, consequence))
        case .ready(let slot, let pid, let delay):
            ("child ready", child(slot, pid).adding("prefork.child.delay", delay))
        case .notReady(let slot, let pid, let delay):
            ("child not ready in time, stopping it", child(slot, pid).adding("prefork.child.delay", delay))
        case .exited(let exit, let consequence):
            ("child exited", metadata(of: exit, consequence))
        case .suspended(let duration):
            ("master was held up", ["prefork.duration": "\(duration)"])
        case .stopping(let reason, let grace):
            ("fleet stops", ["prefork.reason": "\(reason)", "prefork.grace": "\(grace)"])
        case .admissionStaysOpen(let address, let reason):
            ("listener stays open during the stop", ["prefork.address": "\(address)", "prefork.reason": "\(reason)"])
        case .killing(let slot, let pid, _, _):
            ("child has not left in time, killing it", child(slot, pid))
        case .stopped:
            ("fleet stopped", [:])
        case .reapedOrphans(let pids):
            ("orphans reaped", ["prefork.orphans": .array(pids.map { "\($0)" })])
        case .notAdopted(let count):
            ("sockets were handed over that nobody serves", ["prefork.sockets": "\(count)"])
        case .status(let status):
            ("fleet status", ["prefork.status": "\(status)"])
        case .systemError(let error):
            ("something did not work", ["prefork.error": "\(error)"])
        }
    }

    private func child(_ slot: Int, _ pid: Int32) -> Logger.Metadata {
        ["prefork.child.slot": "\(slot)", "prefork.child.pid": "\(pid)"]
    }

    private func metadata(of exit: Prefork.ChildExit, _ consequence: Consequence) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            "prefork.child.slot": "\(exit.slot)", "prefork.exit.reason": "\(exit.reason)",
        ]
        if exit.pid != 0 {
            metadata["prefork.child.pid"] = "\(exit.pid)"
            metadata["prefork.exit.lifetime"] = "\(exit.lifetime)"
            metadata["prefork.exit.ready"] = "\(exit.wasReady)"
        }
        switch consequence {
        case .recovering(let delay):
            metadata["prefork.exit.consequence"] = "recovering"
            metadata["prefork.exit.delay"] = "\(delay)"
        case .expected: metadata["prefork.exit.consequence"] = "expected"
        case .givingUp: metadata["prefork.exit.consequence"] = "giving up"
        }
        return metadata
    }
}

extension Logger.Metadata {
    fileprivate func adding(_ key: String, _ value: (some CustomStringConvertible & Sendable)?) -> Logger.Metadata {
        guard let value else { return self }
        return merging([key: "\(value)"]) { $1 }
    }
}
