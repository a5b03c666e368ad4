// The master as process 1, under an init, and below both.
#if os(Linux)
    import PreforkLibc
    import Testing

    private let inits = ["/usr/bin/tini", "/usr/bin/dumb-init", "/usr/bin/catatonit"]
    private let missing = inits.filter { access($0, X_OK) != 0 }
    // Not in the macro: Swift 6.0.3 crashes at an interpolation there.
    private let missingReason = Comment(rawValue: "not installed: \(missing)")

    extension Integration {
        @Suite(.enabled(if: Namespace.command != nil, Namespace.reason))
        struct ProcessOne {
            private let namespace = Namespace.command ?? []
            /// Keeps process 1 alive after the program's end, so that nothing but the children's own watch ends them.
            private static let staying = ["/bin/sh", "-c", "\"$0\" \"$@\"; sleep 1000"]

            /// The kernel keeps defaulted signals from process 1.
            @Test(arguments: [SIGTERM, SIGINT])
            func stopsBySignal(number: CInt) throws {
                let subject = try Subject.role("fleet", "children=2", under: namespace)
                let children = try subject.waitForReadyInNamespace(2)
                let master = try subject.descendant(1)
                try subject.require(subject.outerPID(of: 1) == master, "the master is process 1")
                try subject.require(subject.errors.contains("prefork[1]: "), "and knows it")
                kill(master, SIGUSR1)
                try subject.waitForError("slot  state")
                try subject.require(body(get("/", port: subject.port())) != nil, "it serves")
                kill(master, number)
                try subject.require(subject.wait() == 0, "status 0")
                try subject.require(
                    subject.told.contains("clean") && subject.told.contains("returned"), "\(subject.told)")
                for child in children { try subject.require(ProcessState(child) == nil, "\(child) is gone") }
            }

            @Test(.enabled(if: Namespace.asOrdinaryUser != nil, "this user has no privileges to give up"))
            func asAnOrdinaryUser() throws {
                let program = product("hello-prefork")
                let programs = try PublicPrograms([program])
                let subject = try Subject.hello(
                    ["--children", "2", "--listening", "sharded"], under: namespace + (Namespace.asOrdinaryUser ?? []),
                    program: programs[program])
                let children = try subject.waitForReadyInNamespace(2)
                let master = try subject.descendant(1)
                let uids = statusField("Uid", of: "/proc/\(master)/status").split(separator: "\t")
                try subject.require(uids.allSatisfy { $0 == "65534" }, "an ordinary user: \(uids)")
                try subject.require(
                    statusField("CapEff", of: "/proc/\(master)/status") == "0000000000000000", "no capability")
                kill(children[0], SIGKILL)
                try subject.eventually("a replacement") { subject.errors.contains(" in place of ") }
                _ = try subject.waitForReadyInNamespace(2)
                try subject.require(
                    get("/", port: try subject.port()) == .answer(status: 200, body: "Hello world!", closes: true),
                    "serves")
                try subject.require(!subject.errors.contains("cannot be steered"), "steering needs no privilege")
                kill(master, SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            /// Whoever looks at the container sees the program's own status.
            @Test func exitStatusesPassThrough() throws {
                let bad = try Subject.hello(address: "no:where:at:all", under: namespace)
                try bad.require(bad.wait() == 64, "a bad address is 64")
                let refused = try Subject.hello(["--children", "1"], address: "192.0.2.1:0", under: namespace)
                try refused.require(refused.wait() == 64, "one that is not ours, too")
                let crashing = try Subject.role("fleet", "children=1;interval=0;serve=exit:78", under: namespace)
                try crashing.require(
                    crashing.wait() == 0 && crashing.told.contains("childless"), "the role's own status")
            }

            /// The program, then whatever is around it, ends with the program's status.
            @Test(.enabled(if: missing.isEmpty, missingReason), arguments: inits)
            func underAnInit(path: String) throws {
                let subject = try Subject.hello(["--children", "2"], under: namespace + [path, "--"])
                let children = try subject.waitForReadyInNamespace(2)
                let (one, master) = (try subject.descendant(1), try subject.descendant(2))
                try subject.require(ProcessState(children[0])?.parent == master, "the master is below the init")
                kill(children[0], SIGKILL)
                try subject.eventually("a replacement") { subject.errors.contains(" in place of ") }
                // What `docker stop` does; the init hands it on.
                kill(one, SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
                try subject.require(subject.errors.contains("stopping: signal 15 (TERM)"), "an orderly stop")
            }

            @Test(.enabled(if: missing.isEmpty, missingReason), arguments: inits)
            func aMasterDiesUnderAnInit(path: String) throws {
                let subject = try Subject.hello(["--children", "3"], under: namespace + [path, "--"] + Self.staying)
                try childrenLeave(subject, 3, masterDepth: 3)
            }

            /// The master's own parent is process 1: the children must not take that for an orphan's state.
            @Test func aMasterDiesBelowProcessOne() throws {
                let subject = try Subject.hello(["--children", "3"], under: namespace + Self.staying)
                try childrenLeave(subject, 3, masterDepth: 2)
            }

            @Test(arguments: ["", "mechanisms=polling", "mechanisms=polling;noChannel;parentPoll=50"])
            func aMasterDiesTwoLevelsBelow(settings: String) throws {
                let subject = try Subject.role(
                    "fleet", "children=2;\(settings)", under: namespace + Self.staying + Self.staying)
                try childrenLeave(subject, 2, masterDepth: 3)
            }

            private func childrenLeave(_ subject: Subject, _ count: Int, masterDepth: Int) throws {
                let children = try subject.waitForReadyInNamespace(count)
                let (one, master) = (try subject.descendant(1), try subject.descendant(masterDepth))
                for child in children {
                    try subject.require(ProcessState(child)?.parent == master, "\(child) is the master's")
                }
                // Longer than a poll of the parent: nobody leaves for nothing.
                poll(nil, 0, 200)
                try subject.require(children.allSatisfy { ProcessState($0)?.isZombie == false }, "all live")
                kill(master, SIGKILL)
                try subject.eventually("the children's end") {
                    children.allSatisfy { ProcessState($0)?.isZombie ?? true }
                }
                try subject.require(ProcessState(one)?.isZombie == false, "it was not the end of the namespace")
            }
        }

        /// strace(1) delays what the resolver reads, from outside of the namespace.
        @Suite(.enabled(if: Namespace.canBeTraced, "strace(1) cannot trace a PID namespace here, or there is none"))
        struct SlowResolver {
            /// A container's stop must not be lost because a name server is slow: for process 1 the default is to ignore it.
            @Test func processOneHearsAStopBeforeItKnowsItsAddress() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let trace = "\(directory)/trace"
                // Far longer than the test: it ends with the tracer.
                let delay = ["-P", "/etc/hosts", "-e", "trace=openat", "-e", "inject=openat:delay_enter=600000000"]
                let subject = try Subject.hello(
                    ["--children", "1"], address: "localhost:0",
                    under: Namespace.tracer + ["-o", trace] + delay + (Namespace.command ?? []))
                try subject.eventually("the resolver at work") {
                    readText(trace)?.contains("openat(AT_FDCWD, \"/etc/hosts\"") == true
                }
                let master = try subject.descendant(2)
                try subject.require(subject.outerPID(of: 1) == master, "it is process 1")
                let caught = UInt64(statusField("SigCgt", of: "/proc/\(master)/status"), radix: 16) ?? 0
                try subject.require(caught & (1 << (UInt64(SIGTERM) - 1)) != 0, "TERM is handled already")
                kill(master, SIGTERM)
                subject.signal(SIGKILL)
                try subject.waitForError("stopping: signal 15 (TERM)")
                try subject.waitUntilAlone()
                try subject.require(subject.errors.contains(": stopped\n"), "an orderly stop")
            }
        }

        /// A kernel without pidfd, and seccomp profiles that deny it.
        @Suite(
            .enabled(
                if: Namespace.runs(["/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "/bin/true"]), "no strace(1)"))
        struct WithoutPidfd {
            private func wrapper(_ error: String, _ calls: String) -> [String] {
                [
                    "/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=\(calls)", "-e",
                    "inject=\(calls):error=\(error)",
                ]
            }

            @Test(
                arguments: ["ENOSYS", "EPERM"], ["pidfd_open", "pidfd_send_signal", "pidfd_open,pidfd_send_signal"])
            func everythingStillWorks(error: String, calls: String) throws {
                let subject = try Subject.role("fleet", "children=2;interval=0", under: wrapper(error, calls))
                let children = try subject.waitForReady(2)
                let master = try subject.descendant(1)
                let lines = subject.errors.split(separator: "\n").filter { $0.contains("SIGCHLD and ppid polling") }
                try subject.require(lines.count == 1, "the log says once what is in use")
                kill(children[0], SIGKILL)
                try subject.eventually("a replacement") { subject.told("onChildRecover").count == 1 }
                let living = try subject.waitForReady(2)
                try subject.require(body(get("/", port: try subject.port())) != nil, "it serves")
                kill(master, SIGKILL)
                try subject.eventually("the children's end") {
                    living.allSatisfy { ProcessState($0)?.isZombie ?? true }
                }
            }

            @Test func stops() throws {
                let subject = try Subject.role("fleet", "children=2", under: wrapper("EPERM", "pidfd_open"))
                _ = try subject.waitForReady(2)
                kill(try subject.descendant(1), SIGTERM)
                try subject.waitForTold("clean")
                try subject.require(subject.wait() == 0, "status 0")
            }
        }
    }
#endif
