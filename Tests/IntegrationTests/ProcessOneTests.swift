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
            /// Keeps process 1 alive after the program's end, so that only the children's own watch ends them.
            private static let staying = ["/bin/sh", "-c", "\"$0\" \"$@\"; sleep 1000"]

            /// The kernel does not deliver signals to process 1 whose action is the default.
            @Test(arguments: [SIGTERM, SIGINT])
            func stopsBySignal(number: CInt) throws {
                let subject = try Subject.start(FleetRole(), under: namespace)
                let children = try subject.waitForReadyInNamespace(2)
                let master = try subject.descendant(1)
                #expect(subject.outerPID(of: 1) == master, subject.log)
                #expect(subject.standardError.contains("prefork[1]: "), subject.log)
                kill(master, SIGUSR1)
                try subject.waitForLog("slot  state")
                try #require(get("/", port: subject.port()).pid != nil, subject.log)
                kill(master, number)
                try subject.expectExit(0)
                #expect(subject.reports.contains("clean"), subject.log)
                #expect(subject.reports.contains("returned"), subject.log)
                for child in children { #expect(ProcessState(child)?.state == nil, subject.log("\(child)")) }
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
                try #require(Set(uids) == ["65534"], subject.log)
                try #require(statusField("CapEff", of: "/proc/\(master)/status") == "0000000000000000", subject.log)
                kill(children[0], SIGKILL)
                try subject.eventually("a replacement") { subject.standardError.contains(" in place of ") }
                _ = try subject.waitForReadyInNamespace(2)
                try #require(get("/", port: subject.port()) == .hello, subject.log)
                // Steering needs no privilege.
                #expect(subject.logLines("cannot be steered") == [], subject.log)
                kill(master, SIGTERM)
                try subject.expectExit(0)
            }

            /// The container's exit status is the program's own.
            @Test func exitStatusesPassThrough() throws {
                let bad = try Subject.hello(address: "no:where:at:all", under: namespace)
                try bad.expectExit(64)
                let absent = try Subject.hello(
                    ["--children", "1", "--grace", "0"], address: "192.0.2.1:0", under: namespace)
                try absent.expectExit(75)
                let crashing = try Subject.start(
                    FleetRole(children: 1, recoverInterval: .zero, serve: .exit(78)), under: namespace)
                try crashing.expectExit(0)
                #expect(crashing.reports.contains("childless"), crashing.log)
            }

            /// The init ends with the program's status.
            @Test(.enabled(if: missing.isEmpty, missingReason), arguments: inits)
            func underAnInit(path: String) throws {
                let subject = try Subject.hello(["--children", "2"], under: namespace + [path, "--"])
                let children = try subject.waitForReadyInNamespace(2)
                let (one, master) = (try subject.descendant(1), try subject.descendant(2))
                #expect(ProcessState(children[0])?.parent == master, subject.log)
                kill(children[0], SIGKILL)
                try subject.eventually("a replacement") { subject.standardError.contains(" in place of ") }
                // As `docker stop` does. The init forwards the signal.
                kill(one, SIGTERM)
                try subject.expectExit(0)
                #expect(subject.standardError.contains("stopping: signal 15 (TERM)"), subject.log)
            }

            @Test(.enabled(if: missing.isEmpty, missingReason), arguments: inits)
            func aMasterDiesUnderAnInit(path: String) throws {
                let subject = try Subject.hello(["--children", "3"], under: namespace + [path, "--"] + Self.staying)
                try childrenExit(subject, 3, masterDepth: 3)
            }

            /// The parent of the master is process 1. Children must not conclude from that that they are abandoned.
            @Test func aMasterDiesBelowProcessOne() throws {
                let subject = try Subject.hello(["--children", "3"], under: namespace + Self.staying)
                try childrenExit(subject, 3, masterDepth: 2)
            }

            @Test(arguments: [
                FleetRole(), FleetRole(mechanisms: .polling),
                FleetRole(mechanisms: .polling, watchesChannel: false, parentPollInterval: .milliseconds(50)),
            ])
            func aMasterDiesTwoLevelsBelow(role: FleetRole) throws {
                let subject = try Subject.start(role, under: namespace + Self.staying + Self.staying)
                try childrenExit(subject, 2, masterDepth: 3)
            }

            private func childrenExit(_ subject: Subject, _ count: Int, masterDepth: Int) throws {
                let children = try subject.waitForReadyInNamespace(count)
                let (one, master) = (try subject.descendant(1), try subject.descendant(masterDepth))
                for child in children { try #require(ProcessState(child)?.parent == master, subject.log("\(child)")) }
                // No child exits while the master lives. This is longer than between two polls of the parent.
                poll(nil, 0, 200)
                for child in children { try #require(ProcessState(child)?.isZombie == false, subject.log("\(child)")) }
                kill(master, SIGKILL)
                try subject.eventually("the children's end") {
                    children.allSatisfy { ProcessState($0)?.isZombie ?? true }
                }
                #expect(ProcessState(one)?.isZombie == false, subject.log("the namespace lives"))
            }
        }

        /// strace(1) delays the reads of the resolver, from outside of the namespace.
        @Suite(.enabled(if: Namespace.canBeTraced, "strace(1) cannot trace a PID namespace here, or there is none"))
        struct SlowResolver {
            /// A container's stop must not be lost because a name server is slow. Without a handler, process 1 ignores
            /// it.
            @Test func processOneHearsAStopBeforeItKnowsItsAddress() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let trace = "\(directory)/trace"
                // Far longer than the test. The delay ends with the tracer.
                let delay = ["-P", "/etc/hosts", "-e", "trace=openat", "-e", "inject=openat:delay_enter=600000000"]
                let subject = try Subject.hello(
                    ["--children", "1"], address: "localhost:0",
                    under: Namespace.tracer + ["-o", trace] + delay + (Namespace.command ?? []))
                try subject.eventually("the resolver at work") {
                    readText(trace)?.contains("openat(AT_FDCWD, \"/etc/hosts\"") == true
                }
                let master = try subject.descendant(2)
                #expect(subject.outerPID(of: 1) == master, subject.log)
                let caught = try #require(UInt64(statusField("SigCgt", of: "/proc/\(master)/status"), radix: 16))
                #expect(caught & (1 << UInt64(SIGTERM - 1)) != 0, subject.log("TERM is handled already"))
                kill(master, SIGTERM)
                subject.signal(SIGKILL)
                try subject.waitForLog("stopping: signal 15 (TERM)")
                try subject.waitUntilAlone()
                #expect(subject.standardError.contains(": stopped\n"), subject.log)
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
                let subject = try Subject.start(FleetRole(recoverInterval: .zero), under: wrapper(error, calls))
                let children = try subject.waitForReady(2)
                let master = try subject.descendant(1)
                #expect(subject.logLines("SIGCHLD and ppid polling").count == 1, subject.log)
                kill(children[0], SIGKILL)
                try subject.eventually("a replacement") { subject.reports("onChildRecover").count == 1 }
                let living = try subject.waitForReady(2)
                try #require(get("/", port: subject.port()).pid != nil, subject.log)
                kill(master, SIGKILL)
                try subject.eventually("the children's end") {
                    living.allSatisfy { ProcessState($0)?.isZombie ?? true }
                }
            }

            @Test func stops() throws {
                let subject = try Subject.start(FleetRole(), under: wrapper("EPERM", "pidfd_open"))
                _ = try subject.waitForReady(2)
                kill(try subject.descendant(1), SIGTERM)
                try subject.waitForReport("clean")
                try subject.expectExit(0)
            }
        }
    }
#endif
