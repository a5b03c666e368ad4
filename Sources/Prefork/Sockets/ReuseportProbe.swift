// Can a listener be sharded here: may two sockets listen on one address, and does the kernel spread connections over them?
import PreforkLibc

struct ReuseportProbe: Sendable {
    enum Outcome: Equatable, Sendable {
        case shardable
        case notShardable(reason: String)
    }

    /// What was seen; `outcome` is what follows.
    enum Observation: Equatable, Sendable {
        /// The system refused something on the way to two listening sockets.
        case refused(SystemError)
        /// So many connections were made, and each socket got that many of them.
        case connected(first: Int, second: Int)
        /// Both listen, but nobody can connect here (no loopback interface, a firewall).
        case unreachable(SystemError)
    }

    /// - Parameter spreads: what is known of this system's kernel, where it could not be seen.
    static func outcome(_ observation: Observation, spreads: Bool) -> Outcome {
        switch observation {
        case .refused(let error): .notShardable(reason: "two sockets cannot listen on one address: \(error)")
        case .unreachable(let error):
            spreads
                ? .shardable
                : .notShardable(reason: "whether connections are spread over two sockets cannot be seen: \(error)")
        case .connected(let first, let second):
            first > 0 && second > 0
                ? .shardable
                : .notShardable(
                    reason: "connections are not spread over two sockets: of \(first + second) one got all")
        }
    }

    /// More connections to one of two sockets than chance allows (2^-63).
    private static let mostConnections = 64

    /// - Throws: what is no property of the kernel: no free descriptor, no memory.
    static func run() throws(SystemError) -> Outcome {
        let observation = observe()
        if case .refused(let error) = observation, error.isShortage { throw error }
        return outcome(observation, spreads: PlatformListener.spreadsConnections)
    }

    /// On an address of its own: the loopback interface and a port that the kernel chooses, for well under a millisecond.
    /// Nobody knows it, and it is no address that anybody asked us to listen on: there is no traffic to take. All is closed
    /// at the end.
    static func observe() -> Observation {
        do throws(SystemError) {
            return try observe(family: AF_INET)
        } catch let refusal {
            // A host without IPv4?
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
        try listen(first.raw)
        let address = try SocketAddress(of: first.raw)
        try PlatformListener.setReuseport(second.raw)
        try address.bind(second.raw, context: "the same address")
        try listen(second.raw)
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

    private static func listen(_ descriptor: CInt) throws(SystemError) {
        _ = try System.call("listen", "the probe") { systemListen(descriptor, mostConnections) }
    }

    /// Which of two listening sockets the connection has come to. On the loopback interface it is there when connect(2)
    /// returns; the wait is for a busy machine.
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
        Descriptor(try System.call("accept") { accept(raw, nil, nil) }).close()
        return index == 0
    }
}

private func systemListen(_ descriptor: CInt, _ backlog: Int) -> CInt { listen(descriptor, CInt(backlog)) }
