// The state of one client's connection. No call here waits, except in routes that block the child.

final class Connection {
    private enum State {
        case closed
        case receiving
        /// The answer to `request` is sent at `deadline`. Input stays in the kernel.
        case delaying
        /// The rest of `output` waits for room. Input stays in the kernel, so that no more answers pile up.
        case sending
        /// The last answer is sent. Input is ignored until the client closes, or until `deadline`.
        case finishing
    }

    private enum Next { case receive, close, finish }

    /// How long a client that has its last answer may go on sending.
    private static let patience: Duration = .milliseconds(250)

    private let descriptor: CInt
    private var state = State.closed
    private var interest = Interest.nothing
    private var deadline: Duration = .zero
    /// Received bytes that are not answered yet. They are an incomplete head, or requests behind an unanswered one.
    private var input: [UInt8] = []
    /// The request whose body has not arrived yet, or whose answer is delayed.
    private var request: Request?
    private var missingBody = 0
    private var output: [UInt8] = []
    private var sent = 0
    private var afterOutput = Next.receive

    init(_ descriptor: CInt) { self.descriptor = descriptor }

    var isOpen: Bool { state != .closed }

    /// Begins with a new client.
    func open(_ server: Server) {
        state = .receiving
        // At the end of a drain, only a request that has arrived already is answered.
        if !server.keepsIdleConnections { receive(server) }
        settle(server)
    }

    /// Handles the event that the connection is watched for.
    func ready(_ server: Server) {
        switch state {
        case .receiving: receive(server)
        case .sending: resumeSending(server)
        case .finishing: discardInput(server)
        case .delaying: change(to: .nothing, server)
        case .closed: break
        }
        settle(server)
    }

    /// Handles an alarm, possibly one that an earlier client has set.
    func alarm(_ server: Server) {
        guard state == .delaying || state == .finishing, deadline <= Posix.now() else { return }
        if state == .finishing { return close(server) }
        state = .receiving
        answer(server)
        serveInput(server)
        settle(server)
    }

    /// Makes the loop watch for the connection's next step.
    func settle(_ server: Server) {
        switch state {
        case .receiving: if server.keepsIdleConnections { change(to: .input, server) } else { close(server) }
        case .finishing: change(to: .input, server)
        case .sending: change(to: .space, server)
        // Most clients send nothing during a delay, so the interest changes only if one does.
        case .delaying, .closed: break
        }
    }

    private func change(to wanted: Interest, _ server: Server) {
        if wanted == interest { return }
        guard server.loop.watch(descriptor, for: wanted, before: interest) else { return close(server) }
        interest = wanted
    }

    // MARK: Input

    private func receive(_ server: Server) {
        switch Posix.receive(descriptor, into: server.scratch) {
        case .nothing: break
        case .ended: close(server)
        case .bytes(let count):
            let bytes = Bytes(rebasing: server.scratch[..<count])
            if input.isEmpty {
                let used = serve(bytes, server)
                if used < count, isOpen { input.append(contentsOf: bytes[used...]) }
            } else {
                input.append(contentsOf: bytes)
                serveInput(server)
            }
        }
    }

    private func serveInput(_ server: Server) {
        if input.isEmpty || state != .receiving { return }
        var bytes: [UInt8] = []
        swap(&bytes, &input)
        bytes.removeFirst(bytes.withUnsafeBufferPointer { serve($0, server) })
        if isOpen { input = bytes }
    }

    /// Answers the requests in order, until one is incomplete or its answer has to wait.
    /// - Returns: the number of bytes that are no longer needed.
    private func serve(_ bytes: Bytes, _ server: Server) -> Int {
        var used = 0
        while state == .receiving {
            if request == nil {
                switch Request.parse(Bytes(rebasing: bytes[used...])) {
                case .incomplete: return used
                case .invalid:
                    let answer = Response.encode("400 Bad Request", "bad request", closing: true, head: false)
                    send(answer, then: .finish, server)
                    return bytes.count
                case .request(let next, let length):
                    request = next
                    missingBody = next.bodyLength
                    used += length
                }
            }
            let body = min(missingBody, bytes.count - used)
            used += body
            missingBody -= body
            if missingBody > 0 { return used }
            begin(server)
        }
        return used
    }

    private func begin(_ server: Server) {
        guard case .slow(let milliseconds) = request?.route else { return answer(server) }
        state = .delaying
        setDeadline(.milliseconds(milliseconds), server)
    }

    private func setDeadline(_ delay: Duration, _ server: Server) {
        deadline = Posix.now() + delay
        server.loop.setAlarm(descriptor, at: deadline)
    }

    // MARK: Output

    private func answer(_ server: Server) {
        guard let request else { return }
        self.request = nil
        let closes = !request.keepsAlive || server.isDraining
        let bytes = server.routes.answer(request.route, closing: closes, head: request.isHead)
        // At a drain, a client that wanted to keep the connection may be sending its next request.
        send(bytes, then: server.isDraining ? .finish : closes ? .close : .receive, server)
    }

    private func send(_ bytes: [UInt8], then next: Next, _ server: Server) {
        guard let count = Posix.send(descriptor, bytes[...]) else { return close(server) }
        if count == bytes.count { return proceed(to: next, server) }
        state = .sending
        (output, sent, afterOutput) = (bytes, count, next)
    }

    private func resumeSending(_ server: Server) {
        guard let count = Posix.send(descriptor, output[sent...]) else { return close(server) }
        sent += count
        if sent < output.count { return }
        output = []
        proceed(to: afterOutput, server)
        serveInput(server)
    }

    private func proceed(to next: Next, _ server: Server) {
        switch next {
        case .receive: state = .receiving
        case .close: close(server)
        case .finish:
            // Unread input at close(2) makes TCP send a reset, which may overtake the answer.
            Posix.endOutput(descriptor)
            state = .finishing
            input = []
            setDeadline(Self.patience, server)
        }
    }

    private func discardInput(_ server: Server) {
        switch Posix.receive(descriptor, into: server.scratch) {
        case .nothing: break
        case .ended: close(server)
        case .bytes: if deadline - Posix.now() < Self.patience / 2 { setDeadline(Self.patience, server) }
        }
    }

    private func close(_ server: Server) {
        Posix.close(descriptor)
        (state, interest, request) = (.closed, .nothing, nil)
        (input, output) = ([], [])
        server.connectionClosed()
    }
}
