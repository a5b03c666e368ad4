import InMemoryLogging
import Logging
@testable import Prefork  // Only the package makes events.
import PreforkLogging
import Testing

/// Serialized: one master runs in a process at a time.
@Suite(.serialized) struct ObservabilityTests {}

extension ObservabilityTests {
    @Suite struct LogObserverTests {
        let handler: InMemoryLogHandler
        let observer: LogObserver

        init() {
            var handler = InMemoryLogHandler()
            handler.logLevel = .trace
            self.handler = handler
            observer = LogObserver(Logger(label: "test") { [handler] _ in handler })
        }

        @Test func aChildThatExits() throws {
            let fleet = try RealFleet("exit 3")
            #expect("\(fleet.error as (any Error)?)".contains("status 3"))
            for event in fleet.events { observer.observe(event) }
            let started = try #require(handler.entries.first { $0.message == "child started" })
            #expect(started.level == .debug)
            #expect(started.metadata["prefork.child.slot"] == number(0))
            #expect(started.metadata["prefork.child.replaces"] == nil)
            let exited = try #require(handler.entries.first { $0.message == "child exited" })
            #expect(exited.level == .error)
            #expect(exited.metadata["prefork.child.pid"] == started.metadata["prefork.child.pid"])
            #expect(exited.metadata["prefork.exit.reason"] == "status")
            #expect(exited.metadata["prefork.exit.status"] == number(3))
            #expect(exited.metadata["prefork.exit.consequence"] == "givingUp")
            #expect(exited.metadata["prefork.exit.ready"] == .stringConvertible(false))
            let lifetime = "\(exited.metadata["prefork.exit.lifetime.seconds"] ?? "none")"
            #expect(try #require(Double(lifetime)) > 0)
            #expect(handler.entries.contains { $0.message == "listening" && $0.level == .info })
            #expect(handler.entries.contains { $0.message == "fleet stops" && $0.level == .error })
            #expect(handler.entries.count == fleet.events.count)
        }

        @Test func aChildThatIsRecovered() throws {
            let fleet = try RealFleet("kill -9 $$") { configuration in
                configuration.recovery.threshold = .exits(1)
                configuration.recovery.delays = .constant(.zero)
            }
            for event in fleet.events { observer.observe(event) }
            let exits = handler.entries.filter { $0.message == "child exited" }
            #expect(exits.map(\.level) == [.warning, .error])
            #expect(exits.first?.metadata["prefork.exit.reason"] == "signal")
            #expect(exits.first?.metadata["prefork.exit.signal"] == number(9))
            #expect(exits.first?.metadata["prefork.exit.consequence"] == "recovering")
            #expect(exits.first?.metadata["prefork.exit.delay.seconds"] == .stringConvertible(0.0))
            let starts = handler.entries.filter { $0.message == "child started" }
            #expect(starts.count == 2)
            #expect(starts.last?.metadata["prefork.child.replaces"] == starts.first?.metadata["prefork.child.pid"])
        }

        @Test func aChildThatCannotBeStarted() throws {
            let fleet = try RealFleet("", executable: "/nonexistent/program")
            for event in fleet.events { observer.observe(event) }
            let failed = try #require(handler.entries.first { $0.message == "child could not be started" })
            #expect(failed.metadata["prefork.child.pid"] == nil)
            #expect(failed.metadata["prefork.exit.reason"] == "notSpawned")
            #expect(failed.metadata["prefork.exit.error.code"] == number(2))
            #expect("\(failed.metadata["prefork.exit.error.message"] ?? "")".contains("No such file"))
        }

        /// One value in each field, so that a query needs no parser.
        @Test func statusHasARecordForEachSlot() throws {
            let exit = Prefork.ChildExit(
                slot: 1, pid: 7, reason: .signal(4, coreDumped: false), lifetime: .milliseconds(1500), wasReady: true)
            var counters = Prefork.Status.Counters()
            counters.note(exit)
            counters.noteUnresponsive()
            let status = Prefork.Status(
                masterPID: 5, addresses: [.tcp("127.0.0.1", port: 80)], isStopping: false,
                slots: [
                    .init(
                        slot: 0, state: .ready(pid: 6), since: .milliseconds(2500), spawns: 1, generation: 2,
                        lastExit: nil, isInRotation: true, waiting: 3),
                    .init(
                        slot: 1, state: .backingOff(.milliseconds(400)), since: .zero, spawns: 4, lastExit: exit,
                        isInRotation: false, waiting: nil),
                ],
                listeners: [
                    .init(
                        address: .unix("/x"), mode: .shared, ownership: .bound,
                        queues: [.init(waiting: 1, limit: 9)])
                ],
                generation: 2, counters: counters)
            observer.observe(.status(status))
            let messages = handler.entries.map(\.message)
            #expect(messages == ["fleet status", "slot status", "slot status", "listener status"])
            #expect(handler.entries.allSatisfy { $0.level == .notice })
            let (fleet, first, second) = (handler.entries[0], handler.entries[1], handler.entries[2])
            #expect(fleet.metadata["prefork.slots.ready"] == number(1))
            #expect(fleet.metadata["prefork.generation"] == number(2))
            #expect(fleet.metadata["prefork.exits.signal.4"] == number(1))
            #expect(fleet.metadata["prefork.exits.unresponsive"] == number(1))
            #expect(fleet.metadata["prefork.exits.recycled"] == nil)
            #expect(first.metadata["prefork.child.state"] == "ready")
            #expect(first.metadata["prefork.duration.seconds"] == .stringConvertible(2.5))
            #expect(first.metadata["prefork.queue.waiting"] == number(3))
            #expect(second.metadata["prefork.child.pid"] == nil)
            #expect(second.metadata["prefork.duration.seconds"] == .stringConvertible(0.4))
            #expect(second.metadata["prefork.exit.signal"] == number(4))
            #expect(handler.entries[3].metadata["prefork.queue.limit"] == number(9))
            for entry in handler.entries {
                #expect(!entry.metadata.values.contains { "\($0)".contains("\n") })
            }
        }

        @Test func operations() {
            observer.observe(.unresponsive(slot: 1, pid: 7, .silence(.seconds(2))))
            observer.observe(.recycling(slot: 1, pid: 7, .age))
            observer.observe(.restarting(generation: 2))
            observer.observe(.retiring(slot: 0, pid: 7, successor: 8))
            observer.observe(.restartFailed(generation: 2, serving: 1, .notReady(slot: 0, pid: 7)))
            observer.observe(.rolledBack(generation: 1, after: .milliseconds(250)))
            observer.observe(.resized(from: 2, to: 3))
            observer.observe(.dropped(slot: 2, count: 4))
            let levels: [Logger.Level] = [.warning, .info, .info, .debug, .error, .warning, .info, .warning]
            #expect(handler.entries.map(\.level) == levels)
            #expect("\(handler.entries[0].metadata["prefork.reason"] ?? "")".contains("no beat for 2 s"))
            #expect(handler.entries[3].metadata["prefork.child.replacement"] == number(8))
            #expect(handler.entries[4].metadata["prefork.generation.serving"] == number(1))
            #expect(handler.entries[5].metadata["prefork.duration.seconds"] == .stringConvertible(0.25))
            #expect(handler.entries[6].metadata["prefork.children"] == number(3))
            #expect(handler.entries[6].metadata["prefork.children.before"] == number(2))
            #expect(handler.entries[7].metadata["prefork.connections"] == number(4))
        }

        /// All codes that exist have a message of their own.
        @Test func keysAreDottedAndMessagesFixed() throws {
            let fleet = try RealFleet("exit 1")
            let error = Prefork.SystemError(call: "setsockopt", code: 1)
            let address = Prefork.Address.tcp("127.0.0.1", port: 80)
            let more: [Prefork.Event] = [
                .moreChildrenThanProcessors(children: 8, allowed: 2), .ready(slot: 1, pid: 7, after: .milliseconds(5)),
                .bindRetry(address, error, attempt: 1, of: 5, after: .seconds(1)),
                .sharing(reason: "old kernel"), .notReady(slot: 1, pid: 7, after: .seconds(60)),
                .suspended(.seconds(3)), .stopping(.signal(15), grace: .seconds(5)),
                .alreadyStopping(.request, remaining: .seconds(2)),
                .killing(slot: 1, pid: 7, .notDrained, after: .seconds(5)),
                .draining(slot: 1, pid: 7, .signal(sender: 9, user: 0)), .backtracesSuppressed, .backtracesResumed,
                .admissionStaysOpen(.unix("/x"), reason: "a socket file"), .stopped, .systemError(error),
                .procIsMissing(program: "/bin/server"), .reapedOrphans([7, 8]), .notAdopted(2),
                .steeringRefused(address, error), .ignoredVariable(reason: "WATCHDOG_USEC is empty"),
                .queueFilling(address, slot: 1, .init(waiting: 3, limit: 4)),
                .fleetReady(children: 2, after: .seconds(1)),
                .listenerStopped(address, by: .init(slot: 1, pid: 7, isCertain: true), .failed(error)),
                .socketFileRemoved(.unix("/x"), .restored), .nothingBound(slot: 1, pid: 7),
                .cancelling(slot: 1, pid: 7, after: .seconds(4)), .channelFault(slot: 1, pid: 7, reason: "length"),
                .restarting(generation: 2), .retiring(slot: 1, pid: 7, successor: 8),
                .restarted(generation: 2, after: .seconds(1)), .restartFailed(generation: 2, serving: 1, .rollback),
                .rolledBack(generation: 1, after: .seconds(1)), .upgraded(generation: 2, after: .seconds(1)),
                .upgradeFailed(generation: 2, reason: "ENOENT"), .dropped(slot: 1, count: 2),
                .recycling(slot: 1, pid: 7, .memory(1 << 20)),
                .unresponsive(slot: 1, pid: 7, .stall(waiting: 1, .seconds(1))),
                .resized(from: 1, to: 2), .resizeFailed(from: 1, to: 2, reason: "EMFILE"),
            ]
            for event in fleet.events + more { observer.observe(event) }
            #expect(handler.entries.count == fleet.events.count + more.count)
            for entry in handler.entries {
                #expect(!"\(entry.message)".contains { $0.isNumber }, "\(entry.message)")
                #expect(entry.message != "fleet event", "\(entry.metadata)")
                #expect(entry.metadata["prefork.event"] != nil)
                for key in entry.metadata.keys { #expect(key.hasPrefix("prefork."), "\(key)") }
            }
        }

        /// A logger has the level info unless it is told otherwise.
        @Test func levels() {
            for event: Prefork.Event in [
                .listening([.tcp("127.0.0.1", port: 80)]), .fleetReady(children: 1, after: .zero),
                .stopping(.signal(15), grace: .seconds(5)), .stopped,
            ] {
                #expect(LogObserver.defaultLevel(of: event) == .info)
            }
            #expect(LogObserver.defaultLevel(of: .stopping(.failure("x"), grace: .seconds(5))) == .error)
            let killing = Prefork.Event.killing(slot: 0, pid: 1, .notDrained, after: .seconds(5))
            #expect(LogObserver.defaultLevel(of: killing) == .warning)
            let own = LogObserver(Logger(label: "test") { [handler] _ in handler }) { _ in .critical }
            own.observe(.stopped)
            #expect(handler.entries.map(\.level) == [.critical])
        }

        private func number(_ value: Int) -> Logger.MetadataValue { .stringConvertible(value) }
    }
}
