import Testing

@testable import Prefork

/// Addresses of one fleet that exclude each other, and those that do not.
@Suite struct ListenerSetTests {
    /// They exclude each other, so no other process has to end and there is nothing to wait for.
    @Test(
        arguments: [
            ("127.0.0.1", .none, "127.0.0.1", .none), ("", .none, "127.0.0.1", .none), ("127.0.0.1", .none, "", .none),
            ("localhost", .tcp4, "127.0.0.1", .none), ("", .tcp, "127.0.0.1", .none), ("127.0.0.1", .none, "", .tcp),
        ] as [(String, Prefork.Address.Network?, String, Prefork.Address.Network?)])
    func addressesOfOneFleetThatExcludeEachOther(
        host: String, network: Prefork.Address.Network?, other: String, otherNetwork: Prefork.Address.Network?
    ) throws {
        if network == .tcp || otherNetwork == .tcp, !hasIPv6 { return }
        let port = try freePort()
        let error = try bindingFails([
            .tcp(host, port: port, network: network), .tcp(other, port: port, network: otherNetwork),
        ])
        #expect(error?.code == .invalidAddress)
        #expect(error?.description.contains("the same fleet listens on ") == true)
        #expect(error?.description.contains("\(Prefork.Address.tcp(other, port: port, network: otherNetwork))") == true)
    }

    @Test func pathsOfOneFleetThatAreEqual() throws {
        try withTemporaryDirectory { directory in
            let error = try bindingFails([.unix("\(directory)/a"), .unix("\(directory)/a")])
            #expect(error?.code == .invalidAddress)
        }
    }

    @Test(.enabled(if: hasIPv6, "no IPv6 here")) func addressesOfOneFleetThatDoNotExcludeEachOther() throws {
        let port = try freePort()
        #expect(
            try bindingFails([
                .tcp("127.0.0.1", port: port), .tcp("127.0.0.2", port: port), .tcp("::1", port: port),
            ]) == nil)
        #expect(try bindingFails([.tcp("", port: port, network: .tcp6), .tcp("", port: port, network: .tcp4)]) == nil)
    }

    private func freePort() throws -> Int {
        let listener = try Listener.open(
            try Listener.resolve(.tcp("127.0.0.1", port: 0)), Listener.Options(backlog: 1, lowest: 100))
        defer { listener.close() }
        return try #require(listener.address.port)
    }

    /// The fault of these addresses of one fleet, which must be known without another try.
    private func bindingFails(_ addresses: [Prefork.Address]) throws -> PreforkError? {
        var listeners = ListenerSet()
        defer { listeners.close() }
        let plan = ListenerSet.Plan(
            bound: try addresses.map { try Listener.resolve($0) }, adopted: [], slots: 1, isSharded: false)
        return failure { () throws(PreforkError) in
            _ = try listeners.bind(plan, .init(children: 1), observe: { _ in }, isStopRequested: { _ in true })
        }
    }
}
