import PreforkLibc

/// The descriptors of the control socket. All of it happens in the master's thread and without waiting, and each turn
/// of the master's loop does a bounded part of it.
final class ControlServer {
    private let path: String
    private let observe: (Prefork.Event) -> Void
    private var socket: ControlSocket?
    private var connections: [ControlClients.ID: OpenSocket] = [:]
    var clients = ControlClients()
    /// The requests that are being carried out.
    var work: [ControlWork] = []
    /// When to try again to bind the socket, or to accept.
    private var retry: Instant?
    private var delay = firstDelay

    /// The most connections that one turn accepts, and the most parts of an answer that it sends to a client.
    private static let mostInTurn = 8
    /// The most bytes that one call sends.
    private static let part = 65_536
    private static let firstDelay: Duration = .milliseconds(500)
    private static let longestDelay: Duration = .seconds(30)
    /// The most processes whose usage one turn reads.
    private static let mostUsages = 256

    private var usages: [Int32: ProcessUsage] = [:]
    private var usagePlace = 0

    /// - Throws: ``PreforkError/Code/cannotListen``, unless another process listens on the socket. It may be that of a
    ///   master that is about to end, so the path is tried again while the fleet serves.
    init(path: String, observe: @escaping (Prefork.Event) -> Void) throws(PreforkError) {
        self.path = path
        self.observe = observe
        do throws(SystemError) {
            try open(at: System.now(), patience: .seconds(1))
        } catch {
            throw .cannotListen(.unix(path), error)
        }
    }

    /// Continues that of an earlier program of this process.
    init(path: String, continuing socket: consuming ControlSocket, observe: @escaping (Prefork.Event) -> Void) {
        self.path = path
        self.observe = observe
        self.socket = consume socket
    }

    private func open(at now: Instant, patience: Duration) throws(SystemError) {
        do throws(SystemError) {
            socket = try ControlSocket(path: path, patience: patience)
            (retry, delay) = (nil, Self.firstDelay)
        } catch {
            guard error.isAddressInUse else { throw error }
            if delay == Self.firstDelay { observe(.systemError(error)) }
            backOff(now)
        }
    }

    private func backOff(_ now: Instant) {
        retry = now + delay
        delay = min(delay * 2, Self.longestDelay)
    }

    private var raw: CInt { ControlSocket.number(of: socket) }

    // MARK: The turns of the loop

    func watch(_ watched: inout PollSet) {
        if retry == nil { watched.add(raw, .control) }
        for (id, connection) in connections {
            var interest: PollSet.Interest = []
            if clients.wantsInput(id) { interest.insert(.input) }
            if !clients.unsent(id).isEmpty { interest.insert(.output) }
            watched.add(connection.raw, .client(id: id), interest)
        }
    }

    func nextDeadline(at now: Instant) -> Instant? {
        [retry, clients.nextDeadline(at: now)].compactMap { $0 }.min()
    }

    /// Reads what the clients have sent, and accepts new ones.
    func receive(_ watched: borrowing PollSet, at now: Instant) {
        let hungUp = watched.hungUp
        for token in watched.ready {
            switch token {
            case .control: accept(at: now)
            case .client(let id): receive(from: id, isGone: hungUp.contains(token))
            default: break
            }
        }
        guard let retry, retry <= now else { return }
        if raw != -1 {
            self.retry = nil
        } else {
            // A fault at the start ends the fleet. A later one must not, and nothing waits for a lock.
            do throws(SystemError) {
                try open(at: now, patience: .zero)
            } catch {
                observe(.systemError(error))
                backOff(now)
            }
        }
    }

    private func receive(from id: ControlClients.ID, isGone: Bool) {
        guard let connection = connections[id] else { return }
        guard clients.wantsInput(id) else {
            if isGone { close(id) }
            return
        }
        switch Channel.receive(from: connection.raw) {
        case .bytes(let bytes): clients.receive(bytes, from: id)
        case .nothing: break
        case .hungUp: if isGone { close(id) } else { clients.receiveEnd(from: id) }
        }
    }

    private func accept(at now: Instant) {
        for _ in 0..<Self.mostInTurn {
            do throws(SystemError) {
                let connection = try System.acceptForMaster(raw)
                admit(OpenSocket(connection), at: now)
            } catch {
                if error.code == EAGAIN || error.code == EWOULDBLOCK { return }
                if error.code == ECONNABORTED { continue }
                // Without a pause, a shortage of descriptors would make the loop spin.
                observe(.systemError(error))
                return backOff(now)
            }
        }
    }

    private func admit(_ connection: OpenSocket, at now: Instant) {
        do throws(ControlError) {
            let user = System.peerUser(of: connection.raw)
            connections[try clients.admit(user: user, owner: geteuid(), at: now)] = connection
            delay = Self.firstDelay
        } catch {
            // A new connection has room for one line.
            _ = try? Channel.sendPart(error.answer[...], to: connection.raw)
        }
    }

    /// Sends the answers, and closes the connections that are over.
    func send(at now: Instant) {
        clients.expire(at: now)
        for (id, connection) in connections {
            do throws(SystemError) {
                for _ in 0..<Self.mostInTurn {
                    let unsent = clients.unsent(id)
                    if unsent.isEmpty { break }
                    let count = try Channel.sendPart(unsent.prefix(Self.part), to: connection.raw)
                    if count == 0 { break }
                    clients.sent(count, to: id, at: now)
                }
                if clients.isOver(id) { close(id) }
            } catch {
                close(id)
            }
        }
    }

    func peer(of id: ControlClients.ID) -> SignalSender? { connections[id].flatMap { System.peer(of: $0.raw) } }

    /// The memory and processor time of these processes. One call reads those of 256 processes. In a larger fleet the
    /// others are as old as the calls before.
    func usage(of pids: [Int32]) -> [Int32: ProcessUsage] {
        var known = usages.filter { pids.contains($0.key) }
        for index in 0..<min(pids.count, Self.mostUsages) {
            let pid = pids[(usagePlace + index) % pids.count]
            known[pid] = ProcessUsage(of: pid)
        }
        usagePlace = pids.isEmpty ? 0 : (usagePlace + Self.mostUsages) % pids.count
        usages = known
        return known
    }

    // MARK: In a handover

    var descriptors: [CInt] { ([raw] + connections.values.map(\.raw)).filter { $0 != -1 } }

    /// The socket, and the clients whose requests are not answered yet. A client that has not read its last answer is
    /// left behind.
    var handoverRecords: [HandoverRecord] {
        var record = HandoverRecord("control")
        switch socket {
        case .some(let socket): socket.write(to: &record)
        case .none: break
        }
        return [record]
            + connections.compactMap { id, connection in
                guard clients.unsent(id).isEmpty else { return nil }
                var record = HandoverRecord("client")
                record.set("descriptor", connection.raw)
                record.set("watches", clients.isWatching(id))
                record.set("input", bytes: clients.input(id))
                work.first { $0.client == id }?.write(to: &record)
                return record
            }
    }

    /// Continues with a client of an earlier program of this process.
    func adopt(_ record: HandoverRecord, _ connection: consuming Descriptor, at now: Instant) {
        let connection = OpenSocket(connection)
        guard
            let id = try? clients.admit(user: System.peerUser(of: connection.raw), owner: geteuid(), at: now)
        else { return }
        connections[id] = connection
        let kind = ControlWork.Kind(record)
        clients.resume(
            id, input: (try? record.bytes("input")) ?? [], isWatching: record.flag("watches"), isWorking: kind != nil,
            at: now)
        if let kind { work.append(ControlWork(client: id, kind: kind)) }
    }

    /// Tells the requests that are being carried out what has happened.
    func note(_ event: Prefork.Event) {
        for index in work.indices { work[index].note(event) }
    }

    private func close(_ id: ControlClients.ID) {
        clients.remove(id)
        connections[id] = nil
        work.removeAll { $0.client == id }
    }

    /// Removes the file, sends what the kernel takes at once, and closes everything.
    func end(at now: Instant) {
        // First, so that a client that has its answer finds the path free.
        switch socket.take() {
        case .some(let socket): socket.close()
        case .none: break
        }
        send(at: now)
        connections = [:]
    }
}
