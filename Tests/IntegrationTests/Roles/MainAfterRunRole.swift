// The program's fleet after another that the master has run for itself.
#if os(Linux)
    import Prefork

    /// Children don't run the first fleet.
    struct MainAfterRunRole: Role {
        func run() async throws {
            if isMaster {
                let first = Prefork(.loopback(), configuration: .init(children: 1))
                first.stop()
                try runBlocking(first) { _ in }
                report("first ended")
            }
            serveForever()
        }

        private func serveForever() {
            Prefork.main(.loopback(), configuration: .init(children: 2)) { child in
                report("serving main")
                answerWithPID(try child.takeListener(), child)
            }
        }
    }
#endif
