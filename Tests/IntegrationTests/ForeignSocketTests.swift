// Listeners that somebody else has bound.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct ForeignSockets {
            private static let asFound = "adopted listening blocking 33"

            @Test func adoptedListenersServeAndAreGivenBack() throws {
                let subject = try Subject.role("fleet", "children=2;adopt;addresses=;serve=http;runs=2")
                try subject.eventually("a port") { !subject.told("adopting").isEmpty }
                let port = try #require(Int(subject.told("adopting")[0]))
                for run in 1...2 {
                    // The first run's listener serves the second, too.
                    try subject.eventually("run \(run)") { subject.readyPIDs.count == 2 * run }
                    try subject.require(body(get("/", port: port)) != nil, "an answer")
                    subject.signal(SIGTERM)
                    try subject.eventually("its end") { subject.told("returned").count == run }
                }
                try subject.require(subject.told.filter { $0 == Self.asFound }.count == 2, "as it was found")
                try subject.require(
                    subject.errors.contains(
                        "127.0.0.1:\(port) accepts connections while the children drain: the socket stays its owner's"),
                    "an event says that its owner keeps it open")
                try subject.wait()
            }

            @Test(
                "Whatever fails, it is given back",
                arguments: [
                    ("children=0", "invalid children"), ("children=1;fail=onChildSpawn:1", "onChildSpawn failed"),
                    ("children=1;fail=onMasterReady:1", "onMasterReady failed"),
                    ("children=1;serve=exit:78", "not trying again"), ("children=1;spawn=self", "spawn closure"),
                    ("children=1;shardingFault=no;listening=sharded", "invalid listening"),
                ])
            func failures(settings: String, reason: String) throws {
                let subject = try Subject.role("fleet", "adopt;\(settings);addresses=127.0.0.1:0")
                try subject.eventually("an error") { subject.told("threw").first?.contains(reason) == true }
                try subject.wait()
                let isTaken = !subject.told("adopting").isEmpty
                try subject.require(
                    subject.told.contains(isTaken ? Self.asFound : "adopted closed"), "as it was found")
                try subject.require(subject.told.contains("childless"), "no child")
                try subject.require(
                    isTaken == (reason != "invalid children"), "nothing is made before a bad configuration")
            }

            @Test func anAddressInUseGivesItBack() throws {
                let other = try Subject.hello(["--children", "1"])
                let port = try other.port()
                let subject = try Subject.role("fleet", "adopt;bindRetry=0;addresses=127.0.0.1:\(port)")
                try subject.eventually("an error") { subject.told("threw").first?.contains("in use") == true }
                try subject.wait()
                try subject.require(subject.told.contains(Self.asFound), "as it was found")
                other.signal(SIGTERM)
                try other.wait()
            }

            // MARK: systemd

            private static let activator = "/usr/bin/systemd-socket-activate"

            /// What is opened while standard descriptors are closed must not take their numbers.
            @Test func noStandardDescriptorIsTaken() throws {
                let subject = try Subject.role("fleet", "children=2;adopt;addresses=;closeStandard")
                var found: [String] = []
                try subject.eventually("two children and their listeners, not \(found)") {
                    let children = subject.descendants.filter { $0.parent == subject.pid }.map(\.pid)
                    found = ([subject.pid] + children).flatMap { pid in (0...2).map { target(of: $0, in: pid) } }
                    return children.count == 2 && children.allSatisfy { target(of: 3, in: $0).hasPrefix("socket:") }
                }
                try subject.require(Set(found) == ["/dev/null"], "none of ours is among \(found)")
                subject.signal(SIGTERM)
                try subject.wait()
            }

            private func target(of descriptor: CInt, in process: pid_t) -> String {
                readLinkText("/proc/\(process)/fd/\(descriptor)")
            }

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
                // The first connection starts the server, and waits for it. Between bind and listen it would be refused.
                var opened: Connection?
                try subject.eventually("its socket") {
                    opened = Connection.open(path: path)
                    return opened != nil
                }
                let first = try #require(opened)
                try subject.require(first.send("/") && body(first.receive()) == "Hello world!", "an answer")
                _ = try subject.waitForReady(2)
                try subject.require(subject.errors.contains("listening on unix:\(path)\n"), "its address")
                let fds = try #require(Connection.open(path: path))
                try subject.require(fds.send("/fds"), "a request")
                let environment = try #require(Connection.open(path: path))
                try subject.require(environment.send("/env"), "a request")
                let text = body(environment.receive()) ?? ""
                try subject.require(!text.isEmpty && !text.contains("LISTEN_"), "LISTEN_* is the master's: \(text)")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
                try subject.require(access(path, F_OK) == 0, "the file is its owner's")
            }

            @Test(
                arguments: [
                    ([:], "LISTEN_PID and LISTEN_FDS are not set"),
                    (["LISTEN_PID": "1", "LISTEN_FDS": "1"], "LISTEN_PID is \"1\", but this process is"),
                ] as [([String: String], String)])
            func nothingToInherit(variables: [String: String], reason: String) throws {
                let path = product("hello-prefork")
                let subject = try Subject(path, [path, "--inherited"], environment: variables)
                try subject.require(subject.wait() == 64, "status 64")
                try subject.require(subject.errors.split(separator: "\n").count == 1, "one line")
                try subject.require(subject.errors.contains(reason), "it says \(reason)")
            }

            /// Once for the fleet, not once more in its children; it takes nothing for a listener that it was not told of.
            @Test(arguments: [1, 3]) func whatNobodyAskedForIsTold(count: Int) throws {
                let handing = "LISTEN_PID=$$ LISTEN_FDS=\(count) exec \"$0\" \"$@\" 3</dev/null"
                let subject = try Subject.hello(["--children", "2"], under: ["/bin/sh", "-c", handing])
                let children = try subject.waitForReady(2)
                kill(children[0], SIGKILL)
                try subject.eventually("a replacement") { subject.readyPIDs.count == 3 }
                try subject.require(
                    get("/", port: try subject.port()) == .answer(status: 200, body: "Hello world!", closes: true),
                    "it serves")
                let text = "\(count == 1 ? "a socket was" : "\(count) sockets were") passed to this process"
                let lines = subject.errors.split(separator: "\n").filter { $0.contains("passed to this process") }
                try subject.require(lines.count == 1 && lines[0].contains("prefork[\(subject.pid)]: \(text) "), text)
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
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
                try subject.require(uids.allSatisfy { $0 == "65534" }, "another user: \(uids)")
                let during = try #require(Connection.open(path: path))
                try subject.require(during.send("/") && body(during.receive()) == "Hello world!", "an answer")
                let seen = during.peerUser
                try subject.require(seen == getuid(), "its owner while they serve, not \(seen ?? 0)")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
                let after = Connection.open(path: path)?.peerUser
                try subject.require(after == getuid(), "and afterwards, not \(after ?? 0)")
            }

            /// The numbers may be anything's.
            @Test func whatIsNoListenerIsRefused() throws {
                let path = product("hello-prefork")
                let subject = try Subject(
                    "/bin/sh",
                    ["sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" --inherited 3</dev/null", path])
                try subject.require(subject.wait() == 64, "status 64")
                try subject.require(
                    subject.errors.contains("cannot adopt a listener: descriptor 3 is not a socket"), "it says which")
            }
        }
    }
#endif
