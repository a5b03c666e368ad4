// Two fleets, one after the other.
#if os(Linux)
    import PreforkLibc
    import Prefork

    struct TwoFleetsRole: Role {
        func run() async throws {
            for name in ["A", "B"] {
                let fleet = Prefork(.loopback(), configuration: .init(children: 2))
                var served = false
                try runBlocking(fleet) { child in
                    served = true
                    report("serving \(name)")
                    answerWithPID(try child.takeListener(), child)
                }
                if served { runAgain(fleet) }
                if isMaster { report("ended \(name)") }
            }
        }

        /// In the child that has served. Files that it opens now may get the numbers that it inherited.
        private func runAgain(_ fleet: Prefork) -> Never {
            let files = (0..<4).map { _ in open("/dev/null", O_RDONLY) }
            do { try fleet.run { _ in report("served twice") } } catch {
                report("again \(error); files \(files.allSatisfy { fcntl($0, F_GETFD) != -1 } ? "open" : "closed")")
            }
            exit(0)
        }
    }
#endif
