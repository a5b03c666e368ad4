// One POSIX thread with a Swift closure.
import PreforkLibc

/// pthread_create(3). Its owner joins or detaches it, once.
struct Thread: ~Copyable {
    private let handle: pthread_t

    /// Starts `body` in a new thread, which inherits the signal mask of this one.
    init(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let box = Unmanaged.passRetained(ThreadBody(body))
        var created: CreatedThread = CreatedThread.none
        let code = pthread_create(&created, nil, threadEntry, box.toOpaque())
        guard code == 0, let handle = created.thread else {
            box.release()
            throw SystemError(call: "pthread_create", code: code)
        }
        self.handle = handle
    }

    /// Waits until the thread has ended, and frees it. The thread itself must not call it.
    consuming func join() { pthread_join(handle, nil) }

    /// The thread frees itself when it ends.
    consuming func detach() { pthread_detach(handle) }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

#if canImport(Glibc) && !canImport(Musl)
    /// A number, which is 0 before pthread_create(3) has set it.
    private typealias CreatedThread = pthread_t
    extension pthread_t {
        fileprivate static var none: pthread_t { 0 }
        fileprivate var thread: pthread_t? { self }
    }
#else
    private typealias CreatedThread = pthread_t?
    extension Optional where Wrapped == pthread_t {
        fileprivate var thread: pthread_t? { self }
    }
#endif

#if canImport(Darwin)
    private let threadEntry: @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? = { box in
        runThread(box)
        return nil
    }
#else
    private let threadEntry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { box in
        runThread(box)
        return nil
    }
#endif

private func runThread(_ box: UnsafeMutableRawPointer?) {
    guard let box else { return }
    Unmanaged<ThreadBody>.fromOpaque(box).takeRetainedValue().run()
}
