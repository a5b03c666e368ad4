// Waits on one thread for many descriptors and for points in time.

/// The event that a descriptor is watched for.
enum Interest {
    case nothing
    /// A connection to accept. Other processes may watch the same listener.
    case connections
    /// Bytes to read, or the end of the connection.
    case input
    /// Room in the send buffer.
    case space
}

struct EventLoop: ~Copyable {
    private let queue: EventQueue
    private var alarms = Alarms()

    init() throws(SystemFailure) { queue = try EventQueue() }

    /// Changes what a descriptor is watched for. Watch a listener for nothing before you close it: the queue watches
    /// its open file, which other processes have open, too.
    /// - Returns: false if the system has no memory for it.
    func watch(_ descriptor: CInt, for interest: Interest, before: Interest) -> Bool {
        queue.change(descriptor, from: before, to: interest)
    }

    /// Makes `expired` return the descriptor once, at this time or later.
    mutating func setAlarm(_ descriptor: CInt, at time: Duration) { alarms.insert(descriptor, at: time) }

    /// Waits for an event or for the next alarm.
    /// - Returns: the number of descriptors that are ready. The subscript returns them until the next call.
    func wait() -> Int {
        guard let next = alarms.first else { return queue.wait(milliseconds: -1) }
        // Rounded up, so that the alarm has expired after the wait.
        let left = max(.zero, next - Posix.now()) + .microseconds(999)
        return queue.wait(milliseconds: CInt(clamping: Int64(left / .milliseconds(1))))
    }

    subscript(index: Int) -> CInt { queue[index] }

    /// The descriptors whose alarms have expired since the last call.
    mutating func expired() -> [CInt] {
        guard alarms.first != nil else { return [] }
        let now = Posix.now()
        var descriptors: [CInt] = []
        while let descriptor = alarms.removeFirst(until: now) { descriptors.append(descriptor) }
        return descriptors
    }
}

/// Descriptors by the times of their alarms. A binary heap, the earliest first.
private struct Alarms {
    private var heap: [(time: Duration, descriptor: CInt)] = []

    var first: Duration? { heap.first?.time }

    mutating func insert(_ descriptor: CInt, at time: Duration) {
        heap.append((time, descriptor))
        var index = heap.count - 1
        while index > 0, heap[index].time < heap[(index - 1) / 2].time {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    /// - Returns: `nil` if the earliest alarm is later than `time`.
    mutating func removeFirst(until time: Duration) -> CInt? {
        guard let first = heap.first, first.time <= time else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var index = 0
        while 2 * index + 1 < heap.count {
            var earlier = 2 * index + 1
            if earlier + 1 < heap.count, heap[earlier + 1].time < heap[earlier].time { earlier += 1 }
            guard heap[earlier].time < heap[index].time else { break }
            heap.swapAt(index, earlier)
            index = earlier
        }
        return first.descriptor
    }
}
