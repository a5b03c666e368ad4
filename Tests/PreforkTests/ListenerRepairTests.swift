#if os(Linux)
    import PreforkLibc
    import Testing

    @testable import Prefork

    private func stop(_ listener: Listener, _ index: Int, _ how: CInt = CInt(SHUT_RDWR)) throws {
        try #require(shutdown(listener.sockets[index].raw, how) == 0)
    }

    /// Which sockets the connections of that many clients reach.
    private func spread(_ listener: Listener, clients: Int) throws -> [Int] {
        let sockets = listener.sockets.map(\.raw)
        let clients = try (0..<clients).map { _ in try Client(to: sockets[0]) }
        try eventually("connections") { clients.allSatisfy(\.isEstablished) }
        return sockets.map { acceptAll($0) }
    }

    /// Each slot gets all connections while it is alone in rotation.
    private func expectSteering(_ listener: Listener, sourceLocation: SourceLocation = #_sourceLocation) throws {
        for slot in listener.sockets.indices {
            #expect(listener.steer(to: [slot]) == nil, sourceLocation: sourceLocation)
            var expected = listener.sockets.map { _ in 0 }
            expected[slot] = 20
            #expect(try spread(listener, clients: 20) == expected, sourceLocation: sourceLocation)
        }
    }

    private func outcomes(_ listener: Listener, isStarting: Bool = true) -> [Prefork.Event.ListenerRepair] {
        listener.repair(isStarting: isStarting).map(\.outcome)
    }

    @Suite("A listener that a child has stopped") struct ListenerRepairTests {
        @Test("listens again on its port", arguments: tcpAddresses, [nil, 1, 3])
        func alone(address: Prefork.Address, shards: Int?) throws {
            for (closes, how) in [(true, SHUT_RDWR), (false, SHUT_RD)] {
                let listener = try openListeners(address, shards: shards) {
                    $0.closesAdmission = closes
                    $0.deferAccept = 7
                    $0.fastOpen = 33
                }
                let raw = listener.sockets[0].raw
                let limit = try #require(PlatformListener.queue(of: raw)?.limit)
                for index in listener.sockets.indices { try stop(listener, index, CInt(how)) }
                listener.restoreBacklog(of: 0)
                #expect(Listener.fault(of: raw) != nil, "restoring the backlog must not make it listen")
                let count = listener.sockets.count
                #expect(outcomes(listener) == Array(repeating: .listens, count: count))
                #expect(outcomes(listener) == [])
                #expect(try Int(SocketAddress(of: raw).port) == listener.address.port)
                for socket in listener.sockets {
                    #expect(Listener.fault(of: socket.raw, unix: false) == nil)
                    #expect(PlatformListener.queue(of: socket.raw)?.limit == limit)
                    #expect(try SocketOption.get(socket.raw, SystemConstant.tcp, TCP_DEFER_ACCEPT, "") == 7)
                    #expect(try SocketOption.get(socket.raw, SystemConstant.tcp, TCP_FASTOPEN, "") == 33)
                }
                let error = failure { () throws(SystemError) in try openListeners(listener.address, shards: shards) }
                #expect(error?.code == EADDRINUSE)
            }
        }

        @Test("gives no connections to a process that joins its group", arguments: [nil, 1, 2])
        func stranger(shards: Int?) throws {
            let listener = try openListeners(shards: shards) { $0.closesAdmission = true }
            for index in listener.sockets.indices { try stop(listener, index) }
            #expect(outcomes(listener).allSatisfy { $0 == .listens })
            #expect(listener.steer(to: SlotSet(listener.sockets.indices)) == nil)
            let stranger = try PlatformListener.makeSocket(family: AF_INET)
            try PlatformListener.setReuseport(stranger.raw)
            try SocketAddress(of: listener.sockets[0].raw).bind(stranger.raw, context: "the same")
            let raw = stranger.raw
            try #require(listen(raw, 512) == 0)
            #expect(try spread(listener, clients: 50).reduce(0, +) == 50)
            #expect(acceptAll(raw) == 0)
        }

        @Test("is steered by its new number") func numbers() throws {
            let listener = try openListeners(shards: 5)
            var generator = SplitMix64(seed: 4)
            for _ in 0..<6 {
                let index = Int.random(in: 0..<5, using: &generator)
                try stop(listener, index)
                let stopped = listener.repair(isStarting: true)
                #expect(stopped.map(\.slot) == [index] && stopped.map(\.outcome) == [.listens])
                try expectSteering(listener)
            }
            // They are together, but at the end of the order, so no gap is open to doubt.
            let last = listener.order.members.suffix(2)
            for index in last { try stop(listener, index) }
            #expect(outcomes(listener) == [.listens, .listens])
            try expectSteering(listener)
        }

        @Test("is found from any slot, and from its own if only that is checked") func slot() throws {
            let listener = try openListeners(shards: 3)
            try stop(listener, 1)
            #expect(listener.repair(slot: 0, isStarting: true).isEmpty)
            #expect(listener.repair(slot: 1, isStarting: true).map(\.slot) == [1])
            try expectSteering(listener)
        }

        @Test("spreads connections over all slots if several have stopped unobserved") func unknown() throws {
            let listener = try openListeners(shards: 4) { $0.closesAdmission = true }
            try stop(listener, 0)
            try stop(listener, 1)
            #expect(outcomes(listener) == [.listensUnsteered, .listensUnsteered])
            #expect(listener.steer(to: [0]) == nil)
            let counts = try spread(listener, clients: 200)
            // By chance none of them has less than 15 in 10^9 runs.
            #expect(counts.allSatisfy { $0 >= 15 } && counts.reduce(0, +) == 200, "\(counts)")
            listener.beginClosingAdmission([0, 1, 2, 3], at: System.now())
            try eventually("the decoy") { listener.isAdmissionClosed([0, 1, 2, 3], at: System.now()) }
            #expect(listener.decoy?.isActive == true)
            #expect(try Client(to: listener.sockets[0].raw).isEstablished == false)
        }

        @Test("is an error while another process has the address", arguments: [nil, 2])
        func taken(shards: Int?) throws {
            let listener = try openListeners(shards: shards) { $0.closesAdmission = true }
            for index in listener.sockets.indices { try stop(listener, index) }
            let other = try openListeners(
                .tcp("127.0.0.1", port: try #require(listener.address.port)), shards: shards)
            let stopped = listener.repair(isStarting: true)
            #expect(stopped.count == listener.sockets.count)
            for stopped in stopped {
                guard case .failed(let error) = stopped.outcome else {
                    Issue.record("\(stopped)")
                    continue
                }
                #expect(error.code == EADDRINUSE)
            }
            #expect(listener.faults.count == listener.sockets.count)
            // The error is reported once.
            #expect(outcomes(listener) == [])
            other.close()
            #expect(outcomes(listener) == Array(repeating: .listens, count: listener.sockets.count))
            #expect(listener.faults.isEmpty)
            #expect(try spread(listener, clients: 20).reduce(0, +) == 20)
        }

        @Test("does not keep a stop from keeping new connections out", arguments: [[0], [1], [0, 2], [2, 0, 1]])
        func decoy(stopped: [Int]) throws {
            for repairs in [true, false] {
                let listener = try openListeners(shards: 4) { $0.closesAdmission = true }
                for index in stopped {
                    try stop(listener, index)
                    if repairs { #expect(outcomes(listener) == [.listens]) }
                }
                let rotation = SlotSet((0..<4).filter { repairs || !stopped.contains($0) })
                listener.beginClosingAdmission(rotation, at: System.now())
                try eventually("the decoy") { listener.isAdmissionClosed(rotation, at: System.now()) }
                try #require(listener.decoy?.isActive == true, "\(listener.admissionFault ?? "")")
                let clients = try (0..<40).map { _ in try Client(to: listener.sockets[3].raw) }
                #expect(clients.allSatisfy { !$0.isEstablished && $0.error == 0 })
                listener.closeAfterExitRequests([])
                listener.close()
            }
        }

        @Test("cannot close admission if none of its sockets listens", arguments: [nil, 2])
        func nothing(shards: Int?) throws {
            let listener = try openListeners(shards: shards) { $0.closesAdmission = true }
            for index in listener.sockets.indices { try stop(listener, index) }
            listener.beginClosingAdmission([0], at: System.now())
            #expect(listener.isAdmissionClosed([0], at: System.now()))
            #expect(listener.admissionFault == "a child has stopped it with shutdown(2)")
        }

        @Test("of the Unix domain is replaced, for children that start from now on", arguments: [SHUT_RDWR, SHUT_RD])
        func unix(how: Int) throws {
            try withTemporaryDirectory { directory in
                let path = "\(directory)/a"
                let listener = try openListeners(.unix(path), shards: 2)
                let old = try #require(listener.raw)
                #expect(outcomes(listener) == [])
                try stop(listener, 0, CInt(how))
                #expect(outcomes(listener, isStarting: false) == [])
                #expect(listener.raw == old)
                #expect(outcomes(listener) == [.replaced])
                let raw = try #require(listener.raw)
                #expect(raw >= 100 && raw != old)
                let client = try Client(to: raw)
                #expect(client.isEstablished && acceptAll(raw) == 1)
                // Another test may get the numbers as soon as they are free, so this compares the files.
                let files = [old, raw].map { System.identity(of: $0) }
                #expect(files[0] != nil)
                #expect(outcomes(listener) == [])
                listener.close()
                #expect(System.identity(of: old) != files[0] && System.identity(of: raw) != files[1])
                #expect(try System.entries(of: directory) == [])
            }
        }

        @Test("of the Unix domain does not take a path that another process has") func unixTaken() throws {
            try withTemporaryDirectory { directory in
                let path = "\(directory)/a"
                let listener = try openListeners(.unix(path), shards: nil)
                try stop(listener, 0)
                try #require(unlink(path) == 0)
                let other = try openListeners(.unix(path), shards: nil)
                guard case .failed(let error) = outcomes(listener).first else {
                    Issue.record("no error")
                    return
                }
                #expect(error.code == EADDRINUSE)
                listener.close()
                #expect(try Client(to: try #require(other.raw)).isEstablished)
            }
        }

        @Test("listens again if it is adopted, but not in the Unix domain") func adopted() throws {
            let owned = try PlatformListener.makeSocket(family: AF_INET)
            let raw = owned.raw
            try SocketAddress.loopback(family: AF_INET).bind(raw, context: "test")
            try #require(listen(raw, 77) == 0)
            let listener = try AdoptedSocket.listener(raw, name: nil, lowest: 200)
            let port = try SocketAddress(of: raw).port
            try stop(listener, 0)
            #expect(outcomes(listener) == [.listens])
            #expect(try SocketAddress(of: raw).port == port)
            #expect(PlatformListener.queue(of: raw)?.limit == 77)
            listener.close()
            #expect(Listener.fault(of: raw) == nil)
            try withTemporaryDirectory { directory in
                let owned = try PlatformListener.makeSocket(family: AF_UNIX)
                let raw = owned.raw
                try SocketAddress(unixPath: "\(directory)/a").bind(raw, context: "test")
                try #require(listen(raw, 7) == 0)
                let listener = try AdoptedSocket.listener(raw, name: nil, lowest: 200)
                try stop(listener, 0)
                guard case .failed = outcomes(listener).first else {
                    Issue.record("no error")
                    return
                }
                #expect(try System.entries(of: directory) == ["a"])
            }
        }
    }
#endif
