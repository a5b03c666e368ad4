// A second run in the same master, while the first runs.
#if os(Linux)
    import Prefork

    struct SecondRunRole: Role {
        func run() async throws {
            let second = Prefork(.loopback(), configuration: .init(children: 1))
            var configuration = Prefork.Configuration(children: 1)
            configuration.hooks.onMasterReady = { _ in
                do { try second.run { _ in } } catch { report("second \(error)") }
            }
            let fleet = Prefork(.loopback(), configuration: configuration)
            try runBlocking(fleet) { child in answerWithPID(try child.takeListener(), child) }
            report("returned")
        }
    }
#endif
