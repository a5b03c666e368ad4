import PreforkLibc
import Testing

@testable import Prefork

private func openingFails(_ address: Prefork.Address) -> SystemError? {
    failure { () throws(SystemError) in try openListener(address).close() }
}

private func socketAddress(_ address: Prefork.Address, _ family: CInt) throws -> SocketAddress {
    if let path = address.path { return SocketAddress(unixPath: path) }
    let found = try SocketAddress.lookUp(address.host ?? "", family: family, context: "test")
    var name = try #require(found.first)
    name.port = UInt16(address.port ?? 0)
    return name
}

/// 0, or the errno of a connect(2) to a numeric address that waits for its answer.
private func connectError(_ address: Prefork.Address) throws -> CInt {
    let family = address.isUnix ? AF_UNIX : address.host?.contains(":") == true ? AF_INET6 : AF_INET
    let client = Descriptor(socket(family, SystemConstant.stream, 0))
    try #require(client.raw >= 0)
    let name = try socketAddress(address, family)
    return failure { () throws(SystemError) in try name.connect(client.raw) }?.code ?? 0
}

/// A socket that is bound to a file, and listens there or not.
private func bindSocket(_ path: String, type: CInt = SystemConstant.stream, listening: Bool) throws -> Descriptor {
    let bound = Descriptor(socket(AF_UNIX, type, 0))
    try SocketAddress(unixPath: path).bind(bound.raw, context: path)
    if listening { try #require(listen(bound.raw, 1) == 0) }
    return bound
}

private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

@Suite struct TCPListenerTests {
    @Test(
        arguments: [
            (Prefork.Address.tcp("127.0.0.1", port: 0), "127.0.0.1"),
            (.tcp("", port: 0), "0.0.0.0"),
            (.tcp("", port: 0, network: .tcp4), "0.0.0.0"),
            (.tcp("localhost", port: 0, network: .tcp4), "127.0.0.1"),
            (.tcp("127.0.0.1", port: 0, network: .tcp), "127.0.0.1"),
        ]
    )
    func listensOnIPv4(address: Prefork.Address, host: String) throws {
        let listener = try openListener(address)
        #expect(listener.address.host == host)
        #expect(listener.address.network == address.network)
        let port = try #require(listener.address.port)
        #expect(port != 0)
        #expect(try connectError(.tcp("127.0.0.1", port: port)) == 0)
        listener.close()
        #expect(try connectError(.tcp("127.0.0.1", port: port)) == ECONNREFUSED)
    }

    @Test(
        .enabled(if: hasIPv6, "no IPv6 here"),
        arguments: [
            (Prefork.Address.tcp("::1", port: 0), "::1"),
            (.tcp("::1", port: 0, network: .tcp6), "::1"),
            (.tcp("::1", port: 0, network: .tcp), "::1"),
            (.tcp("", port: 0, network: .tcp6), "::"),
        ]
    )
    func listensOnIPv6(address: Prefork.Address, host: String) throws {
        let listener = try openListener(address)
        #expect(listener.address.host == host)
        #expect(listener.address.network == address.network)
        let port = try #require(listener.address.port)
        #expect(port != 0)
        #expect(try connectError(.tcp("::1", port: port)) == 0)
        #expect(try connectError(.tcp("127.0.0.1", port: port)) == ECONNREFUSED)
        listener.close()
    }

    @Test(.enabled(if: hasIPv6, "no IPv6 here")) func listensOnBoth() throws {
        let listener = try openListener(.tcp("", port: 0, network: .tcp))
        #expect(listener.address.host == "::")
        #expect(listener.address.network == .tcp)
        let port = try #require(listener.address.port)
        #expect(try connectError(.tcp("127.0.0.1", port: port)) == 0)
        #expect(try connectError(.tcp("::1", port: port)) == 0)
        listener.close()
    }

    @Test func resolvedAddressIsReadBack() throws {
        for address in [Prefork.Address.tcp("", port: 0, network: .tcp), .tcp("127.0.0.1", port: 0)] {
            let listener = try openListener(address)
            #expect(try Prefork.Address(listener.address.description) == listener.address)
            listener.close()
        }
    }

    @Test func descriptorIsOutOfTheWay() throws {
        let listener = try openListener(.tcp("127.0.0.1", port: 0), atLeast: 333)
        let raw = try #require(listener.raw)
        #expect(raw >= 333)
        #expect(fcntl(raw, F_GETFD) & FD_CLOEXEC != 0)
        #expect(fcntl(raw, F_GETFL) & O_NONBLOCK != 0)
        listener.close()
        #expect(listener.raw == nil)
        listener.close()
    }

    @Test("fasthttp TestSetTCPListenerFilesClosesListenerOnFileError: a closed listener's address is free")
    func takenAddress() throws {
        let listener = try openListener(.tcp("127.0.0.1", port: 0))
        let error = openingFails(listener.address)
        #expect(error == SystemError(call: "bind", code: EADDRINUSE, context: listener.address.description))
        listener.close()
        #expect(openingFails(listener.address) == nil)
    }

    @Test func endOfTheOwnerCloses() throws {
        let address = try openListener(.tcp("127.0.0.1", port: 0)).address
        #expect(openingFails(address) == nil)
    }

    /// The host is numeric and of the other family, so no name server is asked.
    @Test func hostThatCannotBeResolved() throws {
        let error = try #require(openingFails(.tcp("::1", port: 0, network: .tcp4)))
        #expect(error.call == "getaddrinfo")
        #expect(error.context == "tcp4://[::1]:0")
        #expect(!error.message.isEmpty)
        #expect(error.message == gai_strerror(error.code).map { String(cString: $0) })
    }
}

@Suite struct UnixListenerTests {
    #if os(Linux)
        @Test func abstractName() throws {
            let address = try Prefork.Address("unix:@prefork-test-\(getpid())")
            let listener = try openListener(address)
            #expect(listener.address == address)
            #expect(try Prefork.Address(listener.address.description) == address)
            #expect(access(try #require(address.path), F_OK) == -1, "it has no file")
            let raw = try #require(listener.raw)
            #expect(try Prefork.Address(of: raw, network: nil, name: nil) == address, "the kernel knows the same name")
            let client = try PlatformListener.makeSocket(family: AF_UNIX)
            try SocketAddress(of: raw).connect(client.raw)
            #expect(openingFails(address)?.isAddressInUse == true)
            listener.close()
            #expect(openingFails(address) == nil)
        }
    #endif

    @Test func listens() throws {
        try withTemporaryDirectory { directory in
            let address = Prefork.Address.unix("\(directory)/a.sock")
            let listener = try openListener(address, atLeast: 333)
            #expect(listener.address == address)
            let raw = try #require(listener.raw)
            #expect(raw >= 333)
            #expect(fcntl(raw, F_GETFD) & FD_CLOEXEC != 0)
            #expect(fcntl(raw, F_GETFL) & O_NONBLOCK != 0)
            #expect(try connectError(address) == 0)
            listener.close()
            #expect(listener.raw == nil)
            #expect(!exists("\(directory)/a.sock"))
        }
    }

    @Test func endOfTheOwnerRemovesTheFile() throws {
        try withTemporaryDirectory { directory in
            do { _ = try openListener(.unix("\(directory)/a.sock")) }
            #expect(!exists("\(directory)/a.sock"))
        }
    }

    @Test func longestPath() throws {
        try withTemporaryDirectory { directory in
            let room = PlatformListener.longestPath - directory.utf8.count - 1
            let path = "\(directory)/" + String(repeating: "x", count: room)
            let listener = try openListener(.unix(path))
            #expect(try connectError(.unix(path)) == 0)
            listener.close()
            #expect(!exists(path))

            let error = try #require(openingFails(.unix(path + "y")))
            #expect(error.call == "bind")
            #expect(error.code == ENAMETOOLONG)
            let limit = PlatformListener.longestPath
            #expect(error.context == "unix:\(path)y (\(limit + 1) bytes, at most \(limit))")
            #expect(!exists(path))
        }
    }

    @Test func pathIsCountedInBytes() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/" + String(repeating: "é", count: 50)
            #expect(openingFails(.unix(path))?.code == ENAMETOOLONG)
        }
    }

    @Test func missingDirectory() throws {
        try withTemporaryDirectory { directory in
            let address = Prefork.Address.unix("\(directory)/none/a.sock")
            #expect(openingFails(address) == SystemError(call: "bind", code: ENOENT, context: address.description))
        }
    }

    @Test func staleFileIsReplaced() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/a.sock"
            try bindSocket(path, listening: true).close()
            try #require(exists(path))
            try #require(try connectError(.unix(path)) == ECONNREFUSED)
            let listener = try openListener(.unix(path))
            #expect(try connectError(.unix(path)) == 0)
            listener.close()
            #expect(!exists(path))
        }
    }

    @Test func liveSocketIsRefused() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/a.sock"
            let other = try bindSocket(path, listening: true)
            let before = try System.identity(ofPath: path).identity
            #expect(openingFails(.unix(path)) == SystemError(call: "bind", code: EADDRINUSE, context: path))
            #expect(try System.identity(ofPath: path).identity == before)
            #expect(try connectError(.unix(path)) == 0)
            other.close()
        }
    }

    /// Its queue of one is full. connect(2) fails with EAGAIN although a process listens.
    @Test func busySocketIsRefused() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/a.sock"
            let other = try bindSocket(path, listening: true)
            for _ in 0..<4 { #expect(openingFails(.unix(path))?.code == EADDRINUSE) }
            #expect(exists(path))
            other.close()
        }
    }

    @Test func ownSocketIsRefused() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/a.sock"
            let first = try openListener(.unix(path))
            #expect(openingFails(.unix(path))?.code == EADDRINUSE)
            #expect(exists(path))
            first.close()
        }
    }

    @Test func datagramSocketIsRefused() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/a.sock"
            #if canImport(Glibc)
                let datagram = CInt(SOCK_DGRAM.rawValue)
            #else
                let datagram = SOCK_DGRAM
            #endif
            let other = try bindSocket(path, type: datagram, listening: false)
            #expect(openingFails(.unix(path))?.code == EADDRINUSE)
            #expect(exists(path))
            other.close()
        }
    }

    @Test func regularFileIsRefusedAndStays() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/a.sock"
            try writeFile(path, "precious")
            let address = Prefork.Address.unix(path)
            #expect(
                openingFails(address)
                    == SystemError(call: "bind", code: EEXIST, context: "\(path), which is not a socket")
            )
            #expect(try System.readFile(path) == Array("precious".utf8))
        }
    }

    /// A link is not a socket, even if it leads to one.
    @Test func linkIsRefusedAndStays() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/a.sock"
            try bindSocket("\(directory)/target.sock", listening: true).close()
            try #require(symlink("target.sock", path) == 0)
            #expect(openingFails(.unix(path))?.code == EEXIST)
            #expect(exists("\(directory)/target.sock"))
        }
    }

    @Test func anotherFileStaysAtClose() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/a.sock"
            let listener = try openListener(.unix(path))
            try #require(unlink(path) == 0)
            try writeFile(path, "precious")
            listener.close()
            #expect(try System.readFile(path) == Array("precious".utf8))
        }
    }

    @Test func successorsSocketStaysAtClose() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/a.sock"
            let listener = try openListener(.unix(path))
            // The file is renamed and not removed, because a new file could get the number of a removed one.
            try #require(rename(path, "\(directory)/old.sock") == 0)
            let successor = try openListener(.unix(path))
            listener.close()
            #expect(try connectError(.unix(path)) == 0)
            successor.close()
            #expect(!exists(path))
            #expect(exists("\(directory)/old.sock"))
        }
    }

    @Test func removedFileIsNoTroubleAtClose() throws {
        try withTemporaryDirectory { directory in
            let listener = try openListener(.unix("\(directory)/a.sock"))
            try #require(unlink("\(directory)/a.sock") == 0)
            listener.close()
            #expect(listener.raw == nil)
        }
    }
}
