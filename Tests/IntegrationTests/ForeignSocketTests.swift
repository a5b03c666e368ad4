// Listeners that another process, or the program itself, has bound.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct ForeignSockets {
            private static let asFound = "listening blocking 33"

            @Test func adoptedListenersServeAndAreGivenBack() throws {
                let subject = try Subject.start(FleetRole(runs: 2, addresses: [], adoptsListener: true))
                try subject.eventually("a port") { !subject.reports("adopting").isEmpty }
                let port = try #require(Int(subject.reports("adopting")[0]))
                for run in 1...2 {
                    // The second run adopts the same listener.
                    try subject.eventually("run \(run)") { subject.readyPIDs.count == 2 * run }
                    try #require(get("/", port: port).pid != nil, subject.log)
                    subject.signal(SIGTERM)
                    try subject.eventually("its end") { subject.reports("returned").count == run }
                }
                #expect(subject.reports("adopted") == [Self.asFound, Self.asFound], subject.log)
                let text =
                    "127.0.0.1:\(port) accepts connections while the children drain: the socket stays its owner's"
                #expect(subject.standardError.contains(text), subject.log)
                try subject.wait()
            }

            @Test(
                "After any failure the owner has its listener as it was",
                arguments: [
                    (FleetRole(children: 0), "invalid children"),
                    (FleetRole(children: 1, failingHook: .call(1, of: .onChildSpawn)), "onChildSpawn failed"),
                    (FleetRole(children: 1, failingHook: .call(1, of: .onMasterReady)), "onMasterReady failed"),
                    (FleetRole(children: 1, serve: .exit(78)), "not trying again"),
                    (FleetRole(children: 1, spawn: .returningMaster), "spawn closure"),
                    (FleetRole(children: 1, listening: .sharded, shardingFault: "no"), "invalid sockets.mode"),
                ])
            func failures(role: FleetRole, reason: String) throws {
                var role = role
                role.adoptsListener = true
                let subject = try Subject.start(role)
                let error = try subject.thrownError()
                #expect(error.contains(reason), subject.log)
                try subject.wait()
                // A bad configuration is refused before the listener is made.
                let isMade = !subject.reports("adopting").isEmpty
                #expect(isMade == (reason != "invalid children"), subject.log)
                #expect(subject.reports("adopted") == [isMade ? Self.asFound : "closed"], subject.log)
                #expect(subject.reports.contains("childless"), subject.log)
            }

            @Test func anAddressInUseGivesItBack() throws {
                let other = try Subject.hello(["--children", "1"])
                let port = try other.port()
                let subject = try Subject.start(
                    FleetRole(addresses: [.loopback(port: port)], adoptsListener: true, bindAttempts: 0))
                let error = try subject.thrownError()
                #expect(error.contains("in use"), subject.log)
                try subject.wait()
                #expect(subject.reports("adopted") == [Self.asFound], subject.log)
                other.signal(SIGTERM)
                try other.wait()
            }

            /// Files that Prefork opens while standard descriptors are closed must not take their numbers.
            @Test func noStandardDescriptorIsTaken() throws {
                let subject = try Subject.start(
                    FleetRole(addresses: [], adoptsListener: true, closesStandardDescriptors: true))
                var found: [String] = []
                try subject.eventually("two children and their listeners, not \(found)") {
                    let children = subject.descendants.filter { $0.parent == subject.pid }.map(\.pid)
                    found = ([subject.pid] + children).flatMap { pid in (0...2).map { target(of: $0, in: pid) } }
                    return children.count == 2 && children.allSatisfy { target(of: 3, in: $0).hasPrefix("socket:") }
                }
                #expect(Set(found) == ["/dev/null"], subject.log)
                subject.signal(SIGTERM)
                try subject.wait()
            }

            private func target(of descriptor: CInt, in process: pid_t) -> String {
                readLinkText("/proc/\(process)/fd/\(descriptor)")
            }

            // MARK: systemd

            private static let activator = "/usr/bin/systemd-socket-activate"

            @Test(.enabled(if: access(activator, X_OK) == 0, "systemd-socket-activate is not installed"))
            func socketActivation() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/socket"
                let subject = try Subject(
                    Self.activator,
                    [
                        Self.activator, "--listen=\(path)", "--fdname=web", product("hello-prefork"), "--inherited",
                        "--children", "2",
                    ])
                // The first connection starts the server and waits for it. Between bind(2) and listen(2) it is refused.
                var opened: Connection?
                try subject.eventually("its socket") {
                    opened = Connection.open(path: path)
                    return opened != nil
                }
                let first = try #require(opened)
                try #require(first.request("/") == .hello, subject.log)
                _ = try subject.waitForReady(2)
                #expect(subject.standardError.contains("listening on unix:\(path)\n"), subject.log)
                let descriptors = try #require(Connection.open(path: path))
                #expect(descriptors.request("/fds").body == "0\n1\n2\n3\n4", subject.log)
                let environment = try #require(Connection.open(path: path))
                let text = try #require(environment.request("/env").body, subject.log)
                #expect(text != "", subject.log)
                #expect(!text.contains("LISTEN_"), subject.log("only the master has LISTEN_*"))
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(access(path, F_OK) == 0, subject.log("the file belongs to its owner"))
            }

            @Test(
                arguments: [
                    ([:], "LISTEN_PID and LISTEN_FDS are not set"),
                    (["LISTEN_PID": "1", "LISTEN_FDS": "1"], "LISTEN_PID is \"1\", but this process is"),
                ] as [([String: String], String)])
            func nothingToInherit(variables: [String: String], reason: String) throws {
                let path = product("hello-prefork")
                let subject = try Subject(path, [path, "--inherited"], environment: variables)
                try subject.expectExit(64)
                #expect(subject.logLines.count == 1, subject.log)
                #expect(subject.standardError.contains(reason), subject.log)
            }

            /// A number that is too large must not reach a descriptor of the library.
            @Test func fewerSocketsThanWereAnnounced() throws {
                let handing = "LISTEN_PID=$$ LISTEN_FDS=99 exec \"$0\" \"$@\" 3</dev/null"
                let subject = try Subject.hello(["--inherited"], under: ["/bin/sh", "-c", handing])
                try subject.expectExit(64)
                #expect(subject.logLines.count == 1, subject.log)
                #expect(subject.standardError.contains("LISTEN_FDS says 99, but descriptor "), subject.log)
                #expect(subject.standardError.contains(" is not open"), subject.log)
            }

            /// Reported once for the fleet and not again in its children. No descriptor becomes a listener unless the
            /// program asks for it.
            @Test(arguments: [1, 3]) func unrequestedSocketsAreReported(count: Int) throws {
                let handing = "LISTEN_PID=$$ LISTEN_FDS=\(count) exec \"$0\" \"$@\" 3</dev/null"
                let subject = try Subject.hello(["--children", "2"], under: ["/bin/sh", "-c", handing])
                let children = try subject.waitForReady(2)
                kill(children[0], SIGKILL)
                try subject.eventually("a replacement") { subject.readyPIDs.count == 3 }
                try #require(get("/", port: subject.port()) == .hello, subject.log)
                let text =
                    count == 1 ? "a socket was passed to this process" : "\(count) sockets were passed to this process"
                let lines = subject.logLines("passed to this process")
                try #require(lines.count == 1, subject.log)
                #expect(lines[0].contains("prefork[\(subject.pid)]: \(text) "), subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            /// listen(2) would make the fleet's user the peer of every client, for good.
            @Test(.enabled(if: Namespace.asOrdinaryUser != nil, "this user has no privileges to give up"))
            func aUnixSocketsClientsSeeItsOwner() throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/socket"
                let owned = try OwnUnixListener(path: path)
                try #require(Connection.open(path: path)?.peerUser == getuid(), "before")
                let program = product("hello-prefork")
                let programs = try PublicPrograms([program])
                let handing = ["/bin/sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\""]
                let command =
                    (Namespace.asOrdinaryUser ?? []) + handing + [programs[program], "--inherited", "--children", "2"]
                let subject = try Subject(command[0], command, third: owned.raw)
                let children = try subject.waitForReady(2)
                let uids = statusField("Uid", of: "/proc/\(children[0])/status").split(separator: "\t")
                try #require(Set(uids) == ["65534"], subject.log)
                let during = try #require(Connection.open(path: path))
                try #require(during.request("/") == .hello, subject.log)
                #expect(during.peerUser == getuid(), subject.log("while the fleet serves"))
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                let after = try #require(Connection.open(path: path))
                #expect(after.peerUser == getuid(), subject.log("afterwards"))
            }

            /// The descriptor numbers may be anything.
            @Test func nonListenersAreRefused() throws {
                let path = product("hello-prefork")
                let subject = try Subject(
                    "/bin/sh",
                    ["sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" --inherited 3</dev/null", path])
                try subject.expectExit(64)
                let text = "cannot adopt a listener: descriptor 3 is not a socket"
                #expect(subject.standardError.contains(text), subject.log)
            }
        }
    }
#endif
