import Logging
import Prefork

/// Writes a fleet's events to a swift-log logger.
///
///     configuration.observe = LogObserver(logger).observe
///
/// The messages are fixed texts. Details are metadata, one value in each field. All keys begin with `prefork.`, and
/// `prefork.event` is the event's code. Numbers are numbers, and durations are numbers of seconds in keys that end in
/// `.seconds`.
///
/// The status that a person asks for by SIGUSR1 becomes one record for the fleet, one for each slot and one for each
/// listener that children share.
public struct LogObserver: Sendable {
    private let logger: Logger
    private let level: @Sendable (Prefork.Event) -> Logger.Level

    /// - Parameters:
    ///   - logger: The logger to write to.
    ///   - level: The level of each event. Default: ``defaultLevel(of:)``.
    public init(_ logger: Logger, level: @escaping @Sendable (Prefork.Event) -> Logger.Level = Self.defaultLevel) {
        self.logger = logger
        self.level = level
    }

    /// Writes one event. Call it from any thread.
    @Sendable public func observe(_ event: Prefork.Event) {
        let level = level(event)
        for record in event.records { logger.log(level: level, record.message, metadata: record.metadata) }
    }

    /// The level of an event, so that a logger with the default level `info` shows what an operator must know.
    ///
    /// - `debug`: the steps in the life of each child that go as planned.
    /// - `info`: the addresses that the fleet listens on, its start, stop, restarts and resizes, and recycling.
    /// - `notice`: the status that a person has asked for.
    /// - `warning`: faults that the fleet deals with, such as a crash that it recovers.
    /// - `error`: faults that need a person. The fleet gives up, or a restart or a resize failed.
    @Sendable public static func defaultLevel(of event: Prefork.Event) -> Logger.Level {
        switch event.code {
        case .mechanisms, .spawned, .ready, .retiring, .reapedOrphans: .debug
        case .listening, .sharing, .fleetReady, .restarting, .restarted, .upgraded, .resized, .recycling,
            .backtracesResumed, .admissionStaysOpen, .alreadyStopping, .stopped:
            .info
        case .stopping: event.stopReason?.code == .failure ? .error : .info
        case .status: .notice
        case .exited, .spawnFailed:
            switch event.consequence?.code {
            case .expected, .replaced: .debug
            case .givingUp: .error
            default: .warning
            }
        case .restartFailed, .upgradeFailed, .resizeFailed: .error
        // Also a code that is newer than this file.
        default: .warning
        }
    }
}
