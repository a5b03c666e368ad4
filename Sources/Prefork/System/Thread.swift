// One POSIX thread with a Swift closure.
import PreforkLibc

/// pthread_create(3). Whoever holds it joins or detaches it, once.
struct Thread: ~Copyable {
    private let handle: pthread_t

    /// Starts `body` in a thread of its own. The signal mask is the creating thread's.
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

    /// Waits for the end of the thread and frees it. Not from the thread itself.
    consuming func join() { pthread_join(handle, nil) }

    /// Lets it end by itself.
    consuming func detach() { pthread_detach(handle) }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

#if canImport(Musl)
    private typealias CreatedThread = pthread_t?
    extension Optional where Wrapped == pthread_t {
        fileprivate var thread: pthread_t? { self }
    }
    private let threadEntry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { box in
        runThread(box)
        return nil
    }
#elseif canImport(Glibc)
    private typealias CreatedThread = pthread_t
    extension pthread_t {
        fileprivate static var none: pthread_t { 0 }
        fileprivate var thread: pthread_t? { self }
    }
    private let threadEntry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { box in
        runThread(box)
        return nil
    }
#elseif canImport(Darwin)
    private typealias CreatedThread = pthread_t?
    extension Optional where Wrapped == pthread_t {
        fileprivate var thread: pthread_t? { self }
    }
    private let threadEntry: @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? = { box in
        runThread(box)
        return nil
    }
#endif

private func runThread(_ box: UnsafeMutableRawPointer?) {
    guard let box else { return }
    Unmanaged<ThreadBody>.fromOpaque(box).takeRetainedValue().run()
}
