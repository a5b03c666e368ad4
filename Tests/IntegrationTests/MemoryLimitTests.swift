// A fleet in a control group that has too little memory.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    /// A control group for one test, with a limit and without swap.
    private final class MemoryGroup {
        private let path: String

        /// `nil` without root, with a read-only /sys/fs/cgroup as in containers, or without the controller.
        init?(megabytes: Int) {
            let limit = "\(megabytes << 20)"
            for group in Cgroup.find("memory", readText) {
                // This process's group first. In version 2 a group with processes in it has no child groups with the
                // controller, but a group above it may.
                for directory in group.directories {
                    let path = "\(directory)/prefork-test-\(getpid())"
                    guard mkdir(path, 0o755) == 0 else { continue }
                    let file = group.isUnified ? "memory.max" : "memory.limit_in_bytes"
                    if Self.put(limit, to: "\(path)/\(file)"), access("\(path)/cgroup.procs", W_OK) == 0 {
                        // These files exist only if there is swap and the kernel counts it.
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

        /// Runs a command in the group.
        var command: [String] { ["/bin/sh", "-c", "echo $$ >\(path)/cgroup.procs && exec \"$0\" \"$@\""] }

        /// Kills the processes that a test has left in the group, and waits until the last is gone.
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
            func outOfMemoryKillsDifferFromOthers() throws {
                let group = try #require(MemoryGroup(megabytes: 96))
                let subject = try Subject.hello(
                    ["--children", "2", "--recover-interval", "0"], under: group.command)
                defer { group.remove(after: subject) }
                var children = try subject.waitForReady(2)
                let port = try subject.port()
                // The child that takes the request does not live to answer.
                try #require(get("/eat?mb=400", port: port) == .cut, subject.log)
                let line = try subject.logLine(Self.text)
                let victim = try #require(children.first { line.contains(": child \($0) ") }, subject.log)
                #expect(line.contains(": signal 9 (KILL), \(Self.text),"), subject.log)
                try subject.eventually("a replacement") { subject.readyPIDs.count == 3 }
                children.removeAll { $0 == victim }
                // The child that was there at the kill, and the one that came later.
                for (index, child) in (children + subject.readyPIDs.suffix(1)).enumerated() {
                    kill(child, SIGKILL)
                    let line = try subject.logLine(": child \(child) (slot \(try slot(of: child, subject))) exited")
                    try #require(line.contains("signal 9 (KILL)"), subject.log)
                    try #require(!line.contains(Self.text), subject.log)
                    try subject.eventually("a replacement") { subject.readyPIDs.count == 4 + index }
                }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            private func slot(of child: pid_t, _ subject: Subject) throws -> String {
                let line = try subject.logLine(": child \(child) (slot ")
                return String(line.split(separator: "(slot ").last?.prefix { $0.isNumber } ?? "")
            }
        }
    }
#endif
