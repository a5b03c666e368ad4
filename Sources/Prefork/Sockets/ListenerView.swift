/// A listener as other threads see it. The descriptors are valid while the listeners are open, so `FleetHandle` reads
/// their queues under the lock that the master takes before it closes them.
struct ListenerView: Sendable {
    let address: Prefork.Address
    let mode: Prefork.ListenerMode
    let ownership: Prefork.ListenerOwnership
    private let descriptors: [CInt]

    init(_ listener: Listener) {
        address = listener.address
        mode = listener.mode
        ownership = listener.ownership
        descriptors = listener.sockets.map(\.raw)
    }

    /// The status, with the queues as they are now.
    var status: Prefork.Status.Listener {
        Prefork.Status.Listener(
            address: address,
            mode: mode,
            ownership: ownership,
            queues: descriptors.map { PlatformListener.queue(of: $0).map { Prefork.Status.Queue($0) } }
        )
    }
}

extension Prefork.Status.Queue {
    init(_ queue: SocketQueue) { self.init(waiting: queue.waiting, limit: queue.limit) }
}
