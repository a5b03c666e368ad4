import PreforkLibc
import Testing

@testable import Prefork

/// A blocking socket that listens on a port of the kernel's choice.
private func ownListener(backlog: CInt = 77) throws -> OpenSocket {
    let owned = Descriptor(socket(AF_INET, SystemConstant.stream, 0))
    try SocketAddress.loopback(family: AF_INET).bind(owned.raw, context: "test")
    try #require(listen(owned.raw, backlog) == 0)
    return OpenSocket(owned)
}

@Suite("Adopted sockets") struct SocketSourceTests {
    @Test("are restored to the state in which they were found", arguments: [true, false])
    func restored(isBlocking: Bool) throws {
        let owned = try ownListener()
        let raw = owned.raw
        if !isBlocking { try System.setNonBlocking(raw) }
        let found = fcntl(raw, F_GETFL)
        let ownFlags = fcntl(raw, F_GETFD)
        let listener = try AdoptedSocket.listener(raw, name: "web", lowest: 200)
        #expect(listener.mode == .shared && listener.ownership == .adopted)
        #expect(listener.address.name == "web")
        let port = try SocketAddress(of: raw).port
        #expect(listener.address.port == Int(port))
        let copy = try #require(listener.raw)
        #expect(copy >= 200 && fcntl(copy, F_GETFD) & FD_CLOEXEC != 0)
        #expect(fcntl(raw, F_GETFL) & O_NONBLOCK != 0)
        #if os(Linux)
            #expect(listen(raw, 5) == 0)  // As a child's framework does.
            listener.restoreBacklog(of: 3)
            #expect(PlatformListener.queue(of: raw)?.limit == 77)
            #expect(listen(raw, 6) == 0)
        #endif
        #expect(listener.steer(to: [0]) == nil)
        listener.closeAfterExitRequests([])
        // The children may still poll it.
        #expect(fcntl(raw, F_GETFL) & O_NONBLOCK != 0)
        listener.close()
        // Another test may get the number as soon as it is free.
        #expect(System.identity(of: copy) != System.identity(of: raw))
        #expect(fcntl(raw, F_GETFL) == found && fcntl(raw, F_GETFD) == ownFlags)
        #expect(Listener.fault(of: raw) == nil)
        #if os(Linux)
            #expect(PlatformListener.queue(of: raw)?.limit == 77)
        #endif
    }

    #if os(Linux)
        /// sock_diag(7) answers if getsockopt(2) does not.
        @Test("of the Unix domain get their backlog back, too") func unixBacklog() throws {
            try withTemporaryDirectory { directory in
                let owned = try PlatformListener.makeSocket(family: AF_UNIX)
                let raw = owned.raw
                try SocketAddress(unixPath: "\(directory)/own").bind(raw, context: "test")
                try #require(listen(raw, 100) == 0)
                let listener = try AdoptedSocket.listener(raw, name: nil, lowest: 200)
                try #require(listen(raw, 5) == 0)
                #expect(UnixQueue.limit(of: raw) == 5)
                listener.restoreBacklog(of: 0)
                #expect(UnixQueue.limit(of: raw) == 100)
                try #require(listen(raw, 6) == 0)
                listener.closeAfterExitRequests([])
                listener.close()
                #expect(UnixQueue.limit(of: raw) == 100)
            }
        }
    #endif

    @Test("are left as found, even if a child has changed them", arguments: [true, false])
    func flags(isBlocking: Bool) throws {
        let owned = try ownListener()
        let raw = owned.raw
        if !isBlocking { try System.setNonBlocking(raw) }
        let found = fcntl(raw, F_GETFL)
        let listener = try AdoptedSocket.listener(raw, name: nil, lowest: 200)
        // The child shares the open file description.
        #expect(fcntl(raw, F_SETFL, isBlocking ? found | O_NONBLOCK : found & ~O_NONBLOCK) == 0)
        listener.closeAfterExitRequests([])
        listener.close()
        #expect(fcntl(raw, F_GETFL) == found)
    }

    /// The second adoption finds the state that the first has left.
    @Test("are left as found if one was handed over twice", arguments: [true, false])
    func twice(isBlocking: Bool) throws {
        let owned = try ownListener()
        let raw = owned.raw
        if !isBlocking { try System.setNonBlocking(raw) }
        let found = fcntl(raw, F_GETFL)
        let other = Descriptor(dup(raw))
        var listeners = ListenerSet()
        let plan = ListenerSet.Plan(
            bound: [],
            adopted: [.init(descriptor: raw, name: "a"), .init(descriptor: other.raw, name: "b")],
            slots: 1,
            isSharded: false
        )
        let isBound = try listeners.bind(plan, .init(children: 1), observe: { _ in }, isStopRequested: { _ in true })
        #expect(isBound && listeners.addresses.map(\.name) == ["a", "b"])
        #expect(fcntl(raw, F_GETFL) & O_NONBLOCK != 0)
        listeners.close()
        #expect(fcntl(raw, F_GETFL) == found && fcntl(other.raw, F_GETFL) == found)
        #expect(Listener.fault(of: raw) == nil)
    }

    @Test("are refused with a reason if they are not listeners")
    func faults() throws {
        let (end, other) = try Channel.makePair().split()
        defer {
            close(end)
            close(other)
        }
        #expect(Listener.fault(of: end) == "descriptor \(end) is a socket that does not listen")
        let datagram = Descriptor(socket(AF_INET, SystemConstant.datagram, 0))
        let raw = datagram.raw
        #expect(Listener.fault(of: raw) == "descriptor \(raw) is not a stream socket")
        let file = Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC))
        let number = file.raw
        #expect(Listener.fault(of: number) == "descriptor \(number) is not a socket")
        #expect(Listener.fault(of: -1) == "descriptor -1 is not a socket")
    }

    @Test("get addresses as unix(7) describes them") func unixNames() throws {
        try withTemporaryDirectory { directory in
            for (path, expected) in [
                ("\(directory)/a", "\(directory)/a"), ("\0prefork-\(getpid())", "@prefork-\(getpid())"),
            ] {
                #if !os(Linux)
                    if path.utf8.first == 0 { continue }
                #endif
                let owned = Descriptor(socket(AF_UNIX, SystemConstant.stream, 0))
                try SocketAddress(unixPath: path).bind(owned.raw, context: "test")
                try #require(listen(owned.raw, 1) == 0)
                let listener = try AdoptedSocket.listener(owned.raw, name: nil, lowest: 100)
                #expect(listener.address == .unix(expected))
                owned.close()
            }
        }
    }

    @Test("may be named, and must not be listed twice") func sockets() throws {
        typealias Socket = Prefork.SocketSource.Socket
        #expect(try Prefork.SocketSource.none.sockets() == [])
        #expect(
            try Prefork.SocketSource.descriptors([5, 7], names: ["a"]).sockets()
                == [Socket(descriptor: 5, name: "a"), Socket(descriptor: 7, name: nil)])
        func fails(_ adoption: Prefork.SocketSource) -> String? {
            let result = Result { try adoption.sockets() }
            guard case .failure(let error) = result else { return nil }
            return "\(error)"
        }
        #expect(fails(.descriptors([5, 7, 5])) == "cannot adopt a listener: descriptor 5 is listed twice")
        #expect(fails(.descriptors([5], names: ["a", "b"])) == "invalid adopting: 2 names for 1 descriptors")
        for name in ["", "a\0b"] {
            #expect(fails(.descriptors([5], names: [name]))?.hasSuffix("is not a name") == true)
        }
        struct Own: Error {}
        #expect(throws: Own.self) { try Prefork.SocketSource.descriptors(try { throw Own() }()).sockets() }
    }
}

@Suite("Sockets that were handed over") struct ActivatedSocketsTests {
    private func decode(_ variables: [String: String]) -> (sockets: ActivatedSockets?, fault: String) {
        ActivatedSockets.decode(pid: 4711) { variables[$0] }
    }

    @Test("begin at 3 and have names") func complete() {
        #expect(
            decode(["LISTEN_PID": "4711", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "http:https"]).sockets
                == ActivatedSockets(descriptors: [3, 4], names: ["http", "https"]))
        #expect(
            decode(["LISTEN_PID": "4711", "LISTEN_FDS": "1"]).sockets
                == ActivatedSockets(descriptors: [3], names: ["unknown"]))
    }

    @Test(
        "are another process's, or missing, with the reason",
        arguments: [
            ([:], "LISTEN_PID and LISTEN_FDS are not set: no sockets were passed to this process"),
            (["LISTEN_FDS": "1"], "LISTEN_PID and LISTEN_FDS are not set: no sockets were passed to this process"),
            (["LISTEN_PID": "4711"], "LISTEN_PID and LISTEN_FDS are not set: no sockets were passed to this process"),
            (
                ["LISTEN_PID": "4712", "LISTEN_FDS": "1"],
                "LISTEN_PID is \"4712\", but this process is 4711: they are for another one"
            ),
            (
                ["LISTEN_PID": "+4711", "LISTEN_FDS": "1"],
                "LISTEN_PID is \"+4711\", but this process is 4711: they are for another one"
            ),
            (["LISTEN_PID": "4711", "LISTEN_FDS": "0"], "LISTEN_FDS is \"0\", which is not a number of sockets"),
            (["LISTEN_PID": "4711", "LISTEN_FDS": "-1"], "LISTEN_FDS is \"-1\", which is not a number of sockets"),
            (
                ["LISTEN_PID": "4711", "LISTEN_FDS": "40000"],
                "LISTEN_FDS is \"40000\", which is not a number of sockets"
            ),
            (["LISTEN_PID": "4711", "LISTEN_FDS": "x"], "LISTEN_FDS is \"x\", which is not a number of sockets"),
            (
                ["LISTEN_PID": "4711", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"],
                "LISTEN_FDNAMES has 1 names, LISTEN_FDS says 2"
            ),
        ] as [([String: String], String)])
    func faults(variables: [String: String], text: String) {
        let (sockets, fault) = decode(variables)
        #expect(sockets == nil)
        #expect(fault == text)
    }
}

@Suite("Queues") struct QueueTests {
    private func listener(
        _ mode: Prefork.ListenerMode, _ waiting: [Int?], _ ownership: Prefork.ListenerOwnership = .bound
    ) -> Prefork.Status.Listener {
        Prefork.Status.Listener(
            address: .tcp("127.0.0.1", port: 80),
            mode: mode,
            ownership: ownership,
            queues: waiting.map { $0.map { Prefork.Status.Queue(waiting: $0, limit: 100) } }
        )
    }

    @Test("are reported once when they pass their share, and again after they have been at half of it")
    func alarms() {
        var alarms = QueueMonitor(.init(share: 0.5))
        func events(_ listeners: Prefork.Status.Listener...) -> [String] { alarms.check(listeners).map(\.description) }
        #expect(events(listener(.sharded, [49, 0])) == [])
        #expect(
            events(listener(.sharded, [50, 99])) == [
                "50 of 100 connections wait on 127.0.0.1:80 for slot 0",
                "99 of 100 connections wait on 127.0.0.1:80 for slot 1",
            ])
        #expect(events(listener(.sharded, [100, 49])) == [])
        #expect(events(listener(.sharded, [26, 60])) == [])
        #expect(events(listener(.sharded, [25, 60])) == [])
        #expect(events(listener(.sharded, [70, 60])) == ["70 of 100 connections wait on 127.0.0.1:80 for slot 0"])
        #expect(
            events(listener(.sharded, [0, 0]), listener(.shared, [51])) == [
                "51 of 100 connections wait on 127.0.0.1:80"
            ])
        #expect(events(listener(.shared, [nil]), listener(.shared, [nil], .adopted)) == [])
    }

    @Test("are checked at intervals") func intervals() throws {
        var alarms = QueueMonitor(.init(interval: .seconds(2)))
        let start = Instant(nanoseconds: 1_000_000_000)
        _ = alarms.check([], at: start)
        #expect(alarms.next == start + .seconds(2))
        _ = alarms.check([], at: start + .seconds(1))
        #expect(alarms.next == start + .seconds(2))
        _ = alarms.check([], at: start + .seconds(5))
        #expect(alarms.next == start + .seconds(7))
    }
}
