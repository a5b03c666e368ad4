// Lets the event loop answer the question whether it still runs.
import Prefork
import Synchronization

/// Closures that other threads hand to the event loop.
final class Pulse: Sendable {
    private let waiting = Mutex<[@Sendable () -> Void]>([])
    /// Becomes readable when there are any.
    let descriptor: CInt
    private let writer: CInt

    init(_ child: Prefork.Child) throws(SystemFailure) {
        (descriptor, writer) = try Posix.makePipe()
        child.watch { [self] beat in
            waiting.withLock { $0.append(beat) }
            Posix.wake(writer)
        }
    }

    /// Called by the loop when the descriptor is readable.
    func answer() {
        // The bytes go first. A closure that comes after them leaves one that wakes the loop again.
        Posix.discard(descriptor)
        for beat in waiting.withLock({ beats in
            defer { beats = [] }
            return beats
        }) { beat() }
    }
}
