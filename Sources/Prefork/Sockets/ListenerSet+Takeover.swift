// Listeners for programs that call bind(2) themselves.
import PreforkLibc

extension ListenerSet {
    /// Binds one more address while the fleet runs.
    /// - Parameter shards: the number of slots if each gets a socket of its own.
    /// - Returns: its position.
    mutating func add(
        _ target: Listener.Resolved, shards: Int?, _ configuration: Prefork.Configuration
    ) throws(SystemError) -> Int {
        var options = Listener.Options(configuration)
        options.lowest = Handshake.descriptors(listenerCount: 0).upperBound
        options.shards = shards
        append(try Listener.open(target, options))
        return addresses.count - 1
    }

    /// The listener that stands for an address which a program binds.
    ///
    /// It has the same family, port and host. If there is none, it has the same family and port and listens on all
    /// addresses. Port 0 stands for the next address of the fleet whose port the kernel has chosen.
    /// - Parameter ordinal: how often the process has bound this host with port 0 before.
    /// - Returns: `nil` if the fleet has no such listener and does not exclude the address.
    /// - Throws: EADDRINUSE if a listener of the fleet excludes the address without standing for it.
    func index(
        for wanted: SocketAddress, _ address: Prefork.Address, ordinal: Int
    ) throws(SystemError) -> Int? {
        if address.isUnix {
            let path = SocketFile.absolute(address.path ?? "")
            return addresses.firstIndex { $0.path.map(SocketFile.absolute) == path }
        }
        let bound = all.map(\.internetAddress)
        if wanted.port == 0 {
            let candidates = withChosenPorts.filter { index in bound[index].map { $0.covers(wanted) } ?? false }
            return ordinal < candidates.count ? candidates[ordinal] : nil
        }
        let candidates = bound.indices.filter { bound[$0]?.port == wanted.port }
        if let exact = candidates.first(where: { bound[$0]?.hasSameHost(wanted) == true }) { return exact }
        if let wide = candidates.first(where: { bound[$0]?.covers(wanted) == true }) { return wide }
        let target = Listener.Resolved(address: address, socketAddress: wanted)
        if let other = all.first(where: { $0.excludes(target) }) {
            throw SystemError(
                call: "bind", code: EADDRINUSE, context: "\(address), which \(other.address) excludes")
        }
        return nil
    }

    /// Gives the file of a Unix-domain socket its path back if a program has removed it.
    func restoreFile(at index: Int) { all[index].restoreLink() }

    /// The socket of the listener at this position for a child in this slot. `nil` after `close`.
    func socket(at index: Int, of slot: Int) -> CInt? { all[index].socket(of: slot) }
}

extension Listener {
    /// `nil` for a Unix-domain socket, and after `close`.
    fileprivate var internetAddress: SocketAddress? {
        guard !address.isUnix else { return nil }
        return bound ?? raw.flatMap { try? SocketAddress(of: $0) }
    }
}

extension SocketAddress {
    fileprivate func hasSameHost(_ other: SocketAddress) -> Bool { family == other.family && host == other.host }

    /// Whether connections to `other` reach a socket with this address.
    fileprivate func covers(_ other: SocketAddress) -> Bool {
        family == other.family && (isAny || host == other.host)
    }
}
