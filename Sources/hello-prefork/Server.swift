// An event loop on the calling thread: it accepts, serves all connections, and drains when the child must exit.
import Prefork

final class Server {
    /// Idle connections are closed this long after the start of a drain. A request may be on its way on them.
    private static let linger: Duration = .milliseconds(900)
    /// The pause after accept(2) has failed for want of descriptors or memory. The connection stays in the queue.
    private static let acceptPause: Duration = .milliseconds(10)
    /// How many connections are accepted before any of them is served. More would serve others late, and a crash would
    /// cost more of them. With one, each request in a shared queue that makes a child trap would cost a child.
    private static let acceptsAtOnce = 4

    let routes: Routes
    /// Connections receive into it, and copy what they do not use at once.
    let scratch = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 32_768)
    var loop: EventLoop
    private(set) var isDraining = false
    private(set) var keepsIdleConnections = true

    private struct Listener {
        let descriptor: CInt
        var interest = Interest.nothing
    }

    private let stopDescriptor: CInt
    private var listeners: [Listener]
    /// By descriptor. An object serves one client after the other.
    private var connections: [Connection?] = []
    private var openConnections = 0

    private let pulse: Pulse?

    /// - Parameter sendsBeats: whether the master wants to know that the loop runs.
    init(child: Prefork.Child, descriptorsAtStart: [CInt], sendsBeats: Bool) throws {
        pulse = sendsBeats ? try Pulse(child) : nil
        routes = Routes(child: child, descriptorsAtStart: descriptorsAtStart)
        stopDescriptor = child.stopDescriptor
        listeners = try child.addresses.indices.map { Listener(descriptor: try child.takeListener(at: $0)) }
        loop = try EventLoop()
    }

    deinit { scratch.deallocate() }

    /// Returns when the drain has begun and the last connection is closed.
    func run() throws {
        let areWatched = listeners.indices.allSatisfy { watch($0, for: .connections) }
        guard areWatched, loop.watch(stopDescriptor, for: .input, before: .nothing) else {
            throw SystemFailure("watching a listener")
        }
        if let pulse, !loop.watch(pulse.descriptor, for: .input, before: .nothing) {
            throw SystemFailure("watching for beats")
        }
        routes.child.ready()
        while !isDraining || openConnections > 0 || !listeners.isEmpty {
            for index in 0..<loop.wait() { ready(loop[index]) }
            for descriptor in loop.expired() { alarm(descriptor) }
        }
    }

    func connectionClosed() { openConnections -= 1 }

    private func ready(_ descriptor: CInt) {
        if let connection = connection(descriptor) {
            connection.ready(self)
        } else if descriptor == pulse?.descriptor {
            pulse?.answer()
        } else if descriptor == stopDescriptor {
            beginDrain()
        } else {
            accept(descriptor)
        }
    }

    private func alarm(_ descriptor: CInt) {
        if let connection = connection(descriptor) {
            connection.alarm(self)
        } else if descriptor == stopDescriptor {
            keepsIdleConnections = false
            for connection in connections { connection?.settle(self) }
        } else {
            accept(descriptor)
        }
    }

    // MARK: Connections

    private func connection(_ descriptor: CInt) -> Connection? {
        Int(descriptor) < connections.count ? connections[Int(descriptor)] : nil
    }

    private func open(_ descriptor: CInt) {
        while connections.count <= Int(descriptor) { connections.append(nil) }
        let connection = connections[Int(descriptor)] ?? Connection(descriptor)
        connections[Int(descriptor)] = connection
        openConnections += 1
        connection.open(self)
    }

    // MARK: Listeners

    private func watch(_ index: Int, for interest: Interest) -> Bool {
        let listener = listeners[index]
        if listener.interest == interest { return true }
        guard loop.watch(listener.descriptor, for: interest, before: listener.interest) else { return false }
        listeners[index].interest = interest
        return true
    }

    /// Accepts some of the connections that wait. At a drain it accepts all of them and closes the listener.
    private func accept(_ descriptor: CInt) {
        guard let index = listeners.firstIndex(where: { $0.descriptor == descriptor }) else { return }
        var limit = isDraining ? Int.max : Self.acceptsAtOnce
        var accepted = Posix.accept(descriptor)
        while case .connection(let connection) = accepted {
            open(connection)
            limit -= 1
            if limit == 0 { break }
            accepted = Posix.accept(descriptor)
        }
        switch accepted {
        case .failed: pause(index)
        case .nothing where isDraining:
            _ = watch(index, for: .nothing)
            Posix.close(descriptor)
            listeners.remove(at: index)
        case .nothing, .connection:
            // Of the processes that wait for a shared listener, Linux wakes the one that has watched it longest.
            if !watch(index, for: .nothing) || !watch(index, for: .connections) { pause(index) }
        }
    }

    /// The connections stay in the queue.
    private func pause(_ index: Int) {
        _ = watch(index, for: .nothing)
        loop.setAlarm(listeners[index].descriptor, at: Posix.now() + Self.acceptPause)
    }

    private func beginDrain() {
        isDraining = true
        // The descriptor stays readable. Its alarm is the end of idle connections.
        _ = loop.watch(stopDescriptor, for: .nothing, before: .input)
        loop.setAlarm(stopDescriptor, at: Posix.now() + Self.linger)
        for listener in listeners { accept(listener.descriptor) }
    }
}
