import ExampleSupport  // what is said on one connection
import Foundation
import ServiceLifecycle

/// A server as a service: an accept loop in a thread, with a thread for each connection.
struct AcceptLoop: Service {
    let listener: Int32

    func run() async throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw POSIXError(.EMFILE) }
        let (stop, wake) = (ends[0], ends[1])
        let byte: [UInt8] = [0]
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await withCheckedContinuation { continuation in
                    Thread.detachNewThread {
                        serve(until: stop)
                        continuation.resume()
                    }
                }
            } onGracefulShutdown: {
                _ = write(wake, byte, 1)
            }
        } onCancel: {
            _ = write(wake, byte, 1)
        }
        close(stop)
        close(wake)
    }

    private func serve(until stop: Int32) {
        let readable = Int16(POLLIN)
        let connections = DispatchGroup()
        var wanted = [listener, stop].map { pollfd(fd: $0, events: readable, revents: 0) }
        while wanted[1].revents == 0 {
            poll(&wanted, 2, -1)
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { continue }  // another child was quicker
            connections.enter()
            Thread.detachNewThread {
                answerRequests(on: connection, until: stop)
                close(connection)
                connections.leave()
            }
        }
        close(listener)
        connections.wait()
    }
}
