// Another program in this process (execve(2)), and everything of this one that it must not get.
import PreforkLibc

struct ProgramReplacement {
    var program: CString
    var arguments: [CString]
    var environment: [CString]
    /// The descriptors that stay open beside 0, 1 and 2.
    var descriptors: Set<CInt>
    /// `nil` if this process is where it started.
    var directory: CString?
    /// The signals that were ignored when this process started. No others stay ignored.
    var ignoredSignals: [Signal]

    /// Does not return if it succeeds: the process has the same number, the same children and the same descriptors,
    /// and runs the other program. If it fails, this process is as before.
    ///
    /// Call it in `SignalHandling.holdingSignals`. What is pending survives.
    consuming func execute() throws(SystemError) -> Never {
        let changed = closeOnExecExceptKept()
        let directory = moveToDirectory()
        let handled = handleIgnoredSignals()
        // Nothing may come between this and the call but what undoes itself: another thread that starts a process
        // in this moment passes it the descriptors that are kept. They stay open there until that process ends.
        let code = Self.execute(program, arguments, environment)
        for (signal, action) in handled {
            var action = action
            sigaction(signal, &action, nil)
        }
        if let directory { _ = fchdir(directory.raw) }
        for (descriptor, flags) in changed { _ = fcntl(descriptor, F_SETFD, flags) }
        throw SystemError(call: "execve", code: code, context: program.text)
    }

    /// Whether a program can leave its state to the next one (`SealedMemory`). A program with more rights than its user
    /// cannot, because that user could choose what it executes.
    static var isSupported: Bool { SealedMemory.isSupported }

    /// execve(2) as this process is now.
    /// - Returns: the error, if it fails.
    static func execute(_ program: CString, _ arguments: [CString], _ environment: [CString]) -> CInt {
        withCStrings([program]) { program in
            withCStrings(arguments) { arguments in
                withCStrings(environment) { environment in
                    guard let path = program[0] else { return ENOENT }
                    execve(path, arguments, environment)
                    return errno
                }
            }
        }
    }

    /// - Returns: the descriptors whose flags have changed, and their flags before.
    private func closeOnExecExceptKept() -> [(CInt, CInt)] {
        var changed: [(CInt, CInt)] = []
        for descriptor in OpenDescriptors.list(from: 3) {
            let flags = fcntl(descriptor, F_GETFD)
            let wanted = descriptors.contains(descriptor) ? flags & ~FD_CLOEXEC : flags | FD_CLOEXEC
            guard flags != -1, flags != wanted else { continue }
            _ = fcntl(descriptor, F_SETFD, wanted)
            changed.append((descriptor, flags))
        }
        return changed
    }

    /// - Returns: the directory that this process was in. `nil` if it stays there.
    private func moveToDirectory() -> OpenSocket? {
        guard let directory else { return nil }
        let current = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard current >= 0 else { return nil }
        let before = OpenSocket(Descriptor(current))
        _ = withCStrings([directory]) { $0[0].map { chdir($0) } ?? -1 }
        return before
    }

    /// An ignored signal stays ignored in the other program, and one with a handler gets its default action. Until
    /// then, an empty handler does the same as ignoring it, for the other threads of this process.
    private func handleIgnoredSignals() -> [(CInt, sigaction)] {
        var handled: [(CInt, sigaction)] = []
        for signal in Signal.ignored() where !ignoredSignals.contains(signal) && signal != .child {
            var previous = sigaction()
            var action = sigaction.calling(ignoringSignals)
            guard sigaction(signal.number, &action, &previous) == 0 else { continue }
            handled.append((signal.number, previous))
        }
        return handled
    }
}

private let ignoringSignals: SignalHandler = { _, _, _ in }
