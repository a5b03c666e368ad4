// Whether a listener can be sharded here: two sockets may listen on one address, and the kernel spreads connections
// over them.
import PreforkLibc

struct ReuseportProbe: Sendable {
    enum Outcome: Equatable, Sendable {
        case shardable
        case notShardable(reason: String)
    }

    /// The observations of the probe. `outcome` draws the conclusion.
    enum Observation: Equatable, Sendable {
        /// The system refused something on the way to two listening sockets.
        case refused(SystemError)
        /// How many of the probe's connections each socket got.
        case connected(first: Int, second: Int)
        /// Both sockets listen, but a connection to them fails (no loopback interface, a firewall).
        case unreachable(SystemError)
    }

    /// - Parameter spreads: whether this system's kernel is known to spread connections. It decides if the probe could
    ///   not see it.
    static func outcome(_ observation: Observation, spreads: Bool) -> Outcome {
        switch observation {
        case .refused(let error): .notShardable(reason: "two sockets cannot listen on one address: \(error)")
        case .unreachable(let error):
            spreads
                ? .shardable
                : .notShardable(reason: "cannot probe whether connections are spread over two sockets: \(error)")
        case .connected(let first, let second):
            first > 0 && second > 0
                ? .shardable
                : .notShardable(
                    reason: "connections are not spread over two sockets: of \(first + second) one got all")
        }
    }

    /// The largest number of connections that the probe makes. By chance, all of them reach one socket once in 2^63
    /// probes.
    private static let mostConnections = 64

    /// - Throws: an error that says nothing about the kernel, such as a lack of descriptors or memory.
    static func run() throws(SystemError) -> Outcome {
        let observation = observe()
        if case .refused(let error) = observation, error.isShortage { throw error }
        return outcome(observation, spreads: PlatformListener.spreadsConnections)
    }

    /// Probes an address of its own, which is the loopback interface and a port that the kernel chooses. It takes well
    /// under a millisecond. No client knows the address, so the probe takes no traffic. All sockets are closed at the
    /// end.
    static func observe() -> Observation {
        do throws(SystemError) {
            return try observe(family: AF_INET)
        } catch let refusal {
            // The host may have no IPv4.
            do throws(SystemError) {
                return try observe(family: AF_INET6)
            } catch {
                return .refused(refusal)
            }
        }
    }

    private static func observe(family: CInt) throws(SystemError) -> Observation {
        let first = try PlatformListener.makeSocket(family: family)
        let second = try PlatformListener.makeSocket(family: family)
        let loopback = SocketAddress.loopback(family: family)
        try loopback.bind(first.raw, context: "loopback")
        try PlatformListener.setReuseport(first.raw)
        try System.listen(first.raw, backlog: CInt(mostConnections), "the probe")
        let address = try SocketAddress(of: first.raw)
        try PlatformListener.setReuseport(second.raw)
        try address.bind(second.raw, context: "the same address")
        try System.listen(second.raw, backlog: CInt(mostConnections), "the probe")
        var counts = (first: 0, second: 0)
        do throws(SystemError) {
            for _ in 0..<mostConnections where counts.first == 0 || counts.second == 0 {
                let client = try PlatformListener.makeSocket(family: family)
                try address.connect(client.raw)
                if try isAccepted(byFirst: first.raw, orSecond: second.raw) {
                    counts.first += 1
                } else {
                    counts.second += 1
                }
                client.close()
            }
        } catch {
            return .unreachable(error)
        }
        return .connected(first: counts.first, second: counts.second)
    }

    /// Which of two listening sockets got the connection. On the loopback interface it is queued when connect(2)
    /// returns. The wait is for a busy machine.
    private static func isAccepted(byFirst first: CInt, orSecond second: CInt) throws(SystemError) -> Bool {
        var requests = [first, second].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let deadline = System.now() + .milliseconds(100)
        repeat {
            try System.poll(&requests, until: deadline)
        } while requests.allSatisfy { $0.revents == 0 }
            && System.now() < deadline
        guard let index = requests.firstIndex(where: { $0.revents != 0 }) else {
            throw SystemError(call: "connect", code: ETIMEDOUT, context: "loopback")
        }
        let raw = requests[index].fd
        try System.accept(raw).close()
        return index == 0
    }
}
