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
            socket = try self.socket(for: request, slot: child.slot)
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

    /// - Returns: `nil` if the address is not the fleet's.
    /// - Throws: the error of bind(2) in the child.
    private func socket(for request: BindRequest, slot: Int) throws(SystemError) -> CInt? {
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
            let key = "\(address.path.map(SocketFile.absolute) ?? "\(address)") \(request.ordinal)"
            if let known = requested[key] {
                index = known
            } else {
                index = try bindOnRequest(wanted, address)
                requested[key] = index
            }
        }
        // Frameworks remove the file of a Unix-domain socket before they bind it.
        listeners.restoreFile(at: index)
        return listeners.socket(at: index, of: slot)
    }

    /// Binds without another try. If it fails, the child's program fails, and its next start asks again.
    private func bindOnRequest(_ wanted: SocketAddress, _ address: Prefork.Address) throws(SystemError) -> Int {
        let target = Listener.Resolved(address: address, socketAddress: address.isUnix ? nil : wanted)
        let addresses = listeners.addresses.count { !$0.isUnix } + 1
        if let shards, !address.isUnix, DescriptorLimit.fault(addresses: addresses, children: shards) != nil {
            throw SystemError(call: "bind", code: EMFILE, context: "\(address) for each slot")
        }
        let index = try listeners.add(target, shards: shards, configuration)
        observe(.listening(listeners.addresses))
        for event in listeners.steer(to: supervisor.rotation) { observe(event) }
        handle.publish(listeners: listeners.views)
        publish()
        return index
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
