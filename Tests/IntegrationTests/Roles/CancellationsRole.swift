// Runs that are cancelled before, beside and after each other.
#if os(Linux)
    @testable import Prefork

    struct CancellationsRole: Role {
        func run() async throws {
            let fleet = Prefork(.loopback(), configuration: .init(children: 1))
            let run: @Sendable () async throws -> Void = {
                try await fleet.run { child in
                    hasServed.withLock { $0 = true }
                    await child.stopRequested()
                }
            }
            guard isMaster else {
                // In a child, runs that the master has finished return without serving.
                while !hasServed.withLock({ $0 }) { try await run() }
                return
            }
            let first = Task { try await run() }
            while fleet.status.slots.isEmpty { await Task.yield() }
            fleet.stop()
            _ = await first.result
            let second = Task { try await run() }
            second.cancel()
            _ = await second.result
            report("second ended")
            let third = Task { try await run() }
            while fleet.status.slots.isEmpty { await Task.yield() }
            let refused = Task { try await run() }
            refused.cancel()
            if case .failure(let error) = await refused.result { report("refused \(error)") }
            report(fleet.status.slots.isEmpty || fleet.status.isStopping ? "third was stopped" : "third still runs")
            _ = await third.result
            report("third ended")
        }
    }
#endif
