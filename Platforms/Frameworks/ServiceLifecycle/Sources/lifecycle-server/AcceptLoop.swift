import ExampleSupport  // the loop itself
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
                        serve(listener, until: stop)
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
}
