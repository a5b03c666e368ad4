/// The clients of the control socket, without their descriptors. It turns bytes into requests, and answers into bytes.
///
/// Each client has one request at a time. Further lines wait in its buffer. While the buffer is full or the master
/// works on the request, nothing is read from the client. The next request is begun when the last answer is sent. A
/// client therefore costs one buffer and one answer.
struct ControlClients {
    static let most = 16
    /// The most bytes of a request, without the end of its line.
    static let longestRequest = 1024
    /// How long a client may neither send a whole request nor take any part of an answer.
    static let idleTime: Duration = .seconds(60)
    /// The time between two lines of a watching client.
    static let watchInterval: Duration = .milliseconds(500)

    typealias ID = Int

    private var clients: [ID: Client] = [:]
    private var lastID = 0
    /// The client whose request was taken last. The next one comes from another client, if there is one.
    private var lastServed = 0

    var ids: [ID] { clients.keys.sorted() }

    // MARK: Coming and going

    /// - Parameters:
    ///   - user: the client's effective user. `nil` if the system does not say.
    ///   - owner: the master's.
    mutating func admit(user: UInt32?, owner: UInt32, at now: Instant) throws(ControlError) -> ID {
        guard let user, user == owner || user == 0 else {
            let name = user.map { "user \($0)" } ?? "an unknown user"
            throw ControlError(.forbidden, "only user \(owner) and root may control this fleet, not \(name)")
        }
        guard clients.count < Self.most else {
            throw ControlError(.tooManyClients, "there are \(Self.most) clients already")
        }
        lastID += 1
        clients[lastID] = Client(lastActivity: now)
        return lastID
    }

    mutating func remove(_ id: ID) { clients[id] = nil }

    /// Gives up on clients that have been idle for too long.
    mutating func expire(at now: Instant) {
        for (id, client) in clients where client.isIdle && client.lastActivity + Self.idleTime <= now {
            // An answer that is not read cannot be followed by an error.
            if !client.unsent.isEmpty {
                clients[id]?.unsent = []
            } else {
                let seconds = Self.idleTime.inSeconds
                clients[id]?.unsent = ControlError(.idle, "no request within \(seconds)").answer[...]
            }
            clients[id]?.isClosing = true
        }
    }

    /// Nothing more is sent to this client, and nothing is read from it.
    func isOver(_ id: ID) -> Bool { clients[id].map { $0.isClosing && $0.unsent.isEmpty } ?? true }

    /// When `expire`, `takeRequest` or `watchers` has something to do. `nil` if only a descriptor can tell.
    func nextDeadline(at now: Instant) -> Instant? {
        var next: Instant?
        for client in clients.values {
            let own =
                client.hasRequest ? now : client.isIdle ? client.lastActivity + Self.idleTime : client.nextWatchLine
            if let own { next = min(next ?? own, own) }
        }
        return next
    }

    // MARK: Input

    func wantsInput(_ id: ID) -> Bool { clients[id].map { $0.takesInput && !$0.isClosing } ?? false }

    mutating func receive(_ bytes: [UInt8], from id: ID) { clients[id]?.input += bytes }

    /// The client sends no more. It gets the answers to its earlier requests.
    mutating func receiveEnd(from id: ID) { clients[id]?.hasEnded = true }

    struct Received: Equatable {
        let client: ID
        let request: ControlRequest
    }

    /// Takes the next request. Lines that are none are answered here.
    mutating func takeRequest(at now: Instant) -> Received? {
        let order = ids.filter { $0 > lastServed } + ids.filter { $0 <= lastServed }
        for id in order {
            guard var client = clients[id] else { continue }
            defer { clients[id] = client }
            guard let line = client.takeLine(at: now) else { continue }
            lastServed = id
            do throws(ControlError) {
                let request = try ControlRequest(line)
                client.work = request == .watch ? .watching(next: now) : .working
                if request != .watch { return Received(client: id, request: request) }
            } catch {
                client.unsent = error.answer[...]
            }
            // One line in a turn, even if it was not a request.
            return nil
        }
        return nil
    }

    // MARK: In a handover

    func isWatching(_ id: ID) -> Bool { if case .watching = clients[id]?.work { true } else { false } }
    func input(_ id: ID) -> [UInt8] { clients[id]?.input ?? [] }

    /// Gives a client that was admitted the state that it had in an earlier program of this process.
    mutating func resume(_ id: ID, input: [UInt8], isWatching: Bool, isWorking: Bool, at now: Instant) {
        clients[id]?.input = input
        clients[id]?.work = isWorking ? .working : isWatching ? .watching(next: now) : .none
    }

    // MARK: Output

    /// The bytes to send next.
    func unsent(_ id: ID) -> ArraySlice<UInt8> { clients[id]?.unsent ?? [] }

    mutating func sent(_ count: Int, to id: ID, at now: Instant) {
        guard count > 0 else { return }
        clients[id]?.unsent.removeFirst(count)
        clients[id]?.lastActivity = now
    }

    /// Ends the request that was taken from this client.
    mutating func answer(_ id: ID, _ bytes: [UInt8], at now: Instant) {
        guard case .working = clients[id]?.work else { return }
        clients[id]?.work = .none
        clients[id]?.unsent = bytes[...]
        clients[id]?.lastActivity = now
    }

    /// The clients that get a line if the fleet has changed. One that has not read its last line gets none.
    func watchers(at now: Instant) -> [ID] {
        ids.filter { id in clients[id]?.nextWatchLine.map { $0 <= now } ?? false }
    }

    /// - Parameters:
    ///   - bytes: the line.
    ///   - state: the content of the line without the passing time. A client that has this state already gets no line.
    mutating func watch(_ id: ID, _ bytes: [UInt8], state: JSON, at now: Instant) {
        guard case .watching = clients[id]?.work else { return }
        clients[id]?.work = .watching(next: now + Self.watchInterval)
        if clients[id]?.shown == state { return }
        clients[id]?.shown = state
        clients[id]?.unsent = bytes[...]
        clients[id]?.lastActivity = now
    }
}

extension ControlClients {
    private struct Client {
        enum Work: Equatable {
            case none
            /// A request was taken, and is not answered yet.
            case working
            /// The next line is not sent before this moment.
            case watching(next: Instant)
        }

        var input: [UInt8] = []
        var unsent: ArraySlice<UInt8> = []
        var work = Work.none
        /// The state in the last line of a watching client.
        var shown: JSON?
        /// Nothing more comes from the client.
        var hasEnded = false
        /// It is closed as soon as `unsent` is sent.
        var isClosing = false
        var lastActivity: Instant

        /// While it works for the client, the master is not waiting for it.
        var isIdle: Bool {
            if isClosing { return !unsent.isEmpty }
            return work == .none || !unsent.isEmpty
        }

        private static let endOfLine = UInt8(ascii: "\n")

        /// Whether a line can be taken, or the client ended because there is none.
        var hasRequest: Bool {
            work == .none && unsent.isEmpty && !isClosing
                && (hasEnded || input.count > longestRequest || input.contains(Self.endOfLine))
        }

        var takesInput: Bool { !hasEnded && input.count <= longestRequest && work != .working }

        var nextWatchLine: Instant? {
            if case .watching(let next) = work, unsent.isEmpty, !isClosing { next } else { nil }
        }

        mutating func takeLine(at now: Instant) -> ArraySlice<UInt8>? {
            guard hasRequest else { return nil }
            let limit = input.prefix(longestRequest + 1)
            if let end = limit.firstIndex(of: Self.endOfLine) {
                let line = input[..<end]
                input.removeFirst(end + 1)
                lastActivity = now
                return line
            }
            isClosing = true
            if input.count > longestRequest {
                let error = ControlError(.requestTooLong, "a request has at most \(longestRequest) bytes")
                unsent = error.answer[...]
            }
            input = []
            return nil
        }
    }
}
