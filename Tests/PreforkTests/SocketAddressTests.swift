import PreforkLibc
import Testing

@testable import Prefork

@Suite struct SocketAddressTests {
    @Test(arguments: [AF_INET, AF_INET6]) func loopbackAndAny(family: CInt) throws {
        let any = SocketAddress(any: family)
        #expect(any.family == family && any.isAny && any.port == 0)
        var loopback = SocketAddress.loopback(family: family)
        #expect(loopback.family == family && !loopback.isAny)
        #expect(try loopback.numericHost() == (family == AF_INET ? "127.0.0.1" : "::1"))
        loopback.port = 8080
        #expect(loopback.port == 8080)
        #expect(loopback.reachable.map(\.port) == [8080])
        #expect(any.reachable.map(\.host).first == loopback.host)
        #expect(any.reachable.count == (family == AF_INET ? 1 : 2))
    }

    @Test(arguments: ["/tmp/a", "a", String(repeating: "x", count: PlatformListener.longestPath)])
    func unixPaths(path: String) {
        let address = SocketAddress(unixPath: path)
        #expect(address.family == AF_UNIX)
        #expect(address.unixPath == path)
    }

    @Test func aLongPathIsCutOff() {
        let longest = String(repeating: "x", count: PlatformListener.longestPath)
        #expect(SocketAddress(unixPath: longest + "yz").unixPath == longest)
    }

    #if os(Linux)
        @Test func abstractNames() {
            let address = SocketAddress(unixPath: "\0a\0b")
            #expect(address.unixPath == "@a@b")
            #expect(address.length == 2 + 4)
        }
    #endif

    @Test(arguments: [("127.0.0.1", AF_INET), ("::1", AF_INET6)])
    func numericHostsAreLookedUp(host: String, family: CInt) throws {
        for wanted in [AF_UNSPEC, family] {
            let found = try SocketAddress.lookUp(host, family: wanted, context: "test")
            #expect(found.map(\.family) == [family])
            #expect(try found.map { address throws(SystemError) in try address.numericHost() } == [host])
            #expect(found.map(\.port) == [0])
        }
    }

    @Test func noHostIsAnyAddress() throws {
        let found = try SocketAddress.lookUp("", family: AF_INET, context: "test")
        #expect(found.map(\.isAny) == [true])
    }

    @Test func aHostOfAnotherFamilyIsAnError() {
        let error = failure { () throws(SystemError) in
            try SocketAddress.lookUp("::1", family: AF_INET, context: "tcp4://[::1]:80").count
        }
        #expect(error?.call == "getaddrinfo")
        #expect(error?.context == "tcp4://[::1]:80")
        #expect(error?.description.contains("(code ") == true)
    }

    @Test func addressesOfOpenSockets() throws {
        let socket = try PlatformListener.makeSocket(family: AF_INET)
        try SocketAddress.loopback(family: AF_INET).bind(socket.raw, context: "test")
        let port = Int(try SocketAddress(of: socket.raw).port)
        #expect(port > 0)
        #expect(
            try Prefork.Address(of: socket.raw, network: .tcp4, name: "a")
                == .tcp("127.0.0.1", port: port, network: .tcp4, name: "a"))
    }
}

@Suite struct DirectoryLockTests {
    @Test func oneAtATime() throws {
        try withTemporaryDirectory { directory in
            let order = LockedValueBox<[Int]>([])
            try DirectoryLock.withLock(ofFile: "\(directory)/file") { () throws(SystemError) in
                let start = System.now()
                // A process that loses its patience goes on without the lock.
                try DirectoryLock.withLock(ofFile: "\(directory)/other", patience: .milliseconds(20)) {
                    order.withLock { $0.append(1) }
                }
                #expect(System.now() - start >= .milliseconds(20))
            }
            let start = System.now()
            try DirectoryLock.withLock(ofFile: "\(directory)/file", patience: .seconds(60)) {
                order.withLock { $0.append(2) }
            }
            #expect(System.now() - start < .seconds(30))
            #expect(order.withLock { $0 } == [1, 2])
        }
    }

    @Test func aMissingDirectoryDoesNotStopTheWork() throws {
        let isDone = try DirectoryLock.withLock(ofFile: "/nonexistent/directory/file") { true }
        #expect(isDone)
    }
}

@Suite struct FilterInstructionTests {
    /// struct sock_filter.
    @Test func layout() {
        #expect(MemoryLayout<FilterInstruction>.size == 8)
        #expect(MemoryLayout<FilterInstruction>.stride == 8)
        let instruction = FilterInstruction(.jumpIfEqual, 0x0403_0201, whenTrue: 5, whenFalse: 6)
        let bytes = withUnsafeBytes(of: instruction) { Array($0) }
        #expect(bytes == [0x15, 0, 5, 6] + withUnsafeBytes(of: UInt32(0x0403_0201)) { Array($0) })
    }
}
