// How many connections wait: for those who ask, and for those who want to be told.

/// A listener as other threads may see it. The numbers are valid while the listeners are open: `FleetHandle` looks at them under the
/// lock under which the master takes them away before it closes them.
struct ListenerView: Sendable {
    let address: Prefork.Address
    let mode: Prefork.ListenerMode
    let ownership: Prefork.ListenerOwnership
    fileprivate let descriptors: [CInt]

    init(_ listener: Listener) {
        address = listener.address
        mode = listener.mode
        ownership = listener.ownership
        descriptors = listener.sockets.map(\.raw)
    }

    /// What the kernel says now.
    var status: Prefork.Status.Listener {
        Prefork.Status.Listener(
            address: address,
            mode: mode,
            ownership: ownership,
            queues: descriptors.map { PlatformListener.queue(of: $0) }
        )
    }
}

/// Which queues have passed their share of the backlog.
struct QueueMonitor {
    private let alarm: Prefork.Configuration.Sockets.QueueAlarm
    private(set) var next: Instant = .distantPast
    /// Those that were told of, by listener and number: told again only after they have been at half of it.
    private var raised: Set<[Int]> = []

    init(_ alarm: Prefork.Configuration.Sockets.QueueAlarm) { self.alarm = alarm }

    mutating func check(_ views: [ListenerView], at now: Instant) -> [Prefork.Event] {
        guard next <= now else { return [] }
        next = now + alarm.interval
        return check(views.map(\.status))
    }

    mutating func check(_ listeners: [Prefork.Status.Listener]) -> [Prefork.Event] {
        var events: [Prefork.Event] = []
        for (index, listener) in listeners.enumerated() {
            for (number, queue) in listener.queues.enumerated() {
                guard let queue, queue.limit > 0 else { continue }
                let share = Double(queue.waiting) / Double(queue.limit)
                if share >= alarm.share {
                    guard raised.insert([index, number]).inserted else { continue }
                    let slot = listener.mode == .sharded ? number : nil
                    events.append(.queueFilling(listener.address, slot: slot, queue))
                } else if share <= alarm.share / 2 {
                    raised.remove([index, number])
                }
            }
        }
        return events
    }
}
