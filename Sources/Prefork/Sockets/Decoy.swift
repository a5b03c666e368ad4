// A decoy keeps new connections out at a stop, without a privilege and without a reset. It is a socket of the
// listeners' own group whose queue is full. The kernel drops the SYNs that are steered there, and clients retry.
//
// The order of the steps matters. It is the order of the methods below. First a connection of our own fills the decoy's
// queue, so that no client's connection is lost in it. Only then are clients' connections steered there. The decoy is
// closed after the last child has ended, so that the kernel never queues a connection that no child will accept.
import PreforkLibc

/// The decoys of one address: two if each slot has a socket that is closed beside them, otherwise one. Used only in the
/// master's thread.
final class Decoy {
    private let sockets: [OpenSocket]
    private let address: SocketAddress
    private let lowest: CInt
    /// The number of the first decoy in the group, which is the number of sockets that listened before.
    private var first = 0
    /// `false` if listeners defer connections (TCP_DEFER_ACCEPT), because such a handshake may take any time.
    let awaitsHandshakes: Bool
    /// Connections of our own that fill the queues by way of one of our addresses.
    private struct Clients {
        let destination: SocketAddress
        var sockets: [OpenSocket] = []
        var ports: [(port: UInt16, decoy: Int)] = []
    }
    private var clients: Clients?
    /// The time until which one of our addresses is used to fill the queues. After that, the next of `destinations` is
    /// tried.
    private var fillingUntil: Instant = .distantPast
    private var destinations: ArraySlice<SocketAddress> = []
    /// Whether all new connections are steered here.
    private(set) var isActive = false

    /// Every kernel queues two connections for a backlog of 1. For a backlog of 0 it queues one, or none before Linux
    /// 6.14 without SYN cookies.
    private static let backlog: CInt = 1
    private static let capacity = 2
    /// On the loopback interface a connection takes microseconds, but a packet filter may drop it.
    private static let patience: Duration = .milliseconds(200)

    /// - Parameters:
    ///   - sockets: bound with SO_REUSEPORT, not listening.
    ///   - address: the address that they are bound to.
    ///   - lowest: the lowest number for new descriptors.
    init(_ sockets: [OpenSocket], address: SocketAddress, lowest: CInt, awaitsHandshakes: Bool = true) {
        self.sockets = sockets
        self.address = address
        self.lowest = lowest
        self.awaitsHandshakes = awaitsHandshakes
        // Made now, because this process may be out of descriptors or ports at the stop. If it is already, the stop
        // tries again and reports the failure.
        clients = address.reachable.first.flatMap { try? makeClients(to: $0) }
    }

    var count: Int { sockets.count }
    var descriptors: [CInt] { sockets.map(\.raw) }

    /// Begins to fill the queues.
    /// - Parameters:
    ///   - rotation: the numbers of the sockets that still get connections meanwhile.
    ///   - first: how many sockets the group has.
    ///   - listener: a socket of the group.
    func begin(_ rotation: SlotSet, behind first: Int, beside listener: CInt, at now: Instant) throws(SystemError) {
        self.first = first
        // Steering begins before the decoy listens. Without it, the decoy would get its share of the connections.
        try ReuseportSteering.spread(over: rotation).attach(to: listener)
        for socket in sockets { try System.listen(socket.raw, backlog: Self.backlog, "the decoy") }
        destinations = address.reachable[...]
        try proceed(rotation, beside: listener, at: now)
    }

    /// Fills the queues by way of our next address, if the last one has had its time.
    /// - Throws: the last error if no address is left.
    func proceed(_ rotation: SlotSet, beside listener: CInt, at now: Instant) throws(SystemError) {
        if now < fillingUntil { return }
        var failure = SystemError(call: "connect", code: ETIMEDOUT, context: "the decoy")
        while let destination = destinations.popFirst() {
            do throws(SystemError) {
                try fill(from: destination, rotation, beside: listener)
                fillingUntil = now + Self.patience
                return
            } catch {
                failure = error
            }
        }
        throw failure
    }

    private func fill(from destination: SocketAddress, _ rotation: SlotSet, beside listener: CInt) throws(SystemError) {
        let ours =
            if let clients, clients.destination.host == destination.host { clients } else {
                try makeClients(to: destination)
            }
        clients = ours
        // These sockets are bound to their ports, so no other client of this host can connect from them.
        try steer(to: rotation, beside: listener)
        for socket in ours.sockets { try destination.connect(socket.raw) }
    }

    private func makeClients(to destination: SocketAddress) throws(SystemError) -> Clients {
        var source = destination
        source.port = 0
        var made = Clients(destination: destination)
        for decoy in sockets.indices {
            for _ in 0..<Self.capacity {
                let client = try PlatformListener.makeSocket(family: destination.family)
                let socket = OpenSocket(try System.move(client, atLeast: lowest))
                try source.bind(socket.raw, context: "the decoy's client")
                made.ports.append((try SocketAddress(of: socket.raw).port, decoy))
                made.sockets.append(socket)
            }
        }
        return made
    }

    /// Steers all connections but our own to these numbers, while the queues are being filled.
    func steer(to rotation: SlotSet, beside listener: CInt) throws(SystemError) {
        let ports = (clients?.ports ?? []).map { (port: $0.port, index: first + $0.decoy) }
        try ReuseportSteering.ports(ports, othersOver: rotation).attach(to: listener)
    }

    /// Whether each queue holds our connections, which fill it.
    var isFull: Bool {
        sockets.allSatisfy { (PlatformListener.queue(of: $0.raw)?.waiting ?? 0) >= Self.capacity }
    }

    /// Closes admission. From now on the kernel drops new connections, and clients retry.
    func close() throws(SystemError) {
        guard let leader = sockets.first?.raw else { return }
        try ReuseportSteering.all(to: first).attach(to: leader)
        isActive = true
    }

    /// The sockets on which a client that came before the decoy may not have finished its handshake.
    var handshakeAddress: SocketAddress? { awaitsHandshakes ? address : nil }

    /// Steers connections as before. The end of this value removes the decoys from the group.
    func giveUp(_ rotation: SlotSet, beside listener: CInt) {
        try? ReuseportSteering.spread(over: rotation).attach(to: listener)
    }

    /// Steers all connections to this number, which another decoy has taken.
    func steer(to number: Int) {
        if let leader = sockets.first?.raw { try? ReuseportSteering.all(to: number).attach(to: leader) }
    }
}
