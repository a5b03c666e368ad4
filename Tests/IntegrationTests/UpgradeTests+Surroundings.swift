// Upgrades among signals, crashes, other runs, other descriptors and other users.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    extension Integration.Upgrade {
        /// Wherever in the upgrade the TERM comes.
        @Test(arguments: [0, 1, 5, 12, 15, 18, 25, 40].map { 1000 + $0 })
        func aStopAtAnyMoment(milliseconds: Int) throws {
            let subject = try Subject.hello(["--children", "1"])
            _ = try subject.waitForReady(1)
            subject.signal(SIGUSR2)
            try subject.eventually("a new child") { subject.readyPIDs.count == 2 }
            // It is up a second later, and the master's program follows.
            poll(nil, 0, CInt(milliseconds))
            subject.signal(SIGTERM)
            try subject.expectExit(0, within: 10)
            try subject.waitUntilAlone()
            #expect(subject.logLines("stopped").count == 1, subject.log)
        }

        /// Children that crash again and again, while one upgrade follows the other.
        @Test func crashesDuringUpgrades() throws {
            let subject = try Subject.hello(["--children", "3", "--listening", "sharded"])
            _ = try subject.waitForReady(3)
            for generation in 2...4 {
                subject.signal(SIGUSR2)
                let done = "the master runs generation \(generation), too"
                for _ in 0..<400 where subject.logLines(done).isEmpty {
                    // Not those of the new build before they are up, because they would end the upgrade.
                    let old = subject.logLines("drains, because").compactMap { columns($0).dropFirst().first }
                    if let pid = old.last.flatMap({ pid_t(String($0)) }) { kill(pid, SIGKILL) }
                    poll(nil, 0, 10)
                }
                try subject.waitForLog(done)
            }
            try subject.waitForChildren(3) { _ in true }
            kill(try #require(subject.readyPIDs.last), SIGKILL)
            try subject.waitForChildren(3) { _ in true }
            subject.signal(SIGTERM)
            try subject.expectExit(0)
        }

        @Test func twoAtOnceAndARestart() throws {
            let subject = try Subject.hello(["--children", "2", "--readiness", "explicit"])
            _ = try subject.waitForReady(2)
            subject.signal(SIGUSR2)
            try subject.waitForLog("restarting: all slots get generation 2")
            subject.signal(SIGUSR2)
            subject.signal(SIGHUP)
            try subject.waitForLog("the master runs generation 3, too")
            try subject.waitForRestart(3, 2)
            #expect(subject.logLines("upgraded").count == 2, subject.log)
            subject.signal(SIGTERM)
            try subject.expectExit(0)
        }

        @Test func ignoredAtTheStart() throws {
            let subject = try Subject.start(FleetRole(), ignored: "USR2")
            _ = try subject.waitForReady(2)
            subject.signal(SIGUSR2)
            subject.signal(SIGHUP)
            try subject.waitForRestart(2, 2)
            #expect(subject.logLines("upgraded").isEmpty, subject.log)
            subject.signal(SIGTERM)
            try subject.expectExit(0)
        }

        /// Runs that had ended before are not repeated, and code after the run comes once.
        @Test(arguments: [false, true])
        func laterRuns(isAsync: Bool) throws {
            let file = try makeDirectory()
            defer { removeTree(file) }
            let role = UpgradeRole(file: "\(file)/build", earlierRuns: 2, isAsync: isAsync)
            let subject = try Subject.start(role)
            _ = try subject.waitForReady(2)
            subject.signal(SIGUSR2)
            try subject.waitForLog("the master runs generation 2, too")
            subject.signal(SIGTERM)
            try subject.expectExit(0)
            #expect(subject.reports("earlier").count == 4, subject.log("two in each program"))
            #expect(subject.reports.filter { $0 == "returned" }.count == 1, subject.log)
        }

        /// The descriptors of the first program's start stay, and those that programs open do not pile up.
        @Test func foreignDescriptors() throws {
            let directory = try makeDirectory()
            defer { removeTree(directory) }
            let role = UpgradeRole(file: "\(directory)/build", opensDescriptor: true)
            let subject = try Subject.start(
                role, under: ["/bin/sh", "-c", "exec 9</dev/zero; exec \"$0\" \"$@\""])
            _ = try subject.waitForReady(2)
            for generation in 2...4 {
                subject.signal(SIGUSR2)
                try subject.waitForLog("the master runs generation \(generation), too")
                #expect(openDescriptors(subject.pid).compactMap { Int($0) }.filter { $0 >= 300 } == [300], subject.log)
                #expect(
                    System.identity(following: CString("/proc/\(subject.pid)/fd/9"))
                        == System.identity(following: CString("/dev/zero")), subject.log)
            }
            subject.signal(SIGTERM)
            try subject.expectExit(0)
        }

        @Test func aTakeoverOfBind() throws {
            let subject = try Subject.takeover("bind:127.0.0.1:0", "serve")
            _ = try subject.waitForReady(2)
            let port = try subject.port()
            let load = Load(port: port, clients: 2)
            subject.signal(SIGUSR2)
            try subject.waitForLog("the master runs generation 2, too")
            let count = load.stop()
            #expect(count.answered > 0 && count.refused == 0, subject.log("\(count)"))
            let children = try subject.waitForChildren(2) { _ in true }
            kill(children[0], SIGKILL)
            try subject.eventually("a replacement") { subject.readyPIDs.count == 5 }
            #expect(subject.boundPorts.allSatisfy { $0 == port }, subject.log)
            subject.signal(SIGTERM)
            try subject.expectExit(0)
        }

        @Test func aUnixDomainSocket() throws {
            let directory = try makeDirectory()
            defer { removeTree(directory) }
            let path = "\(directory)/socket"
            let subject = try Subject.hello(["--children", "2"], address: "unix:\(path)")
            _ = try subject.waitForReady(2)
            let identity = System.identity(following: CString(path))
            subject.signal(SIGUSR2)
            try subject.waitForLog("the master runs generation 2, too")
            #expect(System.identity(following: CString(path)) == identity, subject.log)
            subject.signal(SIGTERM)
            try subject.expectExit(0)
            #expect(access(path, F_OK) != 0, subject.log("the new master has removed it"))
        }

        @Test(.enabled(if: Namespace.command != nil, Namespace.reason))
        func processOne() throws {
            let subject = try Subject.hello(
                ["--children", "2", "--readiness", "explicit"], under: Namespace.command ?? [])
            _ = try subject.waitForReadyInNamespace(2)
            let master = try subject.descendant(1)
            kill(master, SIGUSR2)
            try subject.waitForLog("the master runs generation 2, too")
            #expect(try subject.descendant(1) == master)
            #expect(get("/", port: try subject.port()) == .hello, subject.log)
            kill(master, SIGTERM)
            try subject.expectExit(0)
        }

        /// The shell knows the number that its program will have.
        @Test func forgedHandovers() throws {
            for value in [
                "", "1", "nonsense", "1 $$ 0:1:2 -", "1 $$ 99:1:2 -", "0 $$ 0:0:0 -",
                "1 $$ 3:$(stat -L -c %d:%i /dev/null) -",
            ] {
                let script = "exec 3</dev/null; export PREFORK_HANDOVER=\"\(value)\"; exec \"$0\" \"$@\""
                let subject = try Subject.hello(under: ["/bin/sh", "-c", script])
                try subject.expectExit(64)
                #expect(subject.logLines("cannot take the place").count == 1, subject.log(value))
            }
        }

        /// A program that starts a fleet of its own, before it has looked for its handover.
        @Test func theHandoverOfAnotherProcess() throws {
            let subject = try Subject.hello(["--children", "1"], environment: ["PREFORK_HANDOVER": "1 1 3:1:2 -"])
            _ = try subject.waitForReady(1)
            let environment = try System.readFile("/proc/\(subject.readyPIDs[0])/environ")
            #expect(!String(decoding: environment, as: UTF8.self).contains("PREFORK_HANDOVER"), subject.log)
            subject.signal(SIGTERM)
            try subject.expectExit(0)
        }

        /// A forged variable must not choose what a set-user-ID program executes.
        @Test(.enabled(if: Namespace.asOrdinaryUser != nil, "this user has no privileges to give up"))
        func aProgramWithMoreRights() throws {
            let program = product("hello-prefork")
            let programs = try PublicPrograms([program])
            defer { withExtendedLifetime(programs) {} }
            let path = programs[program]
            chmod(path, 0o4755)
            let mark = "\(path).mark"
            try writeBytes(Array("#!/bin/sh -p\ntouch \(mark)\n".utf8), to: "\(path).other")
            chmod("\(path).other", 0o755)
            let script =
                "exec 3</dev/null; export PREFORK_HANDOVER=\"1 $$ 3:$(stat -L -c %d:%i /dev/null) \(path).other\"; "
                + "exec \"$0\" \"$@\""
            let user = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            let subject = try Subject.hello(
                ["--children", "1"], under: user + ["/bin/sh", "-c", script], program: path)
            _ = try subject.waitForReady(1)
            #expect(access(mark, F_OK) != 0, subject.log("the other program was executed"))
            subject.signal(SIGTERM)
            try subject.expectExit(0)
        }
    }
#endif
