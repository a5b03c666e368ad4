// A program with signal handlers of its own, from before the run and from during it.
#if os(Linux)
    import PreforkLibc
    import Prefork
    import Synchronization
    import Testing

    struct HandlersRole: Role {
        func run() async throws {
            signal(SIGTERM) { _ in reportFromHandler("@ own TERM\n") }
            signal(SIGUSR1, SIG_IGN)
            var configuration = Prefork.Configuration(children: 1)
            configuration.hooks.onMasterReady = { _ in signal(SIGINT) { _ in reportFromHandler("@ own INT\n") } }
            let fleet = Prefork(.loopback(), configuration: configuration)
            try runBlocking(fleet) { child in answerWithPID(try child.takeListener(), child) }
            guard isMaster else { return }
            kill(getpid(), SIGUSR1)
            kill(getpid(), SIGTERM)
            kill(getpid(), SIGINT)
            // Signals reach this thread before kill(2) returns, or another thread soon after.
            do {
                try eventually("both handlers") { handlerCalls.load(ordering: .relaxed) == 2 }
            } catch { report("\(error)") }
            report("returned")
        }
    }

    private let handlerCalls = Atomic<Int>(0)

    private func reportFromHandler(_ text: StaticString) {
        _ = write(1, text.utf8Start, text.utf8CodeUnitCount)
        handlerCalls.wrappingAdd(1, ordering: .relaxed)
    }
#endif
