// Addresses as users write them, and as sockets have them.
import PreforkLibc

extension Listener {
    /// An address whose host has been looked up.
    struct Resolved {
        let address: Prefork.Address
        /// `nil` for a Unix-domain address.
        let socketAddress: SocketAddress?
        /// Why the resolver cannot answer yet.
        var delay: SystemError?
    }

    /// Looks the host up. For a name, the resolver decides how long that takes.
    static func resolve(_ address: Prefork.Address) throws(SystemError) -> Resolved {
        guard let host = address.host else { return Resolved(address: address, socketAddress: nil) }
        do throws(SystemError) {
            let found = try lookUp(host, address.effectiveNetwork, context: address.description)
            return Resolved(address: address, socketAddress: found)
        } catch {
            guard error.isAddressNotThereYet else { throw error }
            return Resolved(address: address, socketAddress: nil, delay: error)
        }
    }

    static func lookUp(
        _ host: String, _ network: Prefork.Address.Network, context: String
    ) throws(SystemError) -> SocketAddress {
        let family =
            switch network {
            case .tcp4: AF_INET
            case .tcp6: AF_INET6
            case .tcp: host.isEmpty ? AF_INET6 : AF_UNSPEC
            }
        let found = try SocketAddress.lookUp(host, family: family, context: context)
        // Like Go's net.Listen: the first IPv4 address, or the first of all if there is none.
        return found.first { $0.family == AF_INET } ?? found[0]
    }

    /// Whether this listener is a reason why the kernel takes the address to be in use.
    func excludes(_ target: Resolved) -> Bool {
        guard let wanted = target.socketAddress else { return address.path == target.address.path }
        guard let own = bound ?? raw.flatMap({ try? SocketAddress(of: $0) }), own.family != AF_UNIX,
            Int(own.port) == target.address.port
        else { return false }
        if own.family == wanted.family { return own.isAny || wanted.isAny || own.host == wanted.host }
        // A socket for both families excludes every IPv4 address with its port.
        let (six, network) =
            own.family == AF_INET6 ? (own, address.effectiveNetwork) : (wanted, target.address.effectiveNetwork)
        return six.isAny && network != .tcp6
    }
}

extension Prefork.Address {
    /// The address that an open socket is bound to.
    init(of descriptor: CInt, network: Network?, name: String?) throws(SystemError) {
        try self.init(SocketAddress(of: descriptor), network: network, name: name)
    }

    init(_ address: SocketAddress, network: Network?, name: String?) throws(SystemError) {
        self =
            address.family == AF_UNIX
            ? .unix(address.unixPath, name: name)
            : .tcp(try address.numericHost(), port: Int(address.port), network: network, name: name)
    }
}
