// The descriptors of one turn of the master's loop.
#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// One wake-up descriptor, then two for each child. poll(2) passes over -1.
struct Watched {
    enum Kind { case exit, control }

    var requests: [pollfd]
    private var pids: [Int32] = []

    init(wake: CInt) { requests = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)] }

    mutating func add(_ pid: Int32, exit: CInt, control: CInt) {
        pids.append(pid)
        requests.append(pollfd(fd: exit, events: Int16(POLLIN), revents: 0))
        requests.append(pollfd(fd: control, events: Int16(POLLIN), revents: 0))
    }

    var isWoken: Bool { requests[0].revents != 0 }

    /// The children with something to tell there; a hang-up and an error are something.
    func pids(with kind: Kind) -> [Int32] {
        pids.indices.filter { requests[1 + 2 * $0 + (kind == .exit ? 0 : 1)].revents != 0 }.map { pids[$0] }
    }
}

extension SystemError {
    var isAddressInUse: Bool { code == EADDRINUSE }
    var isNoSuchProcess: Bool { code == ESRCH }
}
