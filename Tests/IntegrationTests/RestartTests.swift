// Restarts of real fleets.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Restart {
            @Test(arguments: ["sharded", "shared"])
            func allChildrenRunTheNewBuild(listening: String) throws {
                let deploy = try Deploy()
                let subject = try Subject.hello(
                    ["--children", "3", "--listening", listening, "--readiness", "explicit"], program: deploy.path)
                let old = try subject.waitForReady(3)
                let port = try subject.port()
                #expect(get("/build", port: port).body == Deploy.text(0), subject.log)
                let load = Load(port: port, clients: 4)
                try deploy.replace(byBuild: 1)
                subject.signal(SIGHUP)
                try subject.waitForRestart(2, 3)
                #expect(subject.descendants.allSatisfy { !old.contains($0.pid) }, subject.log)
                let count = load.stop()
                #expect(count.answered > 0 && count.cut + count.refused + count.timedOut == 0, subject.log("\(count)"))
                for _ in 0..<10 {
                    #expect(get("/build", port: port).body == Deploy.text(1), subject.log)
                    #expect(get("/generation", port: port).body == "2", subject.log)
                }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.logLines("recovering") == [], subject.log("all exits were planned"))
            }

            /// The old child has a request that takes long. It does not keep the new one from accepting.
            @Test(arguments: ["sharded", "shared"])
            func aLongRequestHoldsUpNoOther(listening: String) throws {
                let subject = try Subject.hello(
                    ["--children", "1", "--listening", listening, "--readiness", "explicit", "--grace", "30"])
                let old = try subject.waitForReady(1)[0]
                let port = try subject.port()
                let connection = try #require(Connection.open(port: port))
                try #require(connection.send("/slow?ms=3000"))
                try subject.waitUntilInFlight(1)
                subject.signal(SIGHUP)
                try subject.waitForLog("restarted: all slots run generation 2")
                for _ in 0..<20 { #expect(get("/", port: port, timeout: 2) == .hello, subject.log) }
                #expect(ProcessState(old)?.isZombie == false, subject.log("it still has its request"))
                #expect(connection.receive() == .hello, subject.log)
            }

            /// An init that leads the session and has no terminal passes a HUP on.
            @Test func hangUpFromAnInit() throws {
                let script = "trap 'kill -HUP $c' HUP; \"$0\" \"$@\" & c=$!; while :; do wait $c; done"
                let subject = try Subject.hello(
                    ["--children", "1", "--readiness", "explicit"], under: ["/bin/sh", "-c", script])
                _ = try subject.waitForReady(1)
                subject.signal(SIGHUP)
                try subject.waitForLog("restarted: all slots run generation 2")
            }

            /// Releases in directories of their own, and a link to the one that serves.
            @Test func aLinkLeadsToTheNewRelease() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                for release in 0...1 {
                    mkdir("\(directory)/\(release)", 0o755)
                    try Deploy.write(build: release, to: "\(directory)/\(release)/server")
                }
                symlink("0", "\(directory)/current")
                let subject = try Subject.hello(
                    ["--children", "2", "--readiness", "explicit"], program: "\(directory)/current/server")
                _ = try subject.waitForReady(2)
                symlink("1", "\(directory)/next")
                rename("\(directory)/next", "\(directory)/current")
                // Until a restart, the old release is what the fleet runs.
                let port = try subject.port()
                kill(subject.readyPIDs[0], SIGKILL)
                _ = try subject.waitForReady(2)
                #expect(get("/build", port: port).body == Deploy.text(0), subject.log)
                subject.signal(SIGHUP)
                try subject.waitForRestart(2, 2)
                #expect(get("/build", port: port).body == Deploy.text(1), subject.log)
            }

            /// One generation is one build, whatever happens to its file.
            @Test func aGenerationStaysTheBuildThatItWas() throws {
                let deploy = try Deploy()
                let subject = try Subject.hello(
                    ["--children", "2", "--listening", "shared", "--readiness", "explicit"], program: deploy.path)
                _ = try subject.waitForReady(2)
                let port = try subject.port()
                try deploy.replace(byBuild: 1)
                subject.signal(SIGHUP)
                try subject.waitForRestart(2, 2)
                for change in [{ try deploy.replace(byBuild: 2) }, { unlink(deploy.path) }] {
                    try change()
                    let before = try subject.waitForChildren(2) { _ in true }
                    for pid in before { kill(pid, SIGKILL) }
                    try subject.waitForChildren(2) { !before.contains($0) }
                    #expect(get("/build", port: port).body == Deploy.text(1), subject.log)
                }
                // The file is gone, so there is nothing to restart with.
                subject.signal(SIGHUP)
                try subject.waitForLog("generation 3 failed, and generation 2 serves on: ")
                #expect(subject.logLines("No such file or directory").count == 1, subject.log)
                #expect(get("/build", port: port).body == Deploy.text(1), subject.log)
            }

            /// New builds that crash at their start, only in the third slot, or some time after they were up.
            @Test(arguments: [
                (script: "exit 3", options: [String](), reason: "status 3", inLog: "(slot 0)"),
                ("[ $PREFORK_SLOT = 2 ] && exit 4", [], "status 4", "(slot 2)"),
                ("(sleep 1; kill -9 $$) &", ["--restart-bake", "30"], "signal 9", "(slot 0)"),
            ])
            func aBadBuildGoesBack(
                script: String, options: [String], reason: String, inLog: String
            ) throws {
                let deploy = try Deploy()
                let subject = try Subject.hello(
                    ["--children", "3", "--readiness", "explicit"] + options, program: deploy.path)
                let old = try subject.waitForReady(3)
                let port = try subject.port()
                let load = Load(port: port, clients: 4)
                try deploy.replace(byScript: script)
                subject.signal(SIGHUP)
                try subject.waitForLog("all slots are back at generation 1")
                let fault = try #require(subject.logLines("generation 2 failed, and generation 1 serves on").first)
                #expect(fault.contains(reason) && fault.contains(inLog), subject.log)
                try subject.waitForChildren(3) { _ in true }
                let count = load.stop()
                // The canary is killed, and each of the four clients loses at most the request that it had there.
                #expect(count.cut <= (options.isEmpty ? 0 : 4), subject.log("\(count)"))
                #expect(count.refused + count.timedOut == 0, subject.log("\(count)"))
                for _ in 0..<10 { #expect(get("/build", port: port).body == Deploy.text(0), subject.log) }
                if script == "exit 3" {
                    let now = try subject.waitForChildren(3) { _ in true }
                    #expect(Set(now) == Set(old), subject.log("no child was replaced"))
                }
                if !options.isEmpty { return }
                // A good build can follow.
                try deploy.replace(byBuild: 1)
                subject.signal(SIGHUP)
                try subject.waitForRestart(3, 3)
                #expect(get("/build", port: port).body == Deploy.text(1), subject.log)
            }

            @Test func aBuildThatIsNeverReadyGoesBack() throws {
                let subject = try Subject.start(
                    FleetRole(
                        readinessTimeout: .seconds(1), observer: .restartsAtStatus, firstServe: .answerWhenReady,
                        serve: .waitForStop))
                _ = try subject.waitForReady(2)
                subject.signal(SIGUSR1)
                try subject.waitForLog("all slots are back at generation 1")
                #expect(subject.logLines(" was not ready in time").count == 1, subject.log)
            }

            /// HUP while the fleet starts, twice at once, in a back-off, and in a stop.
            @Test func hangUpAtAnyMoment() throws {
                let deploy = try Deploy()
                let subject = try Subject.hello(
                    ["--children", "8", "--readiness", "explicit"], program: deploy.path)
                try subject.waitForLog("to watch children")
                subject.signal(SIGHUP)
                try subject.waitForLog("restarted: all slots run generation 2")
                subject.signal(SIGHUP)
                try subject.waitForLog("restarting: all slots get generation 3")
                subject.signal(SIGHUP)
                subject.signal(SIGHUP)
                try subject.waitForLog("restarted: all slots run generation 4")
                subject.signal(SIGHUP)
                subject.signal(SIGTERM)
                subject.signal(SIGHUP)
                try subject.expectExit(0)
                #expect(subject.descendants.map(\.pid) == [], subject.log)
            }

            /// nohup ignores HUP, and so do the master and its children.
            @Test func anIgnoredHangUpStaysIgnored() throws {
                let subject = try Subject.hello(["--children", "1"], under: ["/usr/bin/nohup"])
                _ = try subject.waitForReady(1)
                kill(-subject.pid, SIGHUP)
                subject.signal(SIGUSR1)
                try subject.waitForLog("status: master")
                #expect(subject.logLines("restarting") == [], subject.log)
                #expect(subject.logLines("stopping") == [], subject.log)
            }

            /// A restart by HUP to the whole process group. The children ignore it.
            @Test func hangUpOfTheGroup() throws {
                let subject = try Subject.hello(["--children", "2", "--readiness", "explicit"])
                _ = try subject.waitForReady(2)
                kill(-subject.pid, SIGHUP)
                try subject.waitForLog("restarted: all slots run generation 2")
                #expect(subject.logLines("recovering") == [], subject.log)
            }

            /// A terminal that closes is a request to stop.
            @Test func aTerminalThatCloses() throws {
                // The other end of the terminal, opened as posix_openpt(3) and unlockpt(3) do it.
                let controller = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
                try #require(controller >= 0)
                var (isLocked, number): (CInt, CInt) = (0, 0)
                let (setLock, getNumber): (UInt, UInt) = (0x4004_5431, 0x8004_5430)  // TIOCSPTLCK, TIOCGPTN
                let isOpen = ioctl(controller, setLock, &isLocked) == 0 && ioctl(controller, getNumber, &number) == 0
                // The first terminal that the leader of a session opens becomes the session's own.
                let subject = try Subject.hello(
                    ["--children", "2"],
                    under: ["/bin/sh", "-c", "exec 3<>/dev/pts/\(number); exec \"$0\" \"$@\""])
                defer { close(controller) }
                try #require(isOpen)
                _ = try subject.waitForReady(2)
                // The kernel hangs up when the last process has closed its copy of the other end.
                let null = open("/dev/null", O_RDONLY)
                dup2(null, controller)
                close(null)
                try subject.expectExit(0)
                #expect(subject.logLines("stopping: signal 1 (HUP)").count == 1, subject.log)
            }

            /// A key that does not fit is refused before a child is started.
            @Test func aBadKeyIsRefused() throws {
                let identity = try TestIdentity()
                defer { identity.remove() }
                let subject = try Subject.start(
                    FleetRole(tls: .files(chain: identity.chain, key: identity.key), observer: .restartsAtStatus))
                let old = try subject.waitForReady(2)
                try writeBytes(Array("no key".utf8), to: identity.key)
                subject.signal(SIGUSR1)
                try subject.waitForLog("generation 2 failed, and generation 1 serves on: ")
                #expect(subject.logLines("the private key").count == 1, subject.log)
                #expect(subject.logLines("in place of") == [], subject.log)
                #expect(Set(subject.descendants.map(\.pid)) == Set(old), subject.log)
            }
        }
    }
#endif
