// The monotonic clock, and waiting for descriptors.
import PreforkLibc

extension System {
    /// The time of CLOCK_MONOTONIC. Setting the clock does not move it, and it runs while this process is stopped.
    static func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Calls poll(2). It returns early if a signal interrupts it, so that the caller handles its signals first.
    /// - Parameter deadline: `nil` waits without a limit.
    static func poll(_ requests: inout [pollfd], until deadline: Instant?) throws(SystemError) {
        var timeout: CInt = -1
        if let deadline {
            // Rounded up, because rounding down would spin through the last millisecond.
            let left = max(.zero, deadline - now()).clampedNanoseconds
            timeout = CInt(clamping: left / 1_000_000 + (left % 1_000_000 == 0 ? 0 : 1))
        }
        _ = try callOnce("poll") {
            requests.withUnsafeMutableBufferPointer { systemPoll($0.baseAddress, nfds_t($0.count), timeout) }
        }
    }

    /// Whether one of these descriptors can be read, or accepted from, without waiting.
    static func isAnyReadable(_ descriptors: [CInt]) -> Bool {
        var requests = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        // A failure counts as "yes": callers ask again, and limit how often.
        do throws(SystemError) { try poll(&requests, until: now()) } catch { return true }
        return requests.contains { $0.revents != 0 }
    }

    /// Sleeps, or returns early if a signal comes.
    static func pause(milliseconds: CInt) { _ = systemPoll(nil, 0, milliseconds) }
}

/// poll(2) under a name that `System.poll` does not hide.
private func systemPoll(_ requests: UnsafeMutablePointer<pollfd>?, _ count: nfds_t, _ timeout: CInt) -> CInt {
    poll(requests, count, timeout)
}
