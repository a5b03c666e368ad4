// How a stop lets nobody in any more, without a privilege and without a reset: a socket of the listeners' own group whose
// queue is full. The kernel drops what is steered there, and the client tries again.
//
// The order matters, and is that of the calls below: the decoy's queue is filled by a connection of our own, so that no
// stranger's ends in it; until it is full nobody else is steered there; it is closed after the last child has ended, so that
// no connection is ever taken in that nobody will accept.
#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The decoys of one address: one, or two where several sockets are closed beside them. Used by the master's thread only.
final class Decoy {
    private let sockets: [OpenSocket]
    private let address: SocketName
    /// How many sockets were listening before: the first decoy has this number in the group.
    private let slots: Int
    private var clients: [OpenSocket] = []
    /// All new connections are steered here.
    private(set) var isWorking = false

    /// - Parameters:
    ///   - sockets: bound with SO_REUSEPORT, not listening.
    ///   - address: the name that they are bound to.
    init(_ sockets: [OpenSocket], address: SocketName, slots: Int) {
        self.sockets = sockets
        self.address = address
        self.slots = slots
    }

    /// Begins to fill the queue of each.
    /// - Parameters:
    ///   - rotation: the slots that go on getting connections meanwhile.
    ///   - listener: a socket of the group.
    func begin(_ rotation: [Int], beside listener: CInt) throws(SystemError) {
        // Before it listens: an unsteered decoy would get its share of the traffic.
        try PlatformListener.attach(.spread(over: rotation, of: slots), to: listener)
        for socket in sockets {
            let raw = socket.raw
            _ = try System.call("listen", "the decoy") { listen(raw, 0) }
        }
        // The first of the addresses that lets us bind, and then connect.
        var failure = SystemError(call: "connect", code: EADDRNOTAVAIL, context: "the decoy")
        for destination in address.reachable {
            do throws(SystemError) {
                try fill(from: destination, rotation, beside: listener)
                return
            } catch {
                failure = error
                clients = []
            }
        }
        throw failure
    }

    private func fill(from destination: SocketName, _ rotation: [Int], beside listener: CInt) throws(SystemError) {
        var source = destination
        source.port = 0
        var ports: [(port: UInt16, index: Int)] = []
        for index in sockets.indices {
            let client = try PlatformListener.makeSocket(family: destination.family)
            try source.bind(client.raw, context: "the decoy's client")
            ports.append((try SocketName(of: client.raw).port, slots + index))
            clients.append(OpenSocket(client))
        }
        // Nobody else can come from these ports of this host: they are bound.
        try PlatformListener.attach(.ports(ports, othersOver: rotation, of: slots), to: listener)
        for client in clients { try destination.connect(client.raw) }
    }

    /// Whether each queue holds our connection, and with that is full (a backlog of 0 admits one).
    var isFull: Bool { sockets.allSatisfy { (PlatformListener.queue(of: $0.raw)?.waiting ?? 0) > 0 } }

    /// From here on a new connection is dropped, and its client tries again.
    func close() throws(SystemError) {
        guard let leader = sockets.first?.raw else { return }
        try PlatformListener.attach(.all(to: slots), to: leader)
        isWorking = true
    }

    /// Whether somebody who came before the decoy is still shaking hands. To be asked before the queues are: who is not here
    /// any more is there.
    var isAwaited: Bool { HalfOpen.exists(onPort: address.port, family: address.family) }

    /// Leaves the group as it was. The decoys leave with the deinit of this.
    func giveUp(_ rotation: [Int], beside listener: CInt) {
        try? PlatformListener.attach(.spread(over: rotation, of: slots), to: listener)
    }

    /// To be called before the slot's socket `index`, the last that is left, leaves the group: the group's last socket will
    /// take its number. That is one decoy; connections are steered to the other, whose number stays.
    func prepareClosing(of index: Int) {
        // With one slot there is one decoy: once the slot's socket is gone the decoy is alone, whatever the program says.
        guard isWorking, sockets.count > 1, let leader = sockets.first?.raw else { return }
        try? PlatformListener.attach(.all(to: index + 1), to: leader)
    }
}
