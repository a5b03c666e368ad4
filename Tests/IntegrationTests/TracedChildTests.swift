// A debugger that holds a dead child.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    /// ptrace(2), which Swift hides.
    private typealias Trace = @convention(c) (CInt, pid_t, UInt, UInt) -> Int
    private let trace = symbol("ptrace", as: Trace.self)
    private let seize: CInt = 0x4206  // PTRACE_SEIZE

    private let canTrace: Bool = {
        guard let subject = try? Subject("/bin/sleep", ["sleep", "60"]) else { return false }
        return trace?(seize, subject.pid, 0, 0) == 0
    }()

    extension Integration {
        @Suite(.enabled(if: canTrace, "ptrace(2) is not allowed here")) struct TracedChild {
            /// The kernel says that such a child has ended, and does not let its parent reap it.
            @Test(arguments: [MechanismChoice.best, .polling])
            func costsTheMasterNothing(mechanisms: MechanismChoice) throws {
                let subject = try Subject.start(FleetRole(mechanisms: mechanisms))
                let children = try subject.waitForReady(2)
                try #require(trace?(seize, children[0], 0, 0) == 0)
                kill(children[0], SIGKILL)
                try subject.eventually("a zombie") { ProcessState(children[0])?.isZombie == true }
                _ = try subject.waitForReady(2)  // Its slot does not wait.
                let before = processorTicks(of: subject.pid)
                poll(nil, 0, 1000)  // The time over which the processor time is measured.
                let ticks = processorTicks(of: subject.pid) - before
                #expect(ticks < 10, subject.log("\(ticks) hundredths of a second"))
                func exits() -> [Substring] {
                    subject.logLines("child \(children[0]) ").filter { $0.contains(" exited: signal 9 (KILL)") }
                }
                #expect(exits() == [], subject.log)
                // Its tracer lets go.
                let wall: CInt = 0x4000_0000  // __WALL
                try #require(waitpid(children[0], nil, wall) == children[0])
                try subject.eventually("its exit in the log") { !exits().isEmpty }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.reports.contains("clean"), subject.log)
            }
        }
    }

    /// In hundredths of a second.
    private func processorTicks(of pid: pid_t) -> Int {
        guard let text = readText("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return 0 }
        let fields = text[end...].split(separator: " ")
        return (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0)
    }
#endif
