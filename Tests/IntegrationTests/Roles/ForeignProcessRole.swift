// Other code in the master starts processes and waits for them, while children come and go.
#if os(Linux)
    import PreforkLibc
    import Foundation
    @testable import Prefork
    import Synchronization

    struct ForeignProcessRole: Role {
        var mechanisms = MechanismChoice.best
        /// Starts this many orphans, and then runs until the test stops it. Without orphans it stops by itself.
        var orphans: Orphans?

        struct Orphans: Codable, Sendable {
            var count: Int
            var reapDelay: Duration
        }

        func run() async throws {
            let fleet = Prefork(.loopback(), configuration: configuration)
            guard isMaster else {
                try await fleet.run { _ in exit(3) }
                exit(98)
            }
            let task = Task { try await fleet.run { _ in } }
            if let orphans { start(orphans) }
            waitForForeignProcesses()
            if orphans == nil { fleet.stop() }
            _ = await task.result
            report("returned")
        }

        private var configuration: Prefork.Configuration {
            var configuration = Prefork.Configuration(children: 2)
            configuration.recovery.threshold = .unlimited
            configuration.recovery.delays = .constant(.milliseconds(1))
            configuration.testing.mechanisms = mechanisms.mechanisms
            if let orphans { configuration.orphanReapDelay = orphans.reapDelay }
            configuration.observe = { event in
                Prefork.logToStandardError(event)  // It omits lines in a crash loop.
                if case .reapedOrphans(let pids) = event.payload { report("reaped \(pids.count)") }
            }
            configuration.hooks.onChildRecover = { _, _ in recoveries.wrappingAdd(1, ordering: .relaxed) }
            return configuration
        }

        /// A shell that exits before the processes that it starts, which end at different times.
        private func start(_ orphans: Orphans) {
            let shell = Foundation.Process()
            shell.executableURL = URL(fileURLWithPath: "/bin/sh")
            let loop = "i=0; while [ $i -lt \(orphans.count) ]; do (sleep 0.0$((i % 10)) &); i=$((i + 1)); done"
            shell.arguments = ["-c", loop]
            do { try shell.run() } catch { report("not started \(error)") }
        }

        /// Until enough children have come and gone meanwhile.
        private func waitForForeignProcesses() {
            var right = 0
            var started = 0
            while started < 20 || recoveries.load(ordering: .relaxed) < 20 {
                let process = Foundation.Process()
                process.executableURL = URL(fileURLWithPath: "/bin/sh")
                process.arguments = ["-c", "exit \(started % 100)"]
                do { try process.run() } catch { report("not started \(error)") }
                process.waitUntilExit()
                if process.terminationStatus == Int32(started % 100) { right += 1 }
                started += 1
            }
            report(right == started ? "statuses right" : "statuses \(right) of \(started)")
        }
    }

    private let recoveries = Atomic<Int>(0)
#endif
