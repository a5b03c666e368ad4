// Calls of the C library: the one place that reads `errno` and repeats interrupted calls.
import PreforkLibc

/// Wrapped system calls, without any state. Each extension of this type holds the calls of one subject.
enum System {
    /// Calls `body` until no signal interrupts it. A result of -1 becomes an error with the value of `errno`.
    @inline(__always)
    static func call<Result: SignedInteger>(
        _ name: String,
        _ context: @autoclosure () -> String = "",
        _ body: () -> Result
    ) throws(SystemError) -> Result {
        while true {
            let result = body()
            if result != -1 { return result }
            let code = errno
            if code != EINTR { throw SystemError(call: name, code: code, context: context()) }
        }
    }

    /// Like `call`, for functions that return a pointer, and a null pointer on failure.
    @inline(__always)
    static func callForPointer<Pointer>(
        _ name: String,
        _ context: @autoclosure () -> String = "",
        _ body: () -> Pointer?
    ) throws(SystemError) -> Pointer {
        while true {
            if let pointer = body() { return pointer }
            let code = errno
            if code != EINTR { throw SystemError(call: name, code: code, context: context()) }
        }
    }

    /// Like `call`, for a caller that handles its signals before it calls again.
    /// - Returns: `nil` if a signal interrupted the call.
    @inline(__always)
    static func callOnce<Result: SignedInteger>(_ name: String, _ body: () -> Result) throws(SystemError) -> Result? {
        let result = body()
        if result != -1 { return result }
        let code = errno
        if code == EINTR { return nil }
        throw SystemError(call: name, code: code)
    }

    /// For functions that return an error number instead of setting `errno` (pthread_*, posix_spawn*).
    @inline(__always)
    static func check(_ name: String, _ code: CInt, _ context: @autoclosure () -> String = "") throws(SystemError) {
        if code != 0 { throw SystemError(call: name, code: code, context: context()) }
    }

    /// strerror_r(3), or the number if the C library has no text for it.
    static func message(for code: CInt) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            buffer.initialize(repeating: 0)
            guard let base = buffer.baseAddress, strerror_r(code, base, buffer.count - 1) == 0 else {
                return "error \(code)"
            }
            return String(cString: base)
        }
    }
}
