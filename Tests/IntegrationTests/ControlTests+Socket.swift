// The control socket's file, who may use it, and hostile clients.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration.Control {
        // MARK: The file

        @Test(arguments: ["file", "link", "directory"])
        func whatElseIsAtThePathStays(kind: String) throws {
            let fleet = try Fleet(prepare: { path in
                switch kind {
                case "file": close(open(path, O_WRONLY | O_CREAT, 0o644))
                case "link": symlink("/dev/null", path)
                default: mkdir(path, 0o755)
                }
            })
            try fleet.subject.expectExit(64)
            let error = try fleet.subject.logLine("error: ")
            #expect(error.contains("unix:\(fleet.path)"), fleet.subject.log)
            #expect(error.contains("which is not a socket"), fleet.subject.log)
            #expect(fleet.subject.logLines("started").isEmpty, fleet.subject.log)
            #expect(mode(fleet.path) != 0o600)
        }

        @Test func theModeDoesNotDependOnTheUmask() throws {
            let fleet = try Fleet(under: ["/bin/sh", "-c", "umask 0; exec \"$0\" \"$@\""])
            _ = try fleet.connect()
            #expect(mode(fleet.path) == 0o600)
            try fleet.stop()
        }

        @Test func aSuccessorReplacesTheSocketOfAKilledMaster() throws {
            let fleet = try Fleet()
            _ = try fleet.connect()
            fleet.subject.signal(SIGKILL)
            try fleet.subject.waitUntilAlone()
            let successor = try Subject.hello(["--children", "1", "--control", fleet.path])
            var answer: ControlConnection.Answer?
            try successor.eventually("an answer") {
                answer = try ControlConnection(fleet.path)?.request("status")
                return answer != nil
            }
            #expect(answer?.masterPID == Int(successor.pid), successor.log)
            successor.signal(SIGTERM)
            try successor.expectExit(0)
        }

        /// A successor serves although its predecessor has the socket, and takes the path when that one is gone.
        @Test func aSuccessorDoesNotWaitForTheSocket() throws {
            let fleet = try Fleet(["--children", "1"])
            _ = try fleet.connect()
            let successor = try Subject.hello(["--children", "1", "--control", fleet.path])
            _ = try successor.waitForReady(1)
            #expect(successor.logLines("Address already in use").count == 1, successor.log)
            #expect(try fleet.connect().request("status").masterPID == Int(fleet.subject.pid))
            try fleet.stop()
            try successor.eventually("the successor's socket") {
                try ControlConnection(fleet.path)?.request("status").masterPID == Int(successor.pid)
            }
            successor.signal(SIGTERM)
            try successor.expectExit(0)
            #expect(access(fleet.path, F_OK) != 0)
        }

        @Test func nothingIsLeftAfterARun() throws {
            let directory = try makeDirectory()
            defer { removeTree(directory) }
            let subject = try Subject.start(FleetRole(runs: 2, controlSocket: "\(directory)/c"))
            for _ in 0..<2 {
                var client: ControlConnection?
                try subject.eventually("a control socket") {
                    client = ControlConnection("\(directory)/c")
                    return client != nil
                }
                let watcher = try #require(ControlConnection("\(directory)/c"))
                #expect(try watcher.request("watch").isDone)
                #expect(try #require(client).request("stop").isDone, subject.log)
                client = nil
                while try watcher.line() != nil {}
            }
            try subject.expectExit(0)
            #expect(subject.reports("clean").count == 2, subject.log)
        }

        @Test func childrenDoNotInheritIt() throws {
            func descriptors(_ options: [String]) throws -> String? {
                let fleet = try Fleet(options)
                let clients = try (0..<5).map { _ in try fleet.connect() }
                for client in clients { #expect(try client.request("status").isDone) }
                let child = try fleet.subject.waitForReady(1)[0]
                kill(child, SIGKILL)
                try fleet.subject.eventually("another child") {
                    try fleet.subject.waitForReady(1)[0] != child
                }
                let body = get("/fds", port: try fleet.subject.port()).body
                try fleet.stop()
                return body
            }
            let plain = try Subject.hello(["--children", "1"])
            _ = try plain.waitForReady(1)
            let expected = get("/fds", port: try plain.port()).body
            plain.signal(SIGTERM)
            #expect(try descriptors(["--children", "1"]) == expected)
        }

        // MARK: Users

        @Test(.enabled(if: Namespace.asOrdinaryUser != nil, "only root can become another user"))
        func anotherUserIsRefused() throws {
            let wrapper = try #require(Namespace.asOrdinaryUser)
            let fleet = try Fleet()
            _ = try fleet.connect()
            chmod(fleet.directory, 0o755)
            let kept = try preforkctl([fleet.path, "stop"], under: wrapper)
            #expect(kept.status == 69 && kept.error.contains("Permission denied"), "\(kept)")
            // Even if the file let it in.
            chmod(fleet.path, 0o666)
            let refused = try preforkctl([fleet.path, "stop"], under: wrapper)
            #expect(refused.status == 1, "\(refused)")
            #expect(
                refused.error == "preforkctl: only user 0 and root may control this fleet, not user 65534\n")
            #expect(try fleet.connect().request("status").isDone)
            try fleet.stop()
        }

        @Test(.enabled(if: Namespace.asOrdinaryUser != nil, "only root can become another user"))
        func rootMayControlTheFleetOfAnother() throws {
            let fleet = try Fleet(
                under: try #require(Namespace.asOrdinaryUser),
                prepare: { chmod(String($0.dropLast("/control".count)), 0o777) })
            #expect(try fleet.connect().request("stop").isDone, fleet.subject.log)
            try fleet.subject.expectExit(0)
        }

        // MARK: Hostile clients

        @Test func theSeventeenthClientIsRefused() throws {
            let fleet = try Fleet(["--children", "1"])
            var clients = try (0..<16).map { _ in try fleet.connect() }
            for client in clients { #expect(try client.request("status").isDone) }
            let last = try fleet.connect()
            #expect(try last.answer().error == "tooManyClients")
            #expect(try last.line() == nil)
            clients.removeLast()
            try fleet.subject.eventually("room for another client") {
                try fleet.connect().request("status").isDone
            }
            try fleet.stop()
        }

        /// Kills the oldest child, once both have been up for a second: the fleet then recovers it at once.
        /// - Returns: how long the fleet takes until another child is ready.
        private func recoveryTime(_ fleet: Fleet) throws -> Duration {
            let children = try fleet.subject.waitForReady(2)
            poll(nil, 0, 1100)
            let count = fleet.subject.readyPIDs.count
            let start = ContinuousClock.now
            kill(children[0], SIGKILL)
            try fleet.subject.eventually("another child") { fleet.subject.readyPIDs.count > count }
            return ContinuousClock.now - start
        }

        @Test func clientsCannotHoldUpTheMaster() throws {
            let fleet = try Fleet(["--children", "2", "--recover-threshold", "1000000"])
            _ = try fleet.connect()
            let port = try fleet.subject.port()
            let usual = try (0..<3).map { _ in try recoveryTime(fleet) }.sorted()
            var clients: [ControlConnection] = []
            let megabyte = String(repeating: "x", count: 1 << 20)
            var bothered: [Duration] = []
            for index in 0..<1000 {
                let client = try fleet.connect()
                switch index % 5 {
                case 0: break  // Says nothing.
                case 1: client.send("stat")
                case 2: client.send("\u{0}\u{7F}garbage\n\n\n")
                case 3: client.send(megabyte)
                default: client.send(String(repeating: "status\n", count: 5000))  // Reads nothing.
                }
                // Each kind is among those that stay.
                clients.append(client)
                if clients.count > 100 { clients.removeFirst() }
                if index % 250 == 249 { bothered.append(try recoveryTime(fleet)) }
                if index % 50 == 0 { #expect(get("/", port: port) == .hello, fleet.subject.log) }
            }
            bothered.sort()
            #expect(bothered[1] < usual[1] + .milliseconds(500), "\(usual) -> \(bothered)")
            clients = []
            try fleet.subject.eventually("room for a client") { try fleet.connect().request("status").isDone }
            try fleet.stop()
        }

        /// Without a client, the socket does not wake the master.
        @Test(.enabled(if: !isSanitized)) func anIdleSocketCostsNothing() throws {
            let fleet = try Fleet()
            _ = try fleet.subject.waitForReady(2)
            let client = try fleet.connect()
            #expect(try client.request("status").isDone)
            func switches() -> String? {
                readText("/proc/\(fleet.subject.pid)/status")?.split(separator: "\n")
                    .first { $0.hasPrefix("voluntary_ctxt") }.map { String($0) }
            }
            // Children count as up after a second. From then on there is nothing to wait for.
            var last: String?
            try fleet.subject.eventually("a second without a turn") {
                let before = switches()
                poll(nil, 0, 1000)
                last = switches()
                return before == last
            }
            #expect(last != nil)
            try fleet.stop()
        }
    }
#endif
