// A child can stop a listener for all processes that have it, because shutdown(2) affects every copy. Programs call it
// to wake a thread that waits in accept(2). The master makes the listener listen again.
import PreforkLibc

extension Listener {
    /// A socket that no longer listened.
    struct Stopped {
        /// `nil` if all slots share it.
        let slot: Int?
        let outcome: Prefork.Event.ListenerRepair
        /// Whether the socket still listens, but no client can find it.
        var hasLostFile = false
    }

    /// Makes sockets that a child has stopped listen again.
    /// - Parameters:
    ///   - slot: checks this slot's socket only. `nil` checks all sockets.
    ///   - isStarting: a child is about to start. Only then is a Unix-domain socket replaced.
    /// - Returns: the events to report. A socket that still cannot listen again is reported once.
    func repair(slot: Int? = nil, isStarting: Bool) -> [Stopped] {
        guard !sockets.isEmpty else { return [] }
        let candidates = slot.map { [index(of: $0)] } ?? Array(sockets.indices)
        let stopped = PlatformListener.stopped(candidates.map { sockets[$0].raw }).map { candidates[$0] }
        for index in candidates where !stopped.contains(index) { faults[index] = nil }
        if stopped.isEmpty { return isStarting || file?.link != nil ? restoreFile() : [] }
        if address.isUnix && !isStarting { return [] }
        // Others may have been stopped, too. The numbers of the members depend on which ones were.
        if slot != nil, candidates.count < sockets.count { return repair(isStarting: isStarting) }
        order.remove(stopped)
        return stopped.compactMap { index in
            let wasReported = faults[index] != nil
            let outcome = listenAgain(index, first: stopped[0])
            if case .failed(let error) = outcome { faults[index] = error } else { faults[index] = nil }
            if wasReported, faults[index] != nil { return nil }
            return Stopped(slot: mode == .sharded ? index : nil, outcome: outcome)
        }
    }

    /// Something may have removed the file of a Unix-domain socket, such as a program that cleans /tmp. Then no client
    /// can reach the socket. Unless the file gets its path back from a second name, another socket takes the path. If
    /// the path has another file by now, a successor has made it.
    private func restoreFile() -> [Stopped] {
        guard let file, file.isMissing else { return [] }
        if file.restoreLink() { return [Stopped(slot: nil, outcome: .restored, hasLostFile: true)] }
        do throws(SystemError) {
            try replaceUnixSocket()
            fileFault = nil
            return [Stopped(slot: nil, outcome: .replaced, hasLostFile: true)]
        } catch {
            defer { fileFault = error }
            return fileFault == nil ? [Stopped(slot: nil, outcome: .failed(error), hasLostFile: true)] : []
        }
    }

    /// Gives the file of a Unix-domain socket its path back, if the file has a second name.
    func restoreLink() { _ = file?.restoreLink() }

    private func listenAgain(_ index: Int, first: Int) -> Prefork.Event.ListenerRepair {
        // Only one socket may try to be the first of the group. `claim` prepares it for that, and the kernel then lets
        // it join no other group.
        if isGroup, order.count == 0, index != first, let error = faults[first] { return .failed(error) }
        do throws(SystemError) {
            if address.isUnix {
                try replaceUnixSocket()
                return .replaced
            }
            try listenAgain(sockets[index].raw)
            order.append(index)
            return order.isKnown ? .listens : .listensUnsteered
        } catch {
            return .failed(error)
        }
    }

    private func listenAgain(_ raw: CInt) throws(SystemError) {
        let limit = backlog ?? CInt(SOMAXCONN)
        guard let bound else { return }
        // Nothing of the group listens any more, so another master may have bound the address meanwhile.
        if order.count == 0 {
            _ = try Self.claim(raw, limit, address.description, isGroup: isGroup && adopted == nil) {
                () throws(SystemError) in
                try bindAgain(raw, bound)
            }
        } else {
            try bindAgain(raw, bound)
            try System.listen(raw, backlog: limit, address.description)
        }
    }

    /// Binds a socket that has lost the port which the kernel had chosen for it. listen(2) would give it another port.
    private func bindAgain(_ raw: CInt, _ bound: SocketAddress) throws(SystemError) {
        do throws(SystemError) {
            try bound.bind(raw, context: address.description)
        } catch {
            if error.code != EINVAL { throw error }  // It is still bound.
        }
    }

    /// Replaces a Unix-domain socket with another one, which takes its path. shutdown(2) of such a socket is final.
    private func replaceUnixSocket() throws(SystemError) {
        if address.isAbstract, adopted == nil {
            throw SystemError(
                call: "listen", code: EINVAL,
                context: "\(address), whose abstract name stays taken until all children have closed it")
        }
        guard let file, adopted == nil, let backlog else {
            throw SystemError(call: "listen", code: EINVAL, context: "\(address), which belongs to another owner")
        }
        let (socket, made) = try DirectoryLock.withLock(ofFile: file.path) {
            () throws(SystemError) -> (OpenSocket, SocketFile) in
            file.removeIfOwn()
            return try Self.bindUnix(
                address, file.path, backlog: backlog, lowest: lowest, keepsFile: file.link != nil)
        }
        replace(socket, made)
    }
}
