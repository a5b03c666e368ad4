// A program that leaves the directory in which it was started, as daemons do.
#if os(Linux)
    import PreforkLibc
    import Prefork

    struct WorkingDirectoryRole: Role {
        func run() throws {
            if case .child = Prefork.role { report("directory \(readLinkText("/proc/self/cwd"))") }
            chdir("/")
            try runBlocking(Prefork(.loopback(), configuration: .init(children: 1))) { child in
                answerWithPID(try child.takeListener(), child)
            }
            report("returned")
        }
    }
#endif
