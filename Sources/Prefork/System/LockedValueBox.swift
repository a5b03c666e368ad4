// A value with a lock around it.
import PreforkLibc

/// A value that one thread at a time may touch (pthread_mutex_lock(3)).
///
/// Not `Synchronization.Mutex`: on Linux the thread sanitizer does not know that lock. It reports each use by two
/// threads as a race, in our users' programs, too.
///
/// `@unchecked`, because the compiler cannot see the proof. `value` is private and is touched only in `withLock`, by
/// the thread that holds the mutex. Values that enter and leave `body` are `sending`, so no reference to them stays
/// elsewhere.
final class LockedValueBox<Value: ~Copyable>: @unchecked Sendable {
    private var value: Value
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    init(_ value: consuming sending Value) {
        mutex = .allocate(capacity: 1)
        // Cannot fail with default attributes.
        pthread_mutex_init(mutex, nil)
        self.value = value
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Calling it again from `body` deadlocks.
    func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
