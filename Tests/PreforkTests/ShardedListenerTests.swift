#if os(Linux)
    import PreforkLibc
    import Testing

    @testable import Prefork

    func openListeners(
        _ address: Prefork.Address = .tcp("127.0.0.1", port: 0),
        shards: Int?,
        _ change: (inout Listener.Options) -> Void = { _ in }
    ) throws(SystemError) -> Listener {
        var options = Listener.Options(backlog: 1000, lowest: 100, shards: shards)
        change(&options)
        return try Listener.open(try Listener.resolve(address), options)
    }

    @Suite("Sharded listeners") struct ShardedListenerTests {
        @Test(
            "are as many sockets on one address as there are slots",
            arguments: tcpAddresses)
        func sockets(address: Prefork.Address) throws {
            let listener = try openListeners(address, shards: 3)
            #expect(listener.mode == .sharded)
            let sockets = listener.sockets.map(\.raw)
            #expect(sockets.count == 3)
            #expect((0..<3).map { listener.socket(of: $0) } == sockets)
            #expect(listener.sockets(of: [0, 2]) == [sockets[0], sockets[2]])
            #expect(Set(sockets.compactMap { System.identity(of: $0) }).count == 3)
            for raw in sockets {
                #expect(Listener.fault(of: raw, unix: false) == nil)
                let port = Int(try SocketAddress(of: raw).port)
                #expect(port == listener.address.port)
                #expect(fcntl(raw, F_GETFL) & O_NONBLOCK != 0)
                #expect(fcntl(raw, F_GETFD) & FD_CLOEXEC != 0)
                #expect(raw >= 100)
            }
        }

        @Test("are one for all children if they are shared") func shared() throws {
            let listener = try openListeners(shards: nil)
            #expect(listener.mode == .shared)
            #expect(listener.socket(of: 0) == listener.raw && listener.socket(of: 7) == listener.raw)
            #expect(listener.sockets(of: [0, 7]) == listener.sockets.map(\.raw))
            #expect(listener.sockets(of: []) == [])
        }

        @Test(
            "do not join another process's, whichever flag that has",
            arguments: [true, false], [nil, 3])
        func taken(hasFlag: Bool, shards: Int?) throws {
            let other = try PlatformListener.makeSocket(family: AF_INET)
            if hasFlag { try PlatformListener.setReuseport(other.raw) }
            try SocketOption.set(other.raw, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR")
            try SocketAddress.loopback(family: AF_INET).bind(other.raw, context: "test")
            let raw = other.raw
            try #require(listen(raw, 1) == 0)
            let port = Int(try SocketAddress(of: raw).port)
            let error = failure { () throws(SystemError) in
                try openListeners(.tcp("127.0.0.1", port: port), shards: shards)
            }
            #expect(error?.code == EADDRINUSE)
            #expect(error?.call == "bind")
        }

        /// SO_REUSEADDR lets two masters bind one address until one of them listens.
        @Test("are opened by one of two masters that start at the same moment", arguments: [nil, 1, 3])
        func twoAtOnce(shards: Int?) throws {
            for _ in 0..<300 {
                let probe = try openListeners(shards: shards) { $0.closesAdmission = true }
                let address = Prefork.Address.tcp("127.0.0.1", port: try #require(probe.address.port))
                probe.close()
                let race = Race()
                @Sendable func enter() {
                    race.enter { () throws(SystemError) in
                        try openListeners(address, shards: shards) { $0.closesAdmission = true }
                    }
                }
                let second = try Thread(enter)
                enter()
                second.join()
                let (opened, errors) = race.outcome
                #expect(opened <= 1)
                #expect(errors.allSatisfy { $0.code == EADDRINUSE })
                // If both call listen(2) in the same nanoseconds, both are refused, and try again.
                if opened == 0 {
                    try eventually("one") { (try? openListeners(address, shards: shards).close()) != nil }
                }
            }
        }

        @Test("refuse a process that does not set SO_REUSEPORT", arguments: [nil, 2])
        func keepOut(shards: Int?) throws {
            let listener = try openListeners(shards: shards) { $0.closesAdmission = true }
            let address = Prefork.Address.tcp("127.0.0.1", port: try #require(listener.address.port))
            for _ in 0..<2 {
                let error = failure { () throws(SystemError) in try openListeners(address, shards: shards) }
                #expect(error?.code == EADDRINUSE)
            }
            listener.close()
            try openListeners(address, shards: shards).close()
        }

        /// socket(7): any process of the same user may bind beside this one with the option.
        @Test("give no connection to a socket that joins them", arguments: [nil, 1, 3])
        func stranger(shards: Int?) throws {
            let listener = try openListeners(shards: shards) { $0.closesAdmission = true }
            let stranger = try PlatformListener.makeSocket(family: AF_INET)
            try PlatformListener.setReuseport(stranger.raw)
            try SocketAddress(of: listener.sockets[0].raw).bind(stranger.raw, context: "the same")
            let raw = stranger.raw
            try #require(listen(raw, 512) == 0)
            let clients = try (0..<200).map { _ in try Client(to: raw) }
            try eventually("connections") { clients.allSatisfy(\.isEstablished) }
            #expect(acceptAll(raw) == 0)
            #expect(listener.sockets.map { acceptAll($0.raw) }.reduce(0, +) == 200)
        }

        @Test("have SO_REUSEPORT only if it is needed", arguments: [(nil, false), (nil, true), (2, false)])
        func flag(shards: Int?, closesAdmission: Bool) throws {
            let listener = try openListeners(shards: shards) { $0.closesAdmission = closesAdmission }
            let isNeeded = shards != nil || closesAdmission
            for socket in listener.sockets {
                #expect(try (SocketOption.get(socket.raw, SOL_SOCKET, SO_REUSEPORT, "") != 0) == isNeeded)
            }
        }

        @Test("report how many connections wait for each slot, and how many may wait")
        func queues() throws {
            let listener = try openListeners(shards: 2)
            #expect(listener.steer(to: [1]) == nil)
            let clients = try (0..<7).map { _ in try Client(to: listener.sockets[1].raw) }
            try eventually("the queue") { PlatformListener.queue(of: listener.sockets[1].raw)?.waiting == 7 }
            let status = ListenerView(listener).status
            #expect(status.queues.map { $0?.waiting } == [0, 7])
            #expect(status.queues.allSatisfy { ($0?.limit ?? 0) > 128 })
            #expect(status.mode == .sharded)
            #expect(acceptAll(listener.sockets[1].raw) == clients.count)
            #expect(ListenerView(listener).status.queues.map { $0?.waiting } == [0, 0])
        }

        @Test("keep their queue while another process closes its copy")
        func copies() throws {
            let listener = try openListeners(shards: 2)
            let raw = listener.sockets[0].raw
            let copy = dup(raw)
            #expect(listener.steer(to: [0]) == nil)
            let clients = try (0..<50).map { _ in try Client(to: raw) }
            try eventually("the queue") { PlatformListener.queue(of: raw)?.waiting == 50 }
            close(copy)
            #expect(clients.allSatisfy { !$0.isOver })
            #expect(acceptAll(raw) == 50)
        }

        @Test("get connections only while they are in rotation, and keep their queue")
        func steering() throws {
            let listener = try openListeners(shards: 4)
            let sockets = listener.sockets.map(\.raw)
            #expect(listener.steer(to: [2]) == nil)
            let early = try (0..<50).map { _ in try Client(to: sockets[0]) }
            #expect(listener.steer(to: [0, 1, 3]) == nil)
            let late = try (0..<400).map { _ in try Client(to: sockets[0]) }
            try eventually("all connections") { (early + late).allSatisfy(\.isEstablished) }
            let counts = sockets.map { acceptAll($0) }
            #expect(counts[2] == 50)
            // By chance, each gets 133 of 400. A fifth of that is 10 standard deviations away.
            for slot in [0, 1, 3] { #expect(counts[slot] > 27, "\(counts)") }
            #expect(counts.reduce(0, +) == 450)
        }

        @Test("report once that the kernel refuses to steer")
        func refusal() throws {
            let sockets = try (0..<2).map { _ in OpenSocket(try PlatformListener.makeSocket(family: AF_INET)) }
            let listener = Listener(
                address: .tcp("127.0.0.1", port: 1), mode: .sharded, sockets: sockets, lowest: 3, backlog: 1)
            #expect(listener.steer(to: [0])?.context == "SO_ATTACH_REUSEPORT_CBPF")
            #expect(listener.steer(to: [1]) == nil)
            // A socket with the option counts as the beginning of a group.
            try PlatformListener.setReuseport(sockets[0].raw)
            #expect(listener.steer(to: [0]) == nil)
        }

        @Test("get their backlog back after the child has called listen(2)", arguments: [nil, 2])
        func backlog(shards: Int?) throws {
            let listener = try openListeners(shards: shards)
            let raw = try #require(listener.socket(of: 1))
            let limit = try #require(PlatformListener.queue(of: raw)?.limit)
            try #require(limit > 128)
            #expect(listen(raw, 128) == 0)
            #expect(PlatformListener.queue(of: raw)?.limit == 128)
            listener.restoreBacklog(of: 1)
            #expect(PlatformListener.queue(of: raw)?.limit == limit)
        }

        @Test("have the TCP options that were asked for") func options() throws {
            let plain = try openListeners(shards: 2)
            let listener = try openListeners(shards: 2) {
                $0.deferAccept = 7
                $0.fastOpen = 33
            }
            for socket in listener.sockets {
                // The kernel counts retransmissions: 1 + 2 + 4 s.
                #expect(try SocketOption.get(socket.raw, SystemConstant.tcp, TCP_DEFER_ACCEPT, "") == 7)
                #expect(try SocketOption.get(socket.raw, SystemConstant.tcp, TCP_FASTOPEN, "") == 33)
            }
            for socket in plain.sockets {
                #expect(try SocketOption.get(socket.raw, SystemConstant.tcp, TCP_DEFER_ACCEPT, "") == 0)
                #expect(try SocketOption.get(socket.raw, SystemConstant.tcp, TCP_FASTOPEN, "") == 0)
            }
        }
    }

    /// Two threads open a listener at the same moment.
    private final class Race: Sendable {
        private struct State {
            var begun = 0
            var opened = 0
            var errors: [SystemError] = []
        }

        private let state = LockedValueBox(State())

        var outcome: (opened: Int, errors: [SystemError]) { state.withLock { ($0.opened, $0.errors) } }

        func enter(_ open: () throws(SystemError) -> Listener) {
            state.withLock { $0.begun += 1 }
            while state.withLock({ $0.begun < 2 }) {}
            do throws(SystemError) {
                let listener = try open()
                state.withLock { $0.opened += 1 }
                // Waits until the other one has tried.
                while state.withLock({ $0.opened + $0.errors.count < 2 }) { System.pause(milliseconds: 1) }
                listener.close()
            } catch {
                state.withLock { $0.errors.append(error) }
            }
        }
    }
#endif
