// The async form of a fleet.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork

    private let defaults = Prefork.Configuration()

    struct AsyncFleetRole: Role {
        var children = 2
        /// How many runs of the same fleet follow each other.
        var runs = 1
        var gracePeriod = defaults.shutdown.gracePeriod
        /// Cancels `serve` when the drain begins.
        var cancelsOnDrain = false
        /// Cancels the master's task when a child is ready.
        var cancelsRunWhenReady = false
        /// How long the master waits for a child's beat.
        var heartbeatTimeout: Duration?
        var serve = Serve.untilStop

        enum Serve: String, Codable, Sendable {
            case untilStop
            case untilCancelled
            /// The first child of each slot blocks all threads of the cooperative pool.
            case exhaustPool
        }
    }

    extension AsyncFleetRole {
        func run() async throws {
            var configuration = Prefork.Configuration(children: children)
            configuration.shutdown.gracePeriod = gracePeriod
            configuration.shutdown.drainPolicy = cancelsOnDrain ? .cancel : .waitForServe
            configuration.health.heartbeatTimeout = heartbeatTimeout
            configuration.health.abortGrace = .seconds(1)
            let fleet = Prefork(.loopback(), configuration: configuration)
            await runAndReport(times: runs) {
                let task = Task { try await fleet.run { try await serve($0) } }
                if cancelsRunWhenReady, isMaster {
                    await untilReady(fleet)
                    task.cancel()
                }
                return await task.result
            }
        }

        private func serve(_ child: Prefork.Child) async throws {
            reportState(of: child)
            if case .exhaustPool = serve, child.launch == 0 {
                for _ in 0..<64 { Task.detached { blockForever() } }
            }
            await child.stopRequested()
            let start = ContinuousClock.now
            switch serve {
            case .exhaustPool: break
            case .untilStop: report("stopRequested cancelled \(Task.isCancelled)")
            case .untilCancelled:
                do {
                    try await Task.sleep(for: .seconds(60))
                } catch {
                    report("cancelled after \((ContinuousClock.now - start) / .milliseconds(1))")
                }
            }
        }
    }

    private func blockForever() { while true { pause() } }

    /// Returns when a child of the fleet is ready.
    func untilReady(_ fleet: Prefork) async {
        while !fleet.status.slots.contains(where: { if case .ready = $0.state.payload { true } else { false } }) {
            try? await Task.sleep(for: .milliseconds(2))
        }
    }
#endif
