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
            #expect(started.metadata["prefork.child.slot"] == "0")
            #expect(started.metadata["prefork.child.replaces"] == nil)
            let exited = try #require(handler.entries.first { $0.message == "child exited" })
            #expect(exited.level == .warning)
            #expect(exited.metadata["prefork.child.pid"] == started.metadata["prefork.child.pid"])
            #expect(exited.metadata["prefork.exit.reason"] == "status 3")
            #expect(exited.metadata["prefork.exit.consequence"] == "giving up")
            #expect(exited.metadata["prefork.exit.ready"] == "false")
            #expect(handler.entries.contains { $0.message == "listening" && $0.level == .debug })
            #expect(handler.entries.count == fleet.events.count)
        }

        @Test func aChildThatIsRecovered() throws {
            let fleet = try RealFleet("kill -9 $$") { configuration in
                configuration.recovery.threshold = .exits(1)
                configuration.recovery.delays = .constant(.zero)
            }
            for event in fleet.events { observer.observe(event) }
            let exits = handler.entries.filter { $0.message == "child exited" }
            #expect(exits.map(\.level) == [.info, .warning])
            #expect(exits.first?.metadata["prefork.exit.reason"] == "signal 9 (KILL)")
            #expect(exits.first?.metadata["prefork.exit.consequence"] == "recovering")
            let starts = handler.entries.filter { $0.message == "child started" }
            #expect(starts.count == 2)
            #expect(starts.last?.metadata["prefork.child.replaces"] == starts.first?.metadata["prefork.child.pid"])
        }

        @Test func aChildThatCannotBeStarted() throws {
            let fleet = try RealFleet("", executable: "/nonexistent/program")
            for event in fleet.events { observer.observe(event) }
            let failed = try #require(handler.entries.first { $0.message == "child could not be started" })
            #expect(failed.metadata["prefork.child.pid"] == nil)
            #expect("\(failed.metadata["prefork.exit.reason"] ?? "")".contains("No such file"))
        }

        @Test func keysAreDottedAndMessagesFixed() throws {
            let fleet = try RealFleet("exit 1")
            let more: [Prefork.Event] = [
                .moreChildrenThanProcessors(children: 8, allowed: 2), .ready(slot: 1, pid: 7, after: .milliseconds(5)),
                .bindRetry(
                    .tcp("127.0.0.1", port: 80), .init(call: "bind", code: 98), attempt: 1, of: 5, after: .seconds(1)),
                .sharing(reason: "old kernel"), .notReady(slot: 1, pid: 7, after: .seconds(60)),
                .suspended(.seconds(3)), .stopping(.signal(15), grace: .seconds(5)),
                .alreadyStopping(.request, remaining: .seconds(2)),
                .killing(slot: 1, pid: 7, .notDrained, after: .seconds(5)),
                .draining(slot: 1, pid: 7, .signal(sender: 9, user: 0)), .backtracesSuppressed, .backtracesResumed,
                .admissionStaysOpen(.unix("/x"), reason: "a socket file"), .stopped,
                .systemError(Prefork.SystemError(call: "pipe", code: 24)), .procIsMissing(program: "/bin/server"),
                .reapedOrphans([7, 8]), .notAdopted(2),
                .steeringRefused(.tcp("127.0.0.1", port: 80), Prefork.SystemError(call: "setsockopt", code: 1)),
            ]
            for event in fleet.events + more { observer.observe(event) }
            #expect(handler.entries.count == fleet.events.count + more.count)
            for entry in handler.entries {
                #expect(!"\(entry.message)".contains { $0.isNumber }, "\(entry.message)")
                for key in entry.metadata.keys { #expect(key.hasPrefix("prefork."), "\(key)") }
            }
        }

        @Test func levels() {
            #expect(LogObserver.defaultLevel(of: .stopping(.signal(15), grace: .seconds(5))) == .debug)
            #expect(LogObserver.defaultLevel(of: .stopping(.failure("x"), grace: .seconds(5))) == .warning)
            #expect(LogObserver.defaultLevel(of: .killing(slot: 0, pid: 1, .notDrained, after: .seconds(5))) == .info)
            let own = LogObserver(Logger(label: "test") { [handler] _ in handler }) { _ in .critical }
            own.observe(.stopped)
            #expect(handler.entries.map(\.level) == [.critical])
        }
    }
}
