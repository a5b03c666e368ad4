// For the type-check only, compiled into the same module as the library. The first part is what Apple's SDK adds in
// Swift to the C headers. The signatures are Apple's, and the bodies never run.
import Darwin

var errno: Int32 {
    get { __error().pointee }
    set { __error().pointee = newValue }
}
var CLOCK_REALTIME: clockid_t { _CLOCK_REALTIME }
var CLOCK_MONOTONIC: clockid_t { _CLOCK_MONOTONIC }
var CLOCK_PROCESS_CPUTIME_ID: clockid_t { _CLOCK_PROCESS_CPUTIME_ID }
var S_IFMT: mode_t { 0o170000 }
var S_IFSOCK: mode_t { 0o140000 }
var TIOCGWINSZ: UInt { 0x4008_7468 }
var S_IFREG: mode_t { 0o100000 }
func ioctl(_ descriptor: Int32, _ request: UInt, _ value: UnsafeMutableRawPointer) -> Int32 { -1 }
func open(_ path: UnsafePointer<CChar>, _ flags: Int32) -> Int32 { -1 }
func fcntl(_ descriptor: Int32, _ command: Int32) -> Int32 { -1 }
func fcntl(_ descriptor: Int32, _ command: Int32, _ value: Int32) -> Int32 { -1 }

// The second part is what the standard library for embedded systems omits. A toolchain on Linux has no other one for an
// Apple system.
enum CommandLine {
    static var argc: Int32 { 0 }
    static var arguments: [String] { [] }
    static var unsafeArgv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> { .allocate(capacity: 1) }
}
/// As the standard library's.
public protocol CustomReflectable { var customMirror: Mirror { get } }
/// As the standard library's, without what it would show.
public struct Mirror {
    init<Subject>(_ subject: Subject, children: [Never]) {}
}
/// As the standard library's, without the value.
struct AnyHashable: Hashable {
    init(_ base: some Hashable) {}
}
struct CancellationError: Error {}
struct Task<Success: Sendable>: Sendable {
    @discardableResult init(operation: sending @escaping @isolated(any) () async throws -> Success) {}
    var result: Result<Success, any Error> {
        get async { fatalError() }
    }
    func cancel() {}
    @discardableResult static func detached(
        operation: sending @escaping @isolated(any) () async throws -> Success
    ) -> Task<Success> { fatalError() }
}
extension Task where Success == Never {
    static var isCancelled: Bool { false }
}
struct CheckedContinuation<Value, Failure: Error>: Sendable {
    func resume(with result: sending Result<Value, Failure>) {}
    func resume(returning value: sending Value) {}
    func resume(throwing error: Failure) {}
}
extension CheckedContinuation where Value == Void {
    func resume() {}
}
func withCheckedContinuation<Value>(_ body: (CheckedContinuation<Value, Never>) -> Void) async -> sending Value {
    fatalError()
}
func withCheckedThrowingContinuation<Value>(
    _ body: (CheckedContinuation<Value, any Error>) -> Void
) async throws -> sending Value {
    fatalError()
}
func withTaskCancellationHandler<Value>(
    operation: () async throws -> Value,
    onCancel handler: @Sendable () -> Void
) async rethrows -> Value {
    try await operation()
}
