// A fleet in a control group that has too little memory.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    /// A control group of a test's own, with a limit and without swap.
    private final class MemoryGroup {
        private let path: String

        /// nil where none can be made: not as root, in a container with a read-only /sys/fs/cgroup, without the controller.
        init?(megabytes: Int) {
            let limit = "\(megabytes << 20)"
            for group in Cgroup.find("memory", readText) {
                // The own one first. In version 2 one with processes in it hands no controller on; one above it does.
                for directory in group.directories {
                    let path = "\(directory)/prefork-test-\(getpid())"
                    guard mkdir(path, 0o755) == 0 else { continue }
                    let file = group.isUnified ? "memory.max" : "memory.limit_in_bytes"
                    if Self.put(limit, to: "\(path)/\(file)"), access("\(path)/cgroup.procs", W_OK) == 0 {
                        // Where there is swap, and where it is counted.
                        _ = Self.put("0", to: "\(path)/memory.swap.max")
                        _ = Self.put(limit, to: "\(path)/memory.memsw.limit_in_bytes")
                        self.path = path
                        return
                    }
                    rmdir(path)
                }
            }
            return nil
        }

        /// What runs a command in it.
        var command: [String] { ["/bin/sh", "-c", "echo $$ >\(path)/cgroup.procs && exec \"$0\" \"$@\""] }

        /// Kills what a test has left in it; the last process may be on its way out.
        func remove(after subject: Subject) {
            subject.sweep()
            do {
                try eventually("\(path) is empty") { rmdir(path) == 0 || errno == ENOENT }
            } catch { Issue.record(error) }
        }

        deinit { rmdir(path) }

        private static func put(_ text: String, to path: String) -> Bool {
            let file = open(path, O_WRONLY | O_CLOEXEC)
            guard file >= 0 else { return false }
            defer { close(file) }
            return write(file, text, text.utf8.count) == text.utf8.count
        }

        static let canBeMade = MemoryGroup(megabytes: 64).map { Namespace.runs($0.command + ["/bin/true"]) } ?? false
    }

    extension Integration {
        @Suite(.enabled(if: MemoryGroup.canBeMade, "no memory control group can be made here"))
        struct MemoryLimit {
            private static let text = "probably by the kernel's out-of-memory killer"

            @Test(.disabled(if: isSanitized, "a sanitized program needs more memory"))
            func whoIsKilledForItIsToldFromWhoIsKilledByHand() throws {
                let group = try #require(MemoryGroup(megabytes: 96))
                let subject = try Subject.hello(
                    ["--children", "2", "--recover-interval", "0"], under: group.command)
                defer { group.remove(after: subject) }
                var children = try subject.waitForReady(2)
                let port = try subject.port()
                // Whoever takes it does not live to answer.
                let reply = get("/eat?mb=400", port: port)
                try subject.require(reply == .cut, "\(reply)")
                let struck = try subject.line(Self.text)
                let victim = try #require(children.first { struck.contains(": child \($0) ") })
                try subject.require(struck.contains(": signal 9 (KILL), \(Self.text),"), "\(struck)")
                try subject.eventually("a replacement") { subject.readyPIDs.count == 3 }
                children.removeAll { $0 == victim }
                // One that was there when it struck, and one that came later.
                for (index, child) in (children + subject.readyPIDs.suffix(1)).enumerated() {
                    kill(child, SIGKILL)
                    let line = try subject.line(": child \(child) (slot \(try slot(of: child, subject))) exited")
                    try subject.require(line.contains("signal 9 (KILL)") && !line.contains(Self.text), "\(line)")
                    try subject.eventually("a replacement") { subject.readyPIDs.count == 4 + index }
                }
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
            }

            private func slot(of child: pid_t, _ subject: Subject) throws -> String {
                let line = try subject.line(": child \(child) (slot ")
                return String(line.split(separator: "(slot ").last?.prefix { $0.isNumber } ?? "")
            }
        }
    }
#endif
