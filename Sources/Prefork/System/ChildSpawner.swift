// posix_spawn(3) with a clean signal state and exactly the wanted descriptors.
import PreforkLibc

/// What a child is made of.
struct SpawnPlan: Sendable {
    /// A path; not searched for in PATH.
    var executable: CString
    /// The whole argv, from the program's name on.
    var arguments: [CString]
    var environment: [CString]
    /// `descriptors[i]` becomes 3 + i in the child. Each must be above the last of these numbers and close-on-exec.
    var descriptors: [CInt]
}

enum ChildSpawner {
    /// The first number of a child's own descriptors, after the three standard ones.
    static let firstDescriptor: CInt = 3

    /// Starts a child: standard input on /dev/null, output and error as ours, the plan's descriptors from 3 on, no other;
    /// an empty signal mask and default dispositions, whatever this thread's are.
    static func spawn(_ plan: SpawnPlan, closing: Prefork.Mechanisms.DescriptorClosing) throws(SystemError) -> Int32 {
        for text in [plan.executable] + plan.arguments + plan.environment where text.hasNUL {
            throw SystemError(call: "posix_spawn", code: EINVAL, context: "\(text.text.debugDescription) with a NUL")
        }
        let actions = try FileActions()
        let attributes = try SpawnAttributes()
        try attributes.setCleanSignals()
        let number = firstDescriptor + CInt(plan.descriptors.count)
        // Opened here, not by a file action: posix_spawn(3) would not say what it had not found.
        let null = try System.move(
            Descriptor(try System.call("open", "/dev/null") { open("/dev/null", O_RDONLY | O_CLOEXEC) }),
            atLeast: number)
        try actions.inherit(null.raw, as: 0)
        try actions.inherit(1, as: 1)
        try actions.inherit(2, as: 2)
        // The sources lie above all targets, so no copy here can overwrite one that is still to come.
        for (source, target) in zip(plan.descriptors, firstDescriptor...) { try actions.inherit(source, as: target) }
        try actions.closeAll(from: number, closing)

        var pid: pid_t = 0
        let code = withCStrings(plan.arguments) { arguments in
            withCStrings(plan.environment) { environment in
                withCStrings([plan.executable]) { path in
                    // No other thread can come between: the kernel makes the descriptor table's copy in one step, and
                    // what is opened elsewhere meanwhile is closed above or close-on-exec.
                    actions.withUnsafe { actions in
                        attributes.withUnsafe { attributes in
                            path[0].map { posix_spawn(&pid, $0, actions, attributes, arguments, environment) }
                                ?? ENOENT
                        }
                    }
                }
            }
        }
        null.close()
        try System.check("posix_spawn", code, plan.executable.text)
        return pid
    }

    /// The open descriptors of this process from `lowest` on, as /proc/self/fd or /dev/fd lists them; where neither is there,
    /// by trying each number up to the limit, but no more than 65,536: a container's limit may be a billion, which would take
    /// minutes.
    static func openDescriptors(from lowest: CInt) -> [CInt] {
        for path in ["/proc/self/fd", "/dev/fd"] {
            guard let names = try? System.entries(of: path) else { continue }
            // The directory's own number is closed again.
            return names.compactMap { CInt($0) }.filter { $0 >= lowest && System.isOpen($0) }
        }
        var limit = rlimit()
        _ = getrlimit(SystemConstant.openFiles, &limit)
        return (lowest..<CInt(clamping: min(max(limit.rlim_cur, 1024), 65_536))).filter { System.isOpen($0) }
    }
}

/// Calls `body` with a NULL-terminated array of C strings.
private func withCStrings<Result>(
    _ strings: [CString],
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    let size = strings.reduce(0) { $0 + $1.bytes.count + 1 }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { text in
        withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<CChar>?.self, capacity: strings.count + 1) { array in
            var position = 0
            for (index, string) in strings.enumerated() {
                array.initializeElement(at: index, to: text.baseAddress.map { $0 + position })
                for byte in string.bytes + [0] {
                    text.initializeElement(at: position, to: CChar(bitPattern: byte))
                    position += 1
                }
            }
            array.initializeElement(at: strings.count, to: nil)
            guard let base = array.baseAddress else { preconditionFailure("an allocation of at least one element") }
            return body(base)
        }
    }
}
