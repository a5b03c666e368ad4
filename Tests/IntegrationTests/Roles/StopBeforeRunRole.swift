// A fleet that is stopped before it runs.
#if os(Linux)
    import Prefork

    struct StopBeforeRunRole: Role {
        func run() async throws {
            let fleet = Prefork(.loopback(), configuration: .init(children: 1))
            fleet.stop()
            fleet.stop()
            try runBlocking(fleet) { _ in }
            report("returned with \(fleet.status.slots.count) slots")
        }
    }
#endif
