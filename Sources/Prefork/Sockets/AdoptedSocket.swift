// Listening sockets that belong to the caller or to systemd.
import PreforkLibc

/// The state in which an adopted socket was found. O_NONBLOCK and the backlog belong to the open file description,
/// which the owner shares.
struct AdoptedSocket {
    let isNonBlocking: Bool

    /// A copy of the owner's descriptor. The socket is non-blocking from now on, because several children poll it.
    /// Those that lose the race must get EAGAIN instead of sleeping in accept.
    /// - Parameter descriptor: a descriptor for which `Listener.fault(of:)` is `nil`.
    static func listener(_ descriptor: CInt, name: String?, lowest: CInt) throws(SystemError) -> Listener {
        let copy = try System.duplicate(descriptor, atLeast: lowest)
        let raw = copy.raw
        let bound = try SocketAddress(of: raw)
        let address = try Prefork.Address(bound, network: nil, name: name)
        let isNonBlocking = try System.statusFlags(of: raw) & O_NONBLOCK != 0
        let limit = Self.backlog(of: raw)
        try System.setNonBlocking(raw)
        return Listener(
            address: address,
            mode: .shared,
            sockets: [OpenSocket(copy)],
            lowest: lowest,
            bound: bound.family == AF_UNIX ? nil : bound,
            backlog: limit.map { CInt(clamping: $0) },
            admissionFault: "the socket stays its owner's; queued connections wait for the next process that accepts",
            adopted: AdoptedSocket(isNonBlocking: isNonBlocking)
        )
    }

    /// The backlog of a socket. `nil` if the system does not say.
    static func backlog(of descriptor: CInt) -> Int? {
        PlatformListener.queue(of: descriptor)?.limit ?? UnixQueue.limit(of: descriptor)
    }

    /// Undoes what this process and its children have changed. Call it when no child is left.
    func restore(_ descriptor: CInt, backlog: CInt?) {
        // listen(2) is called only if the backlog differs, because afterwards the clients of a Unix-domain socket see
        // this process as their peer.
        if let backlog, Self.backlog(of: descriptor) != Int(backlog) {
            try? System.listen(descriptor, backlog: backlog)
        }
        try? System.setNonBlocking(descriptor, isNonBlocking)
    }
}
