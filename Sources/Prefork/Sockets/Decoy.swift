// How a stop lets nobody in any more, without a privilege and without a reset: a socket of the listeners' own group whose
// queue is full. The kernel drops what is steered there, and the client tries again.
//
// The order matters, and is that of the calls below: the decoy's queue is filled by a connection of our own, so that no
// stranger's ends in it; until it is full nobody else is steered there; it is closed after the last child has ended, so that
// no connection is ever taken in that nobody will accept.
import PreforkLibc

/// The decoys of one address: one, or two where several sockets are closed beside them. Used by the master's thread only.
final class Decoy {
    private let sockets: [OpenSocket]
    private let address: SocketAddress
    /// How many sockets were listening before: the first decoy has this number in the group.
    private let slots: Int
    /// Somebody may have deferred a handshake's end for as long as he likes: nobody waits for those.
    private let awaitsHandshakes: Bool
    private var clients: [OpenSocket] = []
    private var ports: [(port: UInt16, index: Int)] = []
    /// By which of our own addresses the queues are being filled, and until when; those that are left.
    private var fillingUntil: Instant = .distantPast
    private var destinations: ArraySlice<SocketAddress> = []
    /// All new connections are steered here.
    private(set) var isActive = false

    /// A backlog of 1 admits two on every kernel: 0 admits one, or before 6.14 and without SYN cookies none.
    private static let backlog: CInt = 1
    private static let capacity = 2
    /// On the loopback interface it takes microseconds; a packet filter may swallow it.
    private static let patience: Duration = .milliseconds(200)

    /// - Parameters:
    ///   - sockets: bound with SO_REUSEPORT, not listening.
    ///   - address: the name that they are bound to.
    init(_ sockets: [OpenSocket], address: SocketAddress, slots: Int, awaitsHandshakes: Bool = true) {
        self.sockets = sockets
        self.address = address
        self.slots = slots
        self.awaitsHandshakes = awaitsHandshakes
    }

    /// Begins to fill the queue of each.
    /// - Parameters:
    ///   - rotation: the slots that go on getting connections meanwhile.
    ///   - listener: a socket of the group.
    func begin(_ rotation: [Int], beside listener: CInt, at now: Instant) throws(SystemError) {
        // Before it listens: an unsteered decoy would get its share of the traffic.
        try PlatformListener.attach(.spread(over: rotation, of: slots), to: listener)
        for socket in sockets {
            let raw = socket.raw
            _ = try System.call("listen", "the decoy") { listen(raw, Self.backlog) }
        }
        destinations = address.reachable[...]
        try proceed(rotation, beside: listener, at: now)
    }

    /// Fills the queues by way of the next of our addresses, once the time of the one before is over.
    /// - Throws: what went wrong with the last.
    func proceed(_ rotation: [Int], beside listener: CInt, at now: Instant) throws(SystemError) {
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

    private func fill(from destination: SocketAddress, _ rotation: [Int], beside listener: CInt) throws(SystemError) {
        var source = destination
        source.port = 0
        clients = []
        ports = []
        for index in sockets.indices {
            for _ in 0..<Self.capacity {
                let client = try PlatformListener.makeSocket(family: destination.family)
                try source.bind(client.raw, context: "the decoy's client")
                ports.append((try SocketAddress(of: client.raw).port, slots + index))
                clients.append(OpenSocket(client))
            }
        }
        // Nobody else can come from these ports of this host: they are bound.
        try steer(to: rotation, beside: listener)
        for client in clients { try destination.connect(client.raw) }
    }

    /// While the queues are being filled: all but our own connections to these slots.
    func steer(to rotation: [Int], beside listener: CInt) throws(SystemError) {
        try PlatformListener.attach(.ports(ports, othersOver: rotation, of: slots), to: listener)
    }

    /// Whether each queue holds our connections, and with that is full.
    var isFull: Bool {
        sockets.allSatisfy { (PlatformListener.queue(of: $0.raw)?.waiting ?? 0) >= Self.capacity }
    }

    /// From here on a new connection is dropped, and its client tries again.
    func close() throws(SystemError) {
        guard let leader = sockets.first?.raw else { return }
        try PlatformListener.attach(.all(to: slots), to: leader)
        isActive = true
    }

    /// Whether somebody who came before the decoy is still shaking hands. To be asked before the queues are: who is not here
    /// any more is there.
    var hasPendingHandshakes: Bool { awaitsHandshakes && HalfOpen.exists(at: address) }

    /// Leaves the group as it was. The decoys leave with the deinit of this.
    func giveUp(_ rotation: [Int], beside listener: CInt) {
        try? PlatformListener.attach(.spread(over: rotation, of: slots), to: listener)
    }

    /// To be called before the slot's socket `index`, the last that is left, leaves the group: the group's last socket will
    /// take its number. That is one decoy; connections are steered to the other, whose number stays.
    func prepareClosing(of index: Int) {
        // With one slot there is one decoy: once the slot's socket is gone the decoy is alone, whatever the program says.
        guard isActive, sockets.count > 1, let leader = sockets.first?.raw else { return }
        try? PlatformListener.attach(.all(to: index + 1), to: leader)
    }
}
