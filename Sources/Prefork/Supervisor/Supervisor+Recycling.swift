/// How children that serve are replaced because of their age, their memory, or by request.
extension Supervisor {
    mutating func recycleRequested(_ pid: Int32, _ reason: RecycleReason, _ now: Instant) {
        guard !isStopping, let (index, role) = place(of: pid), role == .current, index < target else { return }
        // A request that waits already keeps its place in the queue.
        if slots[index].recycling?.pid != pid {
            slots[index].recycling = Recycling(pid: pid, reason: reason, since: now)
        }
    }

    mutating func noteAge(_ index: Int, _ now: Instant) {
        guard let child = slots[index].current, !child.isDraining, let due = child.recycleAt, due <= now else { return }
        slots[index].current?.recycleAt = nil
        recycleRequested(child.pid, .age, now)
    }

    /// Begins the next replacement. One slot at a time, so that a leak in all children costs the memory of one more
    /// child, and not during a restart, which replaces all children anyway.
    mutating func proceedWithRecycling(_ now: Instant, _ actions: inout [Action]) {
        for index in slots.all(.recycled) { slots[index].recycling = nil }
        guard restart == nil, slots.all(.beingRecycled).isEmpty else { return }
        guard let index = slots.recyclings.first, let recycling = slots[index].recycling else { return }
        slots[index].shortages = 0
        slots[index].attempt = .backingOff(until: now)
        actions.append(.report(.recycling(slot: index, pid: recycling.pid, recycling.reason)))
    }

    /// A part of the duration that differs from child to child, so that children which were started together are not
    /// replaced together.
    static func jitter(_ pid: Int32, upTo most: Duration) -> Duration {
        // The golden ratio spreads consecutive numbers evenly (Knuth, The Art of Computer Programming, 6.4).
        let share = (UInt32(bitPattern: pid) &* 0x9E37_79B9) >> 16
        return most / Int(UInt16.max) * Int(share)
    }
}
