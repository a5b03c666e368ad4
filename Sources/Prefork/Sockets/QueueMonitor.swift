/// Finds the queues that have passed their share of the backlog.
struct QueueMonitor {
    private let alarm: Prefork.Configuration.Sockets.QueueAlarm
    private(set) var next: Instant = .distantPast
    /// The queues that were reported, by listener and number. They are reported again after they have been at half of
    /// the share.
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
