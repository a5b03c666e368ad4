// Hooks and an observer that look at the fleet that calls them, and stop it.
#if os(Linux)
    @testable import Prefork

    struct ReentrantRole: Role {
        func run() async throws {
            var configuration = Prefork.Configuration(children: 3)
            configuration.observe = { event in
                Prefork.logToStandardError(event)
                let fleet = currentFleet.withLock { $0 }
                if case .stopped = event.payload { report("stopping \(fleet?.status.isStopping == true)") }
            }
            configuration.hooks.onChildSpawn = { _ in
                let fleet = currentFleet.withLock { $0 }
                report("addresses \(fleet?.status.addresses.count ?? -1)")
            }
            configuration.hooks.onMasterReady = { _ in currentFleet.withLock { $0 }?.stop() }
            let fleet = Prefork(.loopback(), configuration: configuration)
            currentFleet.withLock { $0 = fleet }
            try runBlocking(fleet) { child in answerWithPID(try child.takeListener(), child) }
            if isMaster { report("returned") }
        }
    }
#endif
