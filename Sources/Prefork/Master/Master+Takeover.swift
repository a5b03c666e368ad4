// Listeners for programs that call bind(2) themselves.
import PreforkLibc

extension Master {
    /// Answers a child whose program binds an address.
    ///
    /// The child waits for the answer, or until its end of the pair hangs up. The end of this process causes that, too.
    /// If the child has died meanwhile, the answer is dropped with the pair.
    func answer(_ request: BindRequest, of child: ChildHandle, on reply: OpenSocket) {
        let socket: CInt?
        do throws(SystemError) {
            socket = try self.socket(for: request, of: child, user: System.peerUser(of: reply.raw))
        } catch {
            // Reported once, because a program may try the same address in a loop.
            if child.lastBindFault != error.description { observe(.systemError(error)) }
            child.lastBindFault = error.description
            return Channel.send(BindAnswer.failed(error.code).bytes, to: reply.raw)
        }
        guard let socket else { return Channel.send(BindAnswer.notTaken.bytes, to: reply.raw) }
        do throws(SystemError) {
            try Channel.send(BindAnswer.listener.bytes, passing: socket, to: reply.raw)
            child.hasBound = true
        } catch {
            // A child that has died waits for no answer.
            if error.code == EPIPE || error.code == ECONNRESET { return }
            observe(.systemError(error))
            Channel.send(BindAnswer.failed(error.code).bytes, to: reply.raw)
        }
    }

    /// - Parameter user: the child's effective user. `nil` if the system does not say.
    /// - Returns: `nil` if the address is not the fleet's.
    /// - Throws: the error of bind(2) in the child.
    private func socket(
        for request: BindRequest, of child: ChildHandle, user: uid_t?
    ) throws(SystemError) -> CInt? {
        guard let wanted = SocketAddress(bytes: request.address) else {
            throw SystemError(call: "bind", code: EINVAL, context: "an address of no known family")
        }
        let address = try Prefork.Address(
            wanted, network: wanted.network(isV6Only: request.isV6Only), name: nil)
        // No more children are started, and those that are starting are about to be asked to exit.
        guard !supervisor.isStopping else {
            throw SystemError(call: "bind", code: EADDRNOTAVAIL, context: "\(address) in a stop")
        }
        let index: Int
        if configuration.takeover == .given {
            guard let found = try listeners.index(for: wanted, address, ordinal: Int(request.ordinal)) else {
                return nil
            }
            index = found
        } else {
            // The key is a text, because the bytes of a `sockaddr` may have padding.
            let ordinal = address.port == 0 ? request.ordinal : 0
            let key = "\(address.path.map(SocketFile.absolute) ?? "\(address)") \(ordinal)"
            // A program may bind port 0, close the socket, and bind the port that it had.
            if let known = requested[key]?.index ?? listeners.addresses.firstIndex(of: address) {
                index = known
            } else {
                // A program that has given up its privileges must not get them back through the master.
                if let user, user != geteuid(), address.needsPrivileges {
                    throw SystemError(
                        call: "bind", code: EACCES, context: "\(address) for user \(user); give it to takeOver")
                }
                index = try bindOnRequest(wanted, address)
            }
            noteUse(of: index, key, child.pid)
        }
        // Frameworks remove the file of a Unix-domain socket before they bind it.
        listeners.restoreFile(at: index)
        return listeners.socket(at: index, of: child.slot)
    }

    /// Binds without another try. If it fails, the child's program fails, and its next start asks again.
    private func bindOnRequest(_ wanted: SocketAddress, _ address: Prefork.Address) throws(SystemError) -> Int {
        let target = Listener.Resolved(address: address, socketAddress: address.isUnix ? nil : wanted)
        while !hasRoom(for: address) {
            guard closeUnusedListener() else {
                throw SystemError(call: "bind", code: EMFILE, context: "\(address), one of too many")
            }
        }
        let index: Int
        do throws(SystemError) {
            index = try listeners.add(target, shards: shards, configuration)
            refusedBind = nil
        } catch {
            refusedBind = (address, error)
            throw error
        }
        observe(.listening(listeners.addresses))
        for event in listeners.steer(to: supervisor.rotation) { observe(event) }
        handle.publish(listeners: listeners.views)
        publish()
        return index
    }

    private func noteUse(of index: Int, _ key: String, _ pid: Int32) {
        var listener = requested[key] ?? RequestedListener(index: index)
        listener.users = listener.users.filter { children[$0] != nil }
        listener.users.insert(pid)
        listener.uses += 1
        useCount += 1
        listener.lastUse = useCount
        requested[key] = listener
    }

    /// The most addresses that children may ask for.
    private static let mostRequested = 128

    /// Whether one more listener leaves this process enough descriptors to replace all children.
    private func hasRoom(for address: Prefork.Address) -> Bool {
        listeners.addresses.count < Self.mostRequested
            && DescriptorLimit.hasRoom(
                sockets: address.isUnix ? 1 : shards ?? 1, addresses: address.isUnix ? 0 : 1,
                children: supervisor.target)
    }

    /// Closes a listener that no child uses: of those that were asked for the least often, the one that has not been
    /// asked for the longest time. A program may bind another path at each start, for example one with its process id.
    /// - Returns: `false` if children use all of them.
    private func closeUnusedListener() -> Bool {
        let used = Set(requested.values.filter { $0.users.contains { children[$0] != nil } }.map(\.index))
        let unused = requested.values.filter { !used.contains($0.index) }
        guard let index = unused.min(by: { ($0.uses, $0.lastUse) < ($1.uses, $1.lastUse) })?.index else { return false }
        listeners.remove(at: index)
        requested = requested.filter { $0.value.index != index }.mapValues { listener in
            var listener = listener
            if listener.index > index { listener.index -= 1 }
            return listener
        }
        handle.publish(listeners: listeners.views)
        return true
    }
}

/// A listener that was bound because a child has asked for it.
struct RequestedListener {
    /// Its position in the set.
    var index: Int
    /// The children that have got it.
    var users: Set<Int32> = []
    /// How often children have asked for it.
    var uses = 0
    /// A number that grows with each use of any listener.
    var lastUse = 0
}

extension Prefork.Address {
    /// Whether another user may be refused: a low port, or the path of a file.
    fileprivate var needsPrivileges: Bool {
        guard let port else { return !isAbstract }
        let start = System.text("/proc/sys/net/ipv4/ip_unprivileged_port_start")?.prefix { $0.isNumber }
        return port != 0 && port < (start.flatMap { Int($0) } ?? 1024)
    }
}

extension SocketAddress {
    fileprivate func network(isV6Only: Bool) -> Prefork.Address.Network? {
        switch family {
        // A numeric host implies its own family.
        case AF_INET6: isV6Only ? nil : .tcp
        default: nil
        }
    }
}
