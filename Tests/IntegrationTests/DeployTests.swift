// A successor starts while the last requests of a stopping fleet finish.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Deploys {
            enum Address: String, CaseIterable { case tcp, dualStack, unix }

            /// The address is free as soon as no child has a listener any more. Connections of clients that keep coming
            /// are refused, held off or answered, but never reset.
            @Test(arguments: FleetRole.Listening.allCases, Address.allCases)
            func theAddressIsFreeEarly(listening: FleetRole.Listening, kind: Address) throws {
                if kind == .dualStack, !hasIPv6 { return }
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let options = ["--children", "3", "--listening", listening.rawValue, "--grace", "20"]
                let path = "\(directory)/socket"
                let network = kind == .dualStack ? "tcp://" : "127.0.0.1"
                let old = try Subject.hello(options, address: kind == .unix ? "unix:\(path)" : "\(network):0")
                _ = try old.waitForReady(3)
                let port = kind == .unix ? 0 : try old.port()
                let slow = try #require(kind == .unix ? Connection.open(path: path) : Connection.open(port: port))
                // Much longer than the successor's retries take on a busy machine.
                let delay = isSanitized ? 9000 : 4000
                #expect(slow.send("/slow?ms=\(delay)"))
                let load = kind == .unix ? nil : Load(port: port, clients: 4)
                try old.eventually("requests") { load.map { $0.answered > 200 } ?? true }

                old.signal(SIGTERM)
                let start = ContinuousClock.now
                let new = try Subject.hello(options, address: kind == .unix ? "unix:\(path)" : "\(network):\(port)")
                _ = try new.waitForReady(1)
                let time = ContinuousClock.now - start
                // The old fleet is still there, with its request. It takes 0.6 s, but not on every machine.
                #expect(old.logLines("stopped").isEmpty, old.log("\(time)"))
                if let load {
                    let answered = load.answered
                    try new.eventually("requests") { load.answered > answered + 200 }
                    let count = load.stop()
                    #expect(count.cut == 0 && count.timedOut == 0, new.log("\(count)"))
                }
                #expect(slow.receive() == .hello, old.log)
                try old.expectExit(0)
                #expect(old.logLines("killing").isEmpty, old.log)
                if kind == .unix { #expect(Connection.open(path: path)?.request("/") == .hello, new.log) }
                new.signal(SIGTERM)
                try new.expectExit(0)
            }
        }
    }
#endif
