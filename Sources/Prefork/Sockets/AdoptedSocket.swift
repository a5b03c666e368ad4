// Listening sockets that are somebody else's: the caller's, or systemd's.
import PreforkLibc

/// How an adopted socket was found. O_NONBLOCK and the backlog belong to the open file description, which is the owner's, too.
struct AdoptedSocket {
    private let flags: CInt

    /// A copy of the owner's descriptor, non-blocking from here on: of several children that poll one listener the losers
    /// must get EAGAIN, not sleep in accept.
    /// - Parameter descriptor: has no `Listener.fault(of:)`.
    static func listener(_ descriptor: CInt, name: String?, lowest: CInt) throws(SystemError) -> Listener {
        let copy = Descriptor(
            try System.call("fcntl", "F_DUPFD_CLOEXEC") { fcntl(descriptor, F_DUPFD_CLOEXEC, lowest) })
        let raw = copy.raw
        let address = try SocketAddress(of: raw).address(network: nil, name: name)
        let flags = try System.call("fcntl", "F_GETFL") { fcntl(raw, F_GETFL) }
        let limit = Self.backlog(of: raw)
        try System.setNonBlocking(raw)
        return Listener(
            address: address,
            mode: .shared,
            sockets: [OpenSocket(copy)],
            backlog: limit.map { CInt(clamping: $0) },
            admissionFault: "its owner keeps it open; connections that no child accepts wait for the next accept",
            adopted: AdoptedSocket(flags: flags)
        )
    }

    /// nil where the system does not tell.
    static func backlog(of descriptor: CInt) -> Int? {
        PlatformListener.queue(of: descriptor)?.limit ?? UnixQueue.limit(of: descriptor)
    }

    /// When no child is left.
    func restore(_ descriptor: CInt, backlog: CInt?) {
        // Only where it is another: listen(2) makes this process the one that a client at a Unix-domain socket sees as its
        // peer (SO_PEERCRED), for good.
        if let backlog, Self.backlog(of: descriptor) != Int(backlog) {
            _ = try? System.call("listen") { listen(descriptor, backlog) }
        }
        // Whatever we and the children have done to it meanwhile.
        let now = fcntl(descriptor, F_GETFL)
        if now != -1, now & O_NONBLOCK != flags & O_NONBLOCK {
            _ = fcntl(descriptor, F_SETFL, now & ~O_NONBLOCK | flags & O_NONBLOCK)
        }
    }
}

/// The sockets that systemd has handed over (sd_listen_fds(3)).
struct ActivatedSockets: Equatable {
    let descriptors: [CInt]
    let names: [String]

    /// The first one's number, SD_LISTEN_FDS_START.
    private static let first: CInt = 3

    /// - Parameter value: the value of a variable; nil where it is not set.
    /// - Returns: nil where something is wrong, and what.
    static func decode(pid: Int32, _ value: (String) -> String?) -> (sockets: ActivatedSockets?, fault: String) {
        guard let process = value("LISTEN_PID"), let count = value("LISTEN_FDS") else {
            return (nil, "LISTEN_PID and LISTEN_FDS are not set, so this process got no sockets")
        }
        guard process == "\(pid)" else {
            return (
                nil,
                "LISTEN_PID is \(quoted(process)), but this process is \(pid): the sockets are meant for another process"
            )
        }
        guard let number: Int16 = plainNumber(count), number > 0 else {
            return (nil, "LISTEN_FDS is \(quoted(count)), not a number of sockets")
        }
        var names = [String](repeating: "unknown", count: Int(number))  // As sd_listen_fds_with_names(3) has it.
        if let text = value("LISTEN_FDNAMES") {
            names = text.split(separator: ":", omittingEmptySubsequences: false).map { String($0) }
            guard names.count == Int(number) else {
                return (nil, "LISTEN_FDNAMES has \(names.count) names, LISTEN_FDS says \(number)")
            }
        }
        return (ActivatedSockets(descriptors: (first..<(first + CInt(number))).map { $0 }, names: names), "")
    }
}
