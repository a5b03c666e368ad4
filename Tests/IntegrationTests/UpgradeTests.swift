// Upgrades of real fleets: another program in the same master process.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    /// The numbers of a process's descriptors.
    func openDescriptors(_ pid: pid_t) -> [String] {
        ((try? System.entries(of: "/proc/\(pid)/fd")) ?? []).sorted()
    }

    /// A port on which the test listens as long as this value lives.
    private final class TakenPort {
        private let socket: OpenSocket
        let number: Int

        init() throws {
            socket = OpenSocket(try PlatformListener.makeSocket(family: AF_INET))
            try Listener.resolve(.loopback()).socketAddress?.bind(socket.raw, context: "a test")
            try System.listen(socket.raw, backlog: 1)
            number = Int(try SocketAddress(of: socket.raw).port)
        }
    }

    extension Integration {
        @Suite struct Upgrade {
            @Test(arguments: ["sharded", "shared"])
            func theMasterRunsTheNewBuild(listening: String) throws {
                let deploy = try Deploy()
                let subject = try Subject.hello(
                    ["--children", "2", "--listening", listening, "--readiness", "explicit"], program: deploy.path)
                _ = try subject.waitForReady(2)
                let port = try subject.port()
                let load = Load(port: port, clients: 4)
                var counts: [Int] = []
                for build in 1...3 {
                    try deploy.replace(byBuild: build)
                    let program = System.identity(following: CString(deploy.path))
                    subject.signal(SIGUSR2)
                    try subject.waitForLog("the master runs generation \(build + 1), too")
                    #expect(
                        System.identity(following: CString("/proc/\(subject.pid)/exe")) == program, subject.log)
                    #expect(get("/build", port: port).body == Deploy.text(build), subject.log)
                    try subject.waitForChildren(2) { _ in true }
                    counts.append(openDescriptors(subject.pid).count)
                }
                let count = load.stop()
                #expect(count.answered > 0 && count.cut + count.refused + count.timedOut == 0, subject.log("\(count)"))
                // The one that watched a child goes a moment after it.
                try subject.eventually("no more descriptors than \(counts)") {
                    openDescriptors(subject.pid).count <= counts[0]
                }
                #expect(readText("/proc/\(subject.pid)/comm") == "server:master\n", subject.log)
                // The new master recovers, restarts and stops as every other.
                kill(try #require(subject.readyPIDs.last), SIGKILL)
                try subject.eventually("a recovery") { !subject.logLines("recovering").isEmpty }
                subject.signal(SIGHUP)
                try subject.waitForRestart(5, 2)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.logLines("error").isEmpty, subject.log)
            }

            /// What the fleet has counted stays.
            @Test func theStatusGoesOn() throws {
                let fleet = try Control.Fleet(["--children", "2", "--readiness", "explicit"])
                let first = try fleet.subject.waitForReady(2)
                kill(first[0], SIGKILL)
                try fleet.subject.eventually("a recovery") { fleet.subject.readyPIDs.count == 3 }
                let client = try fleet.connect()
                let before = try client.request("status").uptime
                let answer = try client.request("upgrade")
                #expect(answer.isDone && answer.number("generation") == 2, fleet.subject.log)
                let status = try client.request("status")
                #expect(status.masterPID == Int(fleet.subject.pid), fleet.subject.log)
                let counters = status.status["counters"] as? [String: Any]
                #expect((counters?["signals"] as? [String: Int])?["9"] == 1, "\(counters ?? [:])")
                #expect(status.slots.compactMap { $0["launches"] as? Int }.reduce(0, +) == 5, fleet.subject.log)
                #expect(status.uptime > before && before > 0, "since the first program has started")
                try fleet.stop()
            }

            /// A client that only watches sees the upgrade, and its connection stays.
            @Test func aWatchingClientStays() throws {
                let fleet = try Control.Fleet(["--children", "1", "--readiness", "explicit"])
                _ = try fleet.subject.waitForReady(1)
                let watching = try fleet.connect()
                try #require(watching.send("watch\n"))
                fleet.subject.signal(SIGUSR2)
                try fleet.subject.waitForLog("the master runs generation 2, too")
                try fleet.subject.eventually("a line of the new program") {
                    guard let answer = try? watching.answer() else { return false }
                    return answer.status["generation"] as? Int == 2
                }
                try fleet.stop()
            }

            /// The path is relative to the directory of the start. The socket and its file stay.
            @Test func aRelativeControlSocket() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let subject = try Subject.hello(
                    ["--children", "1", "--readiness", "explicit", "--control", "control"],
                    under: ["/bin/sh", "-c", "cd '\(directory)' && exec \"$0\" \"$@\""])
                _ = try subject.waitForReady(1)
                let path = "\(directory)/control"
                let identity = System.identity(following: CString(path))
                let client = try #require(ControlConnection(path))
                #expect(try client.request("upgrade").isDone, subject.log)
                #expect(System.identity(following: CString(path)) == identity, subject.log)
                #expect(try #require(ControlConnection(path)).request("status").isDone, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(access(path, F_OK) != 0, subject.log)
            }

            // MARK: Builds that do not take over

            @Test func aBuildThatCannotBeAChild() throws {
                let deploy = try Deploy()
                let subject = try Subject.hello(["--children", "2", "--readiness", "explicit"], program: deploy.path)
                _ = try subject.waitForReady(2)
                let program = System.identity(following: CString("/proc/\(subject.pid)/exe"))
                try deploy.replace(byScript: "exit 3")
                subject.signal(SIGUSR2)
                try subject.waitForLog("generation 2 failed, and generation 1 serves on")
                #expect(System.identity(following: CString("/proc/\(subject.pid)/exe")) == program)
                #expect(get("/build", port: try subject.port()).body == Deploy.text(0), subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func aBuildFromBeforeHandovers() throws {
                let (subject, file) = try start()
                defer { removeTree(file) }
                try UpgradeRole.write(.older, to: "\(file)/build")
                subject.signal(SIGUSR2)
                try subject.waitForLog("the master keeps its program")
                #expect(!subject.logLines("of a build that cannot take over").isEmpty, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// execve(2) fails: the file has lost its right to be executed.
            @Test func theFileMayNotBeExecuted() throws {
                let deploy = try Deploy()
                let subject = try Subject.hello(["--children", "1"], program: deploy.path)
                _ = try subject.waitForReady(1)
                let before = openDescriptors(subject.pid).count
                try deploy.replace(byBuild: 1)
                subject.signal(SIGUSR2)
                // It is up a second later, and the master's program follows.
                try subject.eventually("a new child") { subject.readyPIDs.count == 2 }
                chmod(deploy.path, 0o644)
                try subject.waitForLog("the master keeps its program: execve")
                #expect(!subject.logLines("Permission denied").isEmpty, subject.log)
                try subject.waitForChildren(1) { _ in true }
                // One more program is held open, for a rollback.
                try subject.eventually("no more descriptors") { openDescriptors(subject.pid).count <= before + 1 }
                #expect(get("/generation", port: try subject.port()).body == "2", subject.log)
                // Everything is as before, so the next one succeeds.
                chmod(deploy.path, 0o755)
                subject.signal(SIGUSR2)
                try subject.waitForLog("the master runs generation 3, too")
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// The new program runs, and finds that it cannot take over. The old one goes on.
            @Test(arguments: ["an address that is in use", "an invalid configuration", "another control socket"])
            func theOldProgramComesBack(reason: String) throws {
                let taken = try TakenPort()
                let (subject, file) = try start()
                defer { removeTree(file) }
                let port = try subject.port()
                var role = FleetRole(children: 2)
                switch reason {
                case "an address that is in use": role.addresses.append(.loopback(port: taken.number))
                case "an invalid configuration": role.backlog = -1
                default: role.controlSocket = "\(file)/no/such/directory"
                }
                // Its children do not look at the file again.
                subject.signal(SIGUSR2)
                try subject.eventually("new children") { subject.readyPIDs.count == 4 }
                try UpgradeRole.write(.fleet(role), to: "\(file)/build")
                try subject.waitForLog("the master keeps its program")
                #expect(get("/", port: port).pid != nil, subject.log)
                let children = try subject.waitForChildren(2) { _ in true }
                // It supervises the children of the new build.
                unlink("\(file)/build")
                kill(children[0], SIGKILL)
                try subject.eventually("a recovery") { subject.readyPIDs.count == 5 }
                subject.signal(SIGUSR2)
                try subject.waitForLog("the master runs generation 3, too")
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// The new program is given one address more, which is in use. The old one must not need it when it is
            /// back.
            @Test func theOldProgramNeedsNothingNew() throws {
                let taken = try TakenPort()
                let deploy = try Deploy()
                let subject = try Subject.hello(["--children", "2", "--readiness", "explicit"], program: deploy.path)
                _ = try subject.waitForReady(2)
                let port = try subject.port()
                try deploy.replace(byScript: "[ -z \"$PREFORK_HANDOVER\" ] || set -- \"$@\" 127.0.0.1:\(taken.number)")
                subject.signal(SIGUSR2)
                try subject.waitForLog("the master keeps its program")
                #expect(subject.logLines("cannot take over; executing the old one").count == 1, subject.log)
                let arguments = try System.readFile("/proc/\(subject.pid)/cmdline").split(separator: 0)
                #expect(arguments.last.map { Array($0) } == Array("127.0.0.1:0".utf8), "the old program's own")
                #expect(get("/", port: port) == .hello, subject.log)
                kill(try #require(subject.readyPIDs.last), SIGKILL)
                try subject.eventually("a recovery") { subject.readyPIDs.count == 5 }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// A shell in front of the program takes the status of a child that ends meanwhile.
            @Test func aChildWhoseStatusIsLost() throws {
                let deploy = try Deploy()
                let subject = try Subject.hello(["--children", "2", "--readiness", "explicit"], program: deploy.path)
                _ = try subject.waitForReady(2)
                try deploy.replace(byScript: "[ -z \"$PREFORK_HANDOVER\" ] || sleep 0.5")
                subject.signal(SIGUSR2)
                try subject.waitForLog("the master runs generation 2, too")
                try subject.waitForChildren(2) { _ in true }
                #expect(subject.readyPIDs.count == 4, subject.log("none of those that serve was replaced"))
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            // MARK: What the new build configures differently

            @Test func moreAndFewerChildren() throws {
                let (subject, file) = try start()
                defer { removeTree(file) }
                for (index, count) in [4, 1].enumerated() {
                    try UpgradeRole.write(.fleet(FleetRole(children: count)), to: "\(file)/build")
                    subject.signal(SIGUSR2)
                    try subject.waitForLog("the master runs generation \(index + 2), too")
                    try subject.waitForChildren(count) { _ in true }
                }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// A number that signals have changed stays, if the configuration has not changed.
            @Test func aResizedFleetStays() throws {
                let (subject, file) = try start()
                defer { removeTree(file) }
                subject.signal(SIGTTIN)
                try subject.eventually("a third child") { subject.readyPIDs.count == 3 }
                subject.signal(SIGUSR2)
                try subject.waitForLog("the master runs generation 2, too")
                try subject.waitForChildren(3) { _ in true }
                #expect(subject.logLines("resized").count == 1, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// The new build is a script that starts the program with other arguments.
            @Test(arguments: ["sharded", "shared"])
            func otherAddresses(listening: String) throws {
                let deploy = try Deploy()
                let (second, third) = (try TakenPort().number, try TakenPort().number)
                let options = ["--children", "2", "--listening", listening, "--readiness", "explicit"]
                let subject = try Subject.hello(options, program: deploy.path)
                _ = try subject.waitForReady(2)
                let first = try subject.port()
                let load = Load(port: first, clients: 2)
                // One more, before the one that stays.
                let words = options.joined(separator: " ")
                try deploy.replace(byArguments: "\(words) 127.0.0.1:\(second) 127.0.0.1:0")
                subject.signal(SIGUSR2)
                try subject.waitForLog("all slots run generation 3")
                #expect(get("/", port: second) == .hello, subject.log)
                let count = load.stop()
                #expect(count.answered > 0 && count.cut + count.refused + count.timedOut == 0, subject.log("\(count)"))
                try subject.waitForChildren(2) { _ in true }
                #expect(get("/build", port: second).body == Deploy.text(0), subject.log)
                // Another one in the place of the first. Nobody listens there any more.
                try deploy.replace(byArguments: "\(words) 127.0.0.1:\(third) 127.0.0.1:\(second)")
                let other = Load(port: second, clients: 2)
                subject.signal(SIGUSR2)
                try subject.waitForLog("all slots run generation 5")
                try subject.eventually("a refusal") { get("/", port: first) == .refused }
                #expect(get("/", port: third) == .hello, subject.log)
                let more = other.stop()
                #expect(more.answered > 0 && more.cut + more.refused + more.timedOut == 0, subject.log("\(more)"))
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// - Returns: a fleet of two, and a directory in which the settings of the next build are looked for.
            func start(_ role: FleetRole = FleetRole()) throws -> (Subject, String) {
                let directory = try makeDirectory()
                let subject = try Subject.start(UpgradeRole(file: "\(directory)/build", first: role))
                _ = try subject.waitForReady(role.children ?? 2)
                return (subject, directory)
            }
        }
    }
#endif
