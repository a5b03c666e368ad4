/// The queues of a slot that gets no new connections any more, until they are empty.
struct RetiringQueue {
    private static let pause: Duration = .milliseconds(5)
    /// More than a round trip over any network. The handshake of a connection that was steered to the slot may still be
    /// in progress, and the kernel queues it there when it ends.
    private static let handshakePatience: Duration = .milliseconds(500)

    let slot: Int
    private let sockets: [CInt]
    private let addresses: [SocketAddress]
    /// When to look again.
    private(set) var next: Instant
    private let handshakesUntil: Instant
    private var wasQuiet = false
    private(set) var isEmpty = false

    /// - Parameters:
    ///   - sockets: the slot's own sockets, which stay open.
    ///   - addresses: those on which handshakes are waited for.
    init(slot: Int, sockets: [CInt], addresses: [SocketAddress]) {
        self.slot = slot
        self.sockets = sockets
        self.addresses = addresses
        next = System.now()
        handshakesUntil = next + Self.handshakePatience
    }

    /// Looks at the queues, if it is time. They are empty if they were so twice in a row: between the two looks, a
    /// handshake that had just ended reaches its queue.
    /// - Parameter exists: whether handshakes with these addresses are in progress.
    mutating func check(at now: Instant, handshakes exists: ([SocketAddress]) -> Bool) {
        guard next <= now else { return }
        next = now + Self.pause
        // Handshakes are checked before queues. A handshake that has ended by the first check is in a queue at the
        // second.
        let hasHandshakes = now < handshakesUntil && exists(addresses)
        let isQuiet = !hasHandshakes && !System.isAnyReadable(sockets)
        isEmpty = isQuiet && wasQuiet
        wasQuiet = isQuiet
    }
}
