// How a fleet's children are started, if not by Prefork itself.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    extension FleetRole {
        enum Spawn: String, Codable, Sendable {
            case throwing
            case returningZero
            case returningMaster
            case returningMastersParent
            /// The same process for every slot.
            case returningFirstChild
            /// Every second call fails for lack of processes, as under a limit.
            case failingEverySecond
            /// Starts the child from a thread that ends afterwards.
            case byEndingThread
            /// Starts the child through a shell that replaces itself by the child.
            case throughShell
        }
    }

    extension FleetRole.Spawn {
        var closure: @Sendable (Prefork.SpawnRequest) throws -> Int32 {
            switch self {
            case .throwing: { _ in throw Deliberate("the producer failed on purpose") }
            case .returningZero: { _ in 0 }
            case .returningMaster: { _ in getpid() }
            case .returningMastersParent: { _ in getppid() }
            case .returningFirstChild:
                {
                    let first = LockedValueBox<Int32?>(nil)
                    return { request in
                        try first.withLock { first in
                            let pid = try first ?? request.start()
                            first = pid
                            return pid
                        }
                    }
                }()
            case .failingEverySecond:
                {
                    let calls = Counter()
                    return { request in
                        if calls.next() % 2 == 1 { throw Prefork.SystemError(call: "posix_spawn", code: EAGAIN) }
                        return try request.start()
                    }
                }()
            case .byEndingThread: { try startByEndingThread($0) }
            case .throughShell: { try startThroughShell($0) }
            }
        }
    }

    /// When a thread ends, the kernel moves its children to the first thread's list, among the orphans. A program's
    /// main has its children there from the beginning, but the test library runs nothing in the first thread.
    private func startByEndingThread(_ request: Prefork.SpawnRequest) throws -> Int32 {
        let started = LockedValueBox<Result<Int32, any Error>?>(nil)
        try inThreadOfItsOwn { started.withLock { $0 = Result { try request.start() } } }
        guard let pid = try started.withLock({ $0 })?.get() else { throw Deliberate("not started") }
        try eventually("\(pid) in the first thread's list") {
            readText("/proc/self/task/\(getpid())/children")?.split(separator: " ").contains("\(pid)") == true
        }
        return pid
    }

    private func startThroughShell(_ request: Prefork.SpawnRequest) throws -> Int32 {
        var request = request
        let command = ["sh", "-c", "WRAPPED=yes exec \"$0\" \"$@\"", request.programPath]
        request.arguments = command + request.arguments.dropFirst()
        request.executable = "/bin/sh"
        return try request.start()
    }
#endif
