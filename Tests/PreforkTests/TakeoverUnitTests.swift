import PreforkLibc
import Synchronization
import Testing

@testable import Prefork

/// The bytes of an address, as a program gives them to bind(2).
private func bytes(_ host: String, _ port: UInt16) throws -> [UInt8] {
    var address = try #require(try SocketAddress.lookUp(host, family: AF_UNSPEC, context: host).first)
    address.port = port
    return withUnsafeBytes(of: address) { Array($0.prefix(Int(address.length))) }
}

private func unixBytes(_ path: String) -> [UInt8] {
    let address = SocketAddress(unixPath: path)
    return withUnsafeBytes(of: address) { Array($0.prefix(Int(address.length))) }
}

@Suite("Requests to bind") struct BindRequestTests {
    @Test("A request and each answer come back as they were sent")
    func roundTrips() throws {
        for request in [
            BindRequest(address: try bytes("127.0.0.1", 80)),
            BindRequest(address: try bytes("::1", 80), isV6Only: true, ordinal: 0x1234),
            BindRequest(address: unixBytes("/run/app.sock")),
        ] {
            let frame = ChildMessage.bind(request).frame
            var reader = ChildMessageReader()
            #expect(try reader.read(frame, at: Instant(nanoseconds: 0)) == [.bind(request)])
        }
        for answer in [BindAnswer.notTaken, .listener, .failed(98), .failed(Int32.max), .failed(0)] {
            #expect(BindAnswer(bytes: answer.bytes) == answer)
            #expect(BindAnswer(bytes: answer.bytes.dropLast()) == nil)
        }
        #expect(BindAnswer(bytes: [3, 0, 0, 0, 0]) == nil)
    }

    /// A program may look for a free port, or bind each outgoing connection.
    @Test("Any number of requests within a second is no flood, but other messages are")
    func noFlood() throws {
        let frame = ChildMessage.bind(BindRequest(address: try bytes("127.0.0.1", 80))).frame
        var reader = ChildMessageReader()
        for _ in 0..<5000 {
            let middle = frame.count / 2
            #expect(try reader.read(Array(frame[..<middle]), at: Instant(nanoseconds: 0)) == [])
            #expect(try reader.read(Array(frame[middle...]), at: Instant(nanoseconds: 0)).count == 1)
        }
        #expect(throws: ChildMessageReader.Fault.flood) {
            for _ in 0..<5000 {
                _ = try reader.read(
                    ChildMessage.ready(startCost: .zero, handover: 1).frame, at: Instant(nanoseconds: 0))
            }
        }
    }

    @Test("Payloads of a wrong length are not requests", arguments: [0, 1, 3, 5, 132, 200])
    func lengths(count: Int) {
        #expect(BindRequest(payload: [UInt8](repeating: 1, count: count)[...]) == nil)
    }

    @Test("Any bytes are either an address or refused", arguments: 0..<20)
    func noise(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        for _ in 0..<2000 {
            var bytes = (0..<Int.random(in: 0...140, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            // Most addresses have a family of ours.
            if bytes.count > 1, Bool.random(using: &random) {
                bytes[0] = [UInt8(AF_INET), UInt8(AF_INET6), UInt8(AF_UNIX)].randomElement(using: &random) ?? 0
                bytes[1] = 0
            }
            guard let address = SocketAddress(bytes: bytes) else { continue }
            #expect([AF_INET, AF_INET6, AF_UNIX].contains(address.family))
            #expect(throws: Never.self) { _ = try Prefork.Address(address, network: nil, name: nil) }
        }
    }

    @Test("An address that is too short for its family is refused")
    func shortAddresses() throws {
        for (full, least) in [(try bytes("127.0.0.1", 80), 16), (try bytes("::1", 80), 28), (unixBytes("/a"), 3)] {
            for count in 0..<full.count {
                #expect((SocketAddress(bytes: Array(full.prefix(count))) != nil) == (count >= least))
            }
        }
    }
}

@Suite("Descriptors over a channel") struct ChannelDescriptorTests {
    @Test("One descriptor arrives with its bytes, close-on-exec")
    func one() throws {
        let ends = try Channel.makePair().split()
        let first = Descriptor(ends.first)
        let second = Descriptor(ends.second)
        let file = try #require(System.identity(of: 0))
        try Channel.send([1, 2, 3], passing: 0, to: first.raw)
        Channel.send([4], to: first.raw)
        let (input, descriptors, _) = Channel.receiveWithDescriptors(from: second.raw)
        #expect(input == .bytes([1, 2, 3]), "bytes that came without a descriptor come later")
        let received = try #require(descriptors.first)
        #expect(descriptors.count == 1)
        #expect(System.identity(of: received.raw) == file)
        #expect(fcntl(received.raw, F_GETFD) & FD_CLOEXEC != 0)
        #expect(Channel.receiveWithDescriptors(from: second.raw).input == .bytes([4]))
        #expect(Channel.receiveWithDescriptors(from: second.raw).input == .nothing)
        first.close()
        #expect(Channel.receiveWithDescriptors(from: second.raw).input == .hungUp)
        second.close()
    }

    @Test("A child that sends descriptors without a message loses its channel, and they are closed")
    func stray() throws {
        let ends = try Channel.makePair().split()
        let childEnd = Descriptor(ends.second)
        let child = ChildHandle(7, slot: 0, exit: nil, channel: Descriptor(ends.first), outOfMemory: nil)
        let pipes = try Channel.makePair().split()
        let kept = Descriptor(pipes.first)
        let sent = Descriptor(pipes.second)
        let frame = ChildMessage.ready(startCost: .zero, handover: 1).frame
        var fault: ChildMessageReader.Fault?
        for _ in 0..<20 where fault == nil {
            try Channel.send(frame, passing: sent.raw, to: childEnd.raw)
            if case .fault(let found) = child.receive(at: Instant(nanoseconds: 0)) { fault = found }
        }
        #expect(fault == .descriptors)
        sent.close()
        // The last copies are gone, so the other end hangs up.
        #expect(Channel.receive(from: kept.raw) == .hungUp)
        kept.close()
        childEnd.close()
    }

    /// Otherwise a program would wait for an answer forever.
    @Test("After a fault, requests that wait or come later fail")
    func requestsAfterFault() throws {
        let ends = try Channel.makePair().split()
        let childEnd = Descriptor(ends.second)
        let child = ChildHandle(7, slot: 0, exit: nil, channel: Descriptor(ends.first), outOfMemory: nil)
        let frame = ChildMessage.bind(BindRequest(address: try bytes("127.0.0.1", 80))).frame
        Channel.send([2, 0, 0], to: childEnd.raw)
        let question = try Channel.makePair().split()
        let waiting = Descriptor(question.first)
        let sent = Descriptor(question.second)
        try Channel.send(frame, passing: sent.raw, to: childEnd.raw)
        try Channel.send(frame, passing: sent.raw, to: childEnd.raw)
        sent.close()
        var isFault = false
        if case .fault(.malformed(type: 2)) = child.receive(at: Instant(nanoseconds: 0)) { isFault = true }
        #expect(isFault)
        #expect(Channel.receive(from: waiting.raw) == .hungUp)
        #expect(throws: SystemError(call: "sendmsg", code: EPIPE)) {
            try Channel.send(frame, passing: 0, to: childEnd.raw)
        }
        #expect(Channel.receive(from: childEnd.raw) == .nothing, "the master is not dead")
        waiting.close()
        childEnd.close()
    }

    @Test("A request without its descriptor is a fault")
    func missing() throws {
        let ends = try Channel.makePair().split()
        let childEnd = Descriptor(ends.second)
        let child = ChildHandle(7, slot: 0, exit: nil, channel: Descriptor(ends.first), outOfMemory: nil)
        Channel.send(ChildMessage.bind(BindRequest(address: try bytes("127.0.0.1", 80))).frame, to: childEnd.raw)
        var isFault = false
        if case .fault(.descriptors) = child.receive(at: Instant(nanoseconds: 0)) { isFault = true }
        #expect(isFault)
        #expect(child.takeReply() == nil)
        childEnd.close()
    }
}

@Suite("Listeners for addresses that programs bind") struct TakeoverMatchingTests {
    private static func listeners(_ addresses: [Prefork.Address]) throws -> ListenerSet {
        var set = ListenerSet()
        var configuration = Prefork.Configuration()
        configuration.takeover = .given
        let plan = ListenerSet.Plan(
            bound: try addresses.map(ListenerSet.resolve), adopted: [], slots: 2, isSharded: true)
        _ = try set.bind(plan, configuration, observe: { _ in }, isStopRequested: { _ in true })
        return set
    }

    private static func find(
        _ set: ListenerSet, _ host: String, _ port: Int, ordinal: Int = 0
    ) throws -> Result<Int?, SystemError> {
        let wanted = try #require(SocketAddress(bytes: try bytes(host, UInt16(port))))
        let address = try Prefork.Address(wanted, network: nil, name: nil)
        return Result { () throws(SystemError) in try set.index(for: wanted, address, ordinal: ordinal) }
    }

    @Test("The same host, or all interfaces, stand for a host")
    func hosts() throws {
        let set = try Self.listeners([.tcp("127.0.0.1", port: 0), .tcp("0.0.0.0", port: 0)])
        defer { set.close() }
        let (loopback, any) = (set.addresses[0].port ?? 0, set.addresses[1].port ?? 0)
        #expect(try Self.find(set, "127.0.0.1", loopback).get() == 0)
        #expect(try Self.find(set, "127.0.0.1", any).get() == 1)
        #expect(try Self.find(set, "0.0.0.0", any).get() == 1)
        #expect(try Self.find(set, "127.0.0.2", loopback).get() == nil)
        #expect(try Self.find(set, "127.0.0.2", any).get() == 1)
        #expect(throws: SystemError.self) { try Self.find(set, "0.0.0.0", loopback).get() }
        // A socket for both families would exclude them.
        #expect(try Self.find(set, "::1", any).get() == nil)
    }

    @Test("Port 0 stands for the next port that the kernel has chosen")
    func ports() throws {
        let fixed = try Self.listeners([.tcp("127.0.0.1", port: 0)])
        let port = fixed.addresses[0].port ?? 0
        fixed.close()
        let set = try Self.listeners([
            .tcp("127.0.0.1", port: 0), .tcp("127.0.0.1", port: port), .tcp("0.0.0.0", port: 0),
        ])
        defer { set.close() }
        #expect(try Self.find(set, "127.0.0.1", 0).get() == 0)
        #expect(try Self.find(set, "127.0.0.1", 0, ordinal: 1).get() == 2)
        #expect(try Self.find(set, "127.0.0.1", 0, ordinal: 2).get() == nil)
        #expect(try Self.find(set, "0.0.0.0", 0).get() == 2)
    }

    @Test("A path is compared without the working directory")
    func paths() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/a"
            let set = try Self.listeners([.unix(path)])
            defer { set.close() }
            func index(_ path: String) throws -> Int? {
                let wanted = try #require(SocketAddress(bytes: unixBytes(path)))
                return try set.index(for: wanted, Prefork.Address(wanted, network: nil, name: nil), ordinal: 0)
            }
            #expect(try index(path) == 0)
            #expect(try index("\(directory)/b") == nil)
            #expect(SocketFile.absolute("./a") == SocketFile.absolute("a"))
            #expect(SocketFile.absolute("/x/a") == "/x/a")
            #expect(SocketFile.absolute("@a") == "@a")
        }
    }
}

/// Shared with a thread.
private final class Flag: Sendable {
    let value = Atomic<Bool>(false)
}

@Suite("Second names of socket files") struct SocketLinkTests {
    private static func bind(_ path: String) throws -> (OpenSocket, SocketFile) {
        try Listener.bindUnix(.unix(path), path, backlog: 5, lowest: 3, keepsFile: true)
    }

    @Test("A removed file gets its path back, and clients reach the same socket")
    func restored() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/socket"
            let (socket, file) = try Self.bind(path)
            unlink(path)
            #expect(file.restoreLink())
            #expect(file.restoreLink(), "once more")
            let client = try PlatformListener.makeSocket(family: AF_UNIX)
            try SocketAddress(unixPath: path).connect(client.raw)
            #expect(System.isAnyReadable([socket.raw]))
            client.close()
            file.removeIfOwn()
            #expect(try System.entries(of: directory) == [])
        }
    }

    /// Another child removes the path while the master binds it.
    @Test("A file that is removed before it has a second name is made again", .timeLimit(.minutes(1)))
    func removedMeanwhile() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/socket"
            for _ in 0..<200 {
                let isRunning = Flag()
                let thread = try Thread {
                    repeat { isRunning.value.store(true, ordering: .releasing) } while unlink(path) != 0
                }
                while !isRunning.value.load(ordering: .acquiring) {}
                let (_, file) = try Self.bind(path)
                thread.join()
                #expect(file.restoreLink())
                #expect(try System.identity(ofPath: path).identity == file.identity)
                file.removeIfOwn()
            }
            #expect(try System.entries(of: directory) == [])
        }
    }

    @Test("Another file at the path stays, and a name that was left behind is replaced")
    func foreign() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/socket"
            try writeFile("\(directory)/.socket.prefork", "left behind")
            let (_, file) = try Self.bind(path)
            unlink(path)
            try writeFile(path, "another")
            #expect(!file.restoreLink())
            file.removeIfOwn()
            #expect(try System.entries(of: directory) == ["socket"])
            #expect(try System.readFile(path) == Array("another".utf8))
        }
    }
}
