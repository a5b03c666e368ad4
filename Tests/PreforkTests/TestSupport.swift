import PreforkLibc
import Testing

@testable import Prefork

/// The error that `body` throws. `nil` if it throws none.
func failure<Value, Failure>(_ body: () throws(Failure) -> Value) -> Failure? {
    do throws(Failure) {
        _ = try body()
        return nil
    } catch {
        return error
    }
}

/// A fresh directory for `body`, removed afterwards with the files in it. Its path is short, because a socket's path is
/// limited.
func withTemporaryDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/prefork-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { removeDirectory(path) }
    try body(path)
}

private func removeDirectory(_ path: String) {
    for name in (try? System.entries(of: path)) ?? [] { unlink("\(path)/\(name)") }
    rmdir(path)
}

func writeFile(_ path: String, _ text: String) throws {
    let file = Descriptor(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600))
    try #require(file.raw >= 0)
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(file.raw, $0.baseAddress, $0.count) }
        try #require(count > 0)
        rest = rest.dropFirst(count)
    }
}

/// The same numbers in every run, for the standard library's `random(in:using:)`.
extension SplitMix64: RandomNumberGenerator {}

var isRoot: Bool { geteuid() == 0 }

func makeUnreadable(_ path: String) -> Bool { chmod(path, 0) == 0 }

/// A pipe whose ends block, as a standard error does.
func makePipe() throws -> (readEnd: CInt, writeEnd: CInt) {
    var ends: [CInt] = [-1, -1]
    try #require(pipe(&ends) == 0)
    for end in ends { try System.setCloseOnExec(end) }
    return (ends[0], ends[1])
}

/// Waits until poll(2) finds something in `descriptor`. `false` after ten seconds.
func becomesReadable(_ descriptor: CInt) throws -> Bool {
    let deadline = System.now() + .seconds(10)
    repeat {
        var requests = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
        try System.poll(&requests, until: deadline)
        if requests[0].revents != 0 { return true }
    } while System.now() < deadline
    return false
}

/// A child's exit for a text.
func childExit(
    _ reason: Prefork.ChildExit.Reason,
    slot: Int = 1,
    pid: Int32 = 1240,
    after lifetime: Duration = .milliseconds(12_400),
    wasReady: Bool = true,
    isOutOfMemory: Bool = false,
    readyTime: Duration? = nil,
    drained origin: Prefork.DrainOrigin? = nil
) -> Prefork.ChildExit {
    Prefork.ChildExit(
        slot: slot,
        pid: pid,
        reason: reason,
        lifetime: lifetime,
        wasReady: wasReady,
        isProbablyOutOfMemory: isOutOfMemory,
        readyTime: readyTime,
        drainOrigin: origin
    )
}

// The message is included, because each C library has its own.
let noMemory = Prefork.SystemError(
    call: "posix_spawn",
    code: 12,
    context: "/bin/app",
    message: "Cannot allocate memory"
)
