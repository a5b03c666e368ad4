// A child that starts a process which outlives it, and must not inherit anything of the fleet.
#if os(Linux)
    import PreforkLibc
    import Prefork

    struct GrandchildRole: Role {
        func run() async throws {
            var configuration = Prefork.Configuration(children: 1)
            configuration.recovery.threshold = .exits(50)
            let fleet = Prefork(.loopback(), configuration: configuration)
            try runBlocking(fleet) { child in
                // It inherits the environment, and everything that is not close-on-exec.
                system("(ls -l /proc/self/fd; echo variables $(env | grep -c ^PREFORK_)) >&2; exec sleep 1000 &")
                report("child \(getpid())")
                answerWithPID(try child.takeListener(), child)
            }
            report("returned")
        }
    }
#endif
