// The descriptors of one turn of the master's loop.
import PreforkLibc

/// One wake-up descriptor, then those of each child. Only open ones: poll(2) counts all against RLIMIT_NOFILE.
struct PollSet {
    enum Kind { case exit, channel }

    var requests: [pollfd]
    /// Of the requests after the first.
    private var meanings: [(pid: Int32, kind: Kind)] = []

    init(wake: CInt) { requests = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)] }

    /// - Parameters:
    ///   - exit: -1 where there is none.
    ///   - channel: -1 where there is none.
    mutating func add(_ pid: Int32, exit: CInt, channel: CInt) {
        for (descriptor, kind) in [(exit, Kind.exit), (channel, Kind.channel)] where descriptor != -1 {
            requests.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
            meanings.append((pid, kind))
        }
    }

    var isWoken: Bool { requests[0].revents != 0 }

    /// The children with something to tell there; a hang-up and an error are something.
    func pids(with kind: Kind) -> [Int32] {
        meanings.indices.filter { meanings[$0].kind == kind && requests[$0 + 1].revents != 0 }.map { meanings[$0].pid }
    }
}

extension System {
    /// Whether anything is there to be read or accepted, now (poll(2)).
    static func isAnyReadable(_ descriptors: [CInt]) -> Bool {
        var requests = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        // A failure says nothing: the caller asks again, and has a bound.
        do throws(SystemError) { try poll(&requests, until: now()) } catch { return true }
        return requests.contains { $0.revents != 0 }
    }
}

extension SystemError {
    var isAddressInUse: Bool { code == EADDRINUSE }
    var isNoSuchProcess: Bool { code == ESRCH }
}
