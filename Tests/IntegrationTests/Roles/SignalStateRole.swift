// A fleet of one whose child reports its signal state.
#if os(Linux)
    import PreforkLibc
    import Prefork

    /// The master runs in a thread of the test library, or in a task.
    struct SignalStateRole: Role {
        var isAsync = false

        func run() async throws {
            let fleet = Prefork(.loopback(), configuration: .init(children: 1))
            switch Prefork.role {
            case .child:
                report("SigBlk \(statusField("SigBlk", of: "/proc/self/task/\(getpid())/status"))")
                report("ignored \(signals("SigIgn"))")
            default: report("master \(getpid())")
            }
            if isAsync {
                try await fleet.run { child in
                    report("caught \(signals("SigCgt"))")
                    await child.stopRequested()
                }
            } else {
                try runBlocking(fleet) { child in
                    report("caught \(signals("SigCgt"))")
                    answerWithPID(try child.takeListener(), child)
                }
            }
            report("returned")
        }

        /// The numbers in a field of /proc/self/status, without 32 and 33, which glibc keeps for its threads and
        /// posix_spawn(3) sets itself.
        private func signals(_ field: String) -> String {
            let bits = UInt64(statusField(field), radix: 16) ?? .max
            return (1...64).filter { bits & 1 << UInt64($0 - 1) != 0 && $0 != 32 && $0 != 33 }
                .map { "\($0)" }.joined(separator: " ")
        }
    }
#endif
