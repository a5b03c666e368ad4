#if os(Linux)
    import PreforkLibc
    import Testing

    @testable import Prefork

    private func closeAdmission(of listener: Listener, _ rotation: SlotSet) throws {
        listener.beginClosingAdmission(rotation, at: System.now())
        try eventually("the decoy") { listener.isAdmissionClosed(rotation, at: System.now()) }
        try #require(listener.decoy?.isActive == true, "\(listener.admissionFault ?? "no reason")")
    }

    private func openForStop(_ address: Prefork.Address, shards: Int?) throws(SystemError) -> Listener {
        try openListeners(address, shards: shards) { $0.closesAdmission = true }
    }

    @Suite("A stop without a reset") struct DecoyTests {
        @Test("refuses new connections, and keeps accepted ones", arguments: tcpAddresses, [nil, 1, 2, 5])
        func lifecycle(address: Prefork.Address, shards: Int?) throws {
            let listener = try openForStop(address, shards: shards)
            let sockets = listener.sockets.map(\.raw)
            let early = try (0..<40).map { _ in try Client(to: sockets[0]) }
            try eventually("the early ones") { early.allSatisfy(\.isEstablished) }
            try closeAdmission(of: listener, SlotSet(sockets.indices))

            let late = try (0..<40).map { _ in try Client(to: sockets[0]) }
            // The loopback interface has no delay, so a connection that is not accepted now has been dropped.
            #expect(late.allSatisfy { !$0.isEstablished })
            #expect(sockets.map { acceptAll($0) }.reduce(0, +) == early.count)
            #expect(System.isAnyReadable(sockets) == false)

            listener.closeAfterExitRequests([])
            // Without a list of all listening sockets, several copies stay open, and none may leave the group yet.
            #expect(listener.sockets.isEmpty == ((shards ?? 1) == 1))
            let stillLate = try Client(like: late[0])
            #expect(!stillLate.isEstablished && stillLate.error == 0)
            listener.close()
            let after = try Client(like: late[0])
            try eventually("a refusal") { after.error == ECONNREFUSED }
            #expect(late.allSatisfy { !$0.isEstablished })
        }

        @Test("sends newcomers to ready slots until the decoy is full") func rotation() throws {
            let listener = try openForStop(.tcp("127.0.0.1", port: 0), shards: 3)
            let sockets = listener.sockets.map(\.raw)
            #expect(listener.steer(to: [1]) == nil)
            listener.beginClosingAdmission([1], at: System.now())
            let clients = try (0..<30).map { _ in try Client(to: sockets[0]) }
            try eventually("connections") { clients.allSatisfy(\.isEstablished) }
            #expect(sockets.map { acceptAll($0) } == [0, 30, 0])
            try eventually("the decoy") { listener.isAdmissionClosed([1], at: System.now()) }
        }

        @Test("gives nothing to a slot that loses its child meanwhile") func narrowed() throws {
            let listener = try openForStop(.tcp("127.0.0.1", port: 0), shards: 3)
            let sockets = listener.sockets.map(\.raw)
            listener.beginClosingAdmission([0, 1, 2], at: System.now())
            listener.narrowAdmission(to: [0, 2])
            let clients = try (0..<60).map { _ in try Client(to: sockets[0]) }
            try eventually("connections") { clients.allSatisfy(\.isEstablished) }
            let counts = sockets.map { acceptAll($0) }
            #expect(counts[1] == 0 && counts[0] + counts[2] == 60)
            try eventually("the decoy") { listener.isAdmissionClosed([0, 2], at: System.now()) }
            #expect(listener.decoy?.isActive == true)
        }

        /// Another process's socket has the number that the decoy would have had.
        @Test("is given up soon if it cannot be filled", arguments: [nil, 2])
        func unfillable(shards: Int?) throws {
            let listener = try openForStop(.tcp("127.0.0.1", port: 0), shards: shards)
            let rotation = SlotSet(listener.sockets.indices)
            let stranger = try PlatformListener.makeSocket(family: AF_INET)
            try PlatformListener.setReuseport(stranger.raw)
            try SocketAddress(of: listener.sockets[0].raw).bind(stranger.raw, context: "the same")
            let raw = stranger.raw
            try #require(listen(raw, 512) == 0)
            let start = System.now()
            listener.beginClosingAdmission(rotation, at: start)
            try eventually("an end") { listener.isAdmissionClosed(rotation, at: System.now()) }
            #expect(listener.decoy == nil && listener.admissionFault?.contains("the decoy") == true)
            #expect(System.now() - start < .milliseconds(900))
            let clients = try (0..<60).map { _ in try Client(to: listener.sockets[0].raw) }
            try eventually("connections") { clients.allSatisfy(\.isEstablished) }
            #expect(listener.sockets.map { acceptAll($0.raw) }.reduce(0, +) == 60)
        }

        @Test("does not wait for handshakes that may take forever", arguments: [nil, 30 as CInt])
        func deferred(seconds: CInt?) throws {
            let listener = try openListeners(.tcp("127.0.0.1", port: 0), shards: 2) {
                $0.closesAdmission = true
                $0.deferAccept = seconds
            }
            if seconds == nil {
                for socket in listener.sockets { try PlatformListener.setDeferAccept(socket.raw, seconds: 30) }
            }
            let client = try Client(to: listener.sockets[0].raw)
            try eventually("a handshake") { HalfOpen.exists(at: [try SocketAddress(of: listener.sockets[0].raw)]) }
            let address = try #require(listener.decoy).handshakeAddress
            #expect((address != nil) == (seconds == nil) && address.map { HalfOpen.exists(at: [$0]) } != false)
            #expect(client.error == 0)
        }

        @Test("can be given up, and restores the earlier state", arguments: [nil, 2])
        func givenUp(shards: Int?) throws {
            let listener = try openForStop(.tcp("127.0.0.1", port: 0), shards: shards)
            let rotation = SlotSet(listener.sockets.indices)
            listener.beginClosingAdmission(rotation, at: System.now())
            listener.giveUpAdmission("no time", rotation)
            #expect(listener.admissionFault == "no time")
            #expect(listener.isAdmissionClosed(rotation, at: System.now()))
            let clients = try (0..<60).map { _ in try Client(to: listener.sockets[0].raw) }
            try eventually("connections") { clients.allSatisfy(\.isEstablished) }
            #expect(listener.sockets.map { acceptAll($0.raw) }.reduce(0, +) == 60)
            listener.closeAfterExitRequests([])
            #expect(listener.sockets.isEmpty)
        }

        @Test("does not exist unless it was requested, nor for a Unix-domain socket") func without() throws {
            #expect(try openListeners(shards: 2).decoy == nil)
            try withTemporaryDirectory { directory in
                let listener = try openForStop(.unix("\(directory)/a"), shards: 2)
                #expect(listener.decoy == nil && listener.mode == .shared && listener.sockets.count == 1)
                #expect(listener.admissionFault?.contains("cannot keep new connections out") == true)
                listener.beginClosingAdmission([0], at: System.now())
                #expect(listener.isAdmissionClosed([0], at: System.now()))
            }
        }

        /// The copies are those of the children, which drain and close them in any order.
        @Test("frees the address with its last copy, and accepts nothing before", arguments: [nil, 1, 2, 3, 6])
        func release(shards: Int?) throws {
            var generator = SplitMix64(seed: 3)
            for _ in 0..<12 {
                let listener = try openForStop(.tcp("127.0.0.1", port: 0), shards: shards)
                let name = try SocketAddress(of: listener.sockets[0].raw)
                let copies = listener.sockets.map { dup($0.raw) }.shuffled(using: &generator)
                try closeAdmission(of: listener, SlotSet(listener.sockets.indices))
                let storm = Storm(against: name)
                let thread = try Thread { storm.run() }
                defer { storm.stop() }
                listener.closeAfterExitRequests(try ListeningSockets.inodes([AF_INET]))
                for copy in copies {
                    #expect(listener.release(try ListeningSockets.inodes([AF_INET])))
                    let attempts = storm.attempts
                    try eventually("clients") { storm.attempts > attempts + 5 }
                    #expect(storm.refused == 0)
                    close(copy)
                    // In some rounds several are closed between two checks.
                    if Bool.random(using: &generator) { continue }
                    _ = listener.release(try ListeningSockets.inodes([AF_INET]))
                }
                for _ in 0..<3 { _ = listener.release(try ListeningSockets.inodes([AF_INET])) }
                #expect(!listener.release(try ListeningSockets.inodes([AF_INET])) && listener.decoy == nil)
                try eventually("refusals") { storm.refused > 0 }
                storm.stop()
                thread.join()
                #expect(storm.letIn == 0)
                let successor = try openListeners(.tcp("127.0.0.1", port: Int(name.port)), shards: shards)
                listener.close()
                #expect(try Client(to: successor.sockets[0].raw).isEstablished)
            }
        }

        @Test("frees the address although a child has stopped a socket after the beginning") func stopped() throws {
            let listener = try openForStop(.tcp("127.0.0.1", port: 0), shards: 3)
            let copies = listener.sockets.map { dup($0.raw) }
            try closeAdmission(of: listener, [0, 1, 2])
            listener.closeAfterExitRequests(try ListeningSockets.inodes([AF_INET]))
            try #require(shutdown(copies[1], CInt(SHUT_RDWR)) == 0)
            #expect(listener.release(try ListeningSockets.inodes([AF_INET])))
            let client = try Client(to: copies[0])
            #expect(!client.isEstablished && client.error == 0)
            for copy in copies { close(copy) }
            try eventually("an end") { !listener.release(try ListeningSockets.inodes([AF_INET])) }
            #expect(listener.decoy == nil)
        }

        /// When a socket leaves the group, the last one takes its number. If connections were steered to that number,
        /// the kernel would spread them over the other sockets, and reset those that it accepts when that socket is
        /// closed.
        @Test("closes the slots' sockets one by one, and refuses new connections meanwhile", arguments: [1, 2, 40])
        func closing(shards: Int) throws {
            for _ in 0..<20 {
                let listener = try openForStop(.tcp("127.0.0.1", port: 0), shards: shards)
                let name = try SocketAddress(of: listener.sockets[0].raw)
                try closeAdmission(of: listener, SlotSet(0..<shards))
                listener.closeAfterExitRequests([])
                let storm = Storm(against: name)
                let thread = try Thread { storm.run() }
                defer { storm.stop() }
                try eventually("clients") { storm.attempts > 50 }
                listener.close()
                try eventually("refusals") { storm.refused > 0 }
                storm.stop()
                thread.join()
                #expect(storm.letIn == 0)
            }
        }
    }

    /// Connects again and again, and counts accepted connections.
    private final class Storm: Sendable {
        private let state = LockedValueBox((attempts: 0, letIn: 0, refused: 0, isOver: false))
        private let name: SocketAddress

        init(against name: SocketAddress) { self.name = name }

        /// Connects until `stop`.
        func run() {
            while !(state.withLock { $0.isOver }) {
                guard let client = try? PlatformListener.makeSocket(family: name.family) else { continue }
                try? name.connect(client.raw)
                var requests = [pollfd(fd: client.raw, events: Int16(POLLOUT), revents: 0)]
                try? System.poll(&requests, until: System.now())
                let events = requests[0].revents
                state.withLock { state in
                    state.attempts += 1
                    if events & Int16(POLLERR | POLLHUP) != 0 {
                        state.refused += 1
                    } else if events & Int16(POLLOUT) != 0 {
                        state.letIn += 1
                    }
                }
            }
        }

        func stop() { state.withLock { $0.isOver = true } }

        var attempts: Int { state.withLock { $0.attempts } }
        var letIn: Int { state.withLock { $0.letIn } }
        var refused: Int { state.withLock { $0.refused } }
    }
#endif
