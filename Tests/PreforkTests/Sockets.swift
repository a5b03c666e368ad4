// Clients of the listeners under test.
import PreforkLibc
import Testing

@testable import Prefork

/// A connection of ours, non-blocking.
final class Client {
    private let name: SocketAddress
    private let descriptor: Descriptor
    var raw: CInt { descriptor.raw }

    init(to listener: CInt) throws {
        name = try #require(try SocketAddress(of: listener).reachable.first)
        descriptor = try PlatformListener.makeSocket(family: name.family)
        try name.connect(descriptor.raw)
    }

    /// Connects to the address of another client's connection.
    init(like other: Client) throws {
        name = other.name
        descriptor = try PlatformListener.makeSocket(family: name.family)
        try name.connect(descriptor.raw)
    }

    /// Whether the server's host has answered.
    var isEstablished: Bool {
        var requests = [pollfd(fd: raw, events: Int16(POLLOUT), revents: 0)]
        try? System.poll(&requests, until: System.now())
        return requests[0].revents & Int16(POLLOUT) != 0 && requests[0].revents & Int16(POLLERR | POLLHUP) == 0
    }

    /// 0, or the error of the failed connection.
    var error: CInt { (try? SocketOption.get(raw, SOL_SOCKET, SO_ERROR, "SO_ERROR")) ?? -1 }

    /// Whether the server has closed or reset the connection.
    var isOver: Bool {
        var byte: UInt8 = 0
        return recv(raw, &byte, 1, CInt(MSG_DONTWAIT)) != -1 || errno != EAGAIN
    }
}

/// Accepts and closes all that is queued.
func acceptAll(_ listener: CInt) -> Int {
    var count = 0
    while true {
        let connection = accept(listener, nil, nil)
        if connection < 0 { return count }
        close(connection)
        count += 1
    }
}

/// Polls a condition that the kernel is about to make true.
func eventually(_ what: String, _ condition: () throws -> Bool) throws {
    let deadline = System.now() + .seconds(10)
    while try !condition() {
        try #require(System.now() < deadline, "not within 10 s: \(what)")
        System.pause(milliseconds: 1)
    }
}

/// By default, a Docker container has no IPv6, not even on the loopback interface.
let hasIPv6: Bool = {
    let address = Prefork.Address.tcp("::1", port: 0)
    guard let resolved = try? Listener.resolve(address),
        let listener = try? Listener.open(resolved, Listener.Options(backlog: 1, lowest: 3))
    else { return false }
    listener.close()
    return true
}()

/// One address of each kind, as far as a client can reach it here.
let tcpAddresses: [Prefork.Address] =
    [.tcp("127.0.0.1", port: 0), .tcp("", port: 0)]
    + (hasIPv6 ? [.tcp("::1", port: 0), .tcp("", port: 0, network: .tcp), .tcp("", port: 0, network: .tcp6)] : [])

/// Binds an address and listens.
func openListener(_ address: Prefork.Address, atLeast minimum: CInt = 100) throws(SystemError) -> Listener {
    try Listener.open(try Listener.resolve(address), Listener.Options(backlog: 16, lowest: minimum))
}
