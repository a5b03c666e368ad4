// A fleet of one whose child reports its signal state.
#if os(Linux)
    import PreforkLibc
    import Prefork

    /// The master runs in whatever thread the test library uses.
    struct SignalStateRole: Role {
        func run() async throws {
            let fleet = Prefork(.loopback(), configuration: .init(children: 1))
            if case .child = Prefork.role {
                report("SigBlk \(statusField("SigBlk", of: "/proc/self/task/\(getpid())/status"))")
                report("SigIgn \(statusField("SigIgn"))")
            }
            try runBlocking(fleet) { child in
                report("SigCgt \(statusField("SigCgt"))")
                answerWithPID(try child.takeListener(), child)
            }
            report("returned")
        }
    }
#endif
