import Foundation

/// Accepts until `stop` is readable, with a thread for each connection, and returns when the last one is done.
/// - Parameter count: Called before each answer.
public func serve(_ listener: Int32, until stop: Int32, count: @escaping @Sendable () -> Void = {}) {
    let readable = Int16(POLLIN)
    let connections = DispatchGroup()
    var wanted = [listener, stop].map { pollfd(fd: $0, events: readable, revents: 0) }
    while wanted[1].revents == 0 {
        poll(&wanted, 2, -1)
        let connection = accept(listener, nil, nil)
        guard connection >= 0 else {
            // Out of descriptors, or another child was quicker. In the first case `poll` returns at once again.
            if errno == EMFILE || errno == ENFILE { usleep(10_000) }
            continue
        }
        _ = fcntl(connection, F_SETFL, 0)  // On macOS it is non-blocking, as the listener.
        connections.enter()
        Thread.detachNewThread {
            answerRequests(on: connection, until: stop, count: count)
            close(connection)
            connections.leave()
        }
    }
    close(listener)
    connections.wait()
}
