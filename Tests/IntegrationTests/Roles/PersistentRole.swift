// A program that runs its fleet once more whenever it has ended.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork

    struct PersistentRole: Role {
        var firstEnd = End.failure
        /// Reports a SIGTERM that reaches the program.
        var handlesTerm = false

        /// The way to end the first run when both children are ready. They take a second to drain.
        enum End: String, Codable, Sendable, CaseIterable {
            /// A child is killed, and the fleet survives no exit.
            case failure
            /// The program stops the fleet.
            case request
        }

        /// In a thread that takes signals, as the first thread of a program does. Those of the test library block them.
        func run() async throws {
            try inThreadOfItsOwn {
                var mask = sigset_t()
                sigemptyset(&mask)
                pthread_sigmask(SIG_SETMASK, &mask, nil)
                runTwice()
            }
        }

        private func runTwice() {
            if handlesTerm, isMaster { signal(SIGTERM) { _ in _ = write(1, "@ own TERM\n", 11) } }
            for number in 1...2 {
                var configuration = Prefork.Configuration(children: 2)
                let ready = Counter()
                if number == 1 {
                    configuration.recovery.threshold = .never
                    configuration.observe = { event in
                        Prefork.logToStandardError(event)
                        guard event.code == .ready, ready.next() == 2 else { return }
                        switch firstEnd {
                        case .failure: kill(event.pid ?? 0, SIGKILL)
                        case .request: currentFleet.withLock { $0 }?.stop()
                        }
                    }
                }
                let fleet = Prefork(.loopback(), configuration: configuration)
                currentFleet.withLock { $0 = fleet }
                do {
                    try runBlocking(fleet) { child in
                        waitForStop(child)
                        if number == 1 { poll(nil, 0, 1000) }
                        exit(0)
                    }
                    report("ended \(number)")
                } catch { report("failed \(number)") }
            }
        }
    }
#endif
