// The state of a process according to /proc.
#if os(Linux)
    import PreforkLibc

    /// Fields of /proc/PID/stat.
    struct ProcessState {
        let pid: pid_t
        let parent: pid_t
        let session: pid_t
        let state: Character

        init?(_ pid: pid_t) {
            guard let text = readText("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
            let fields = text[text.index(end, offsetBy: 2)...].split(separator: " ")
            guard fields.count > 20, let parent = pid_t(fields[1]), let session = pid_t(fields[3]) else { return nil }
            self.pid = pid
            self.parent = parent
            self.session = session
            state = fields[0].first ?? "?"
        }

        var isZombie: Bool { state == "Z" || state == "X" }

        static func all() -> [ProcessState] {
            listDirectory("/proc").compactMap { pid_t($0) }.compactMap(ProcessState.init)
        }
    }

    /// A field of /proc/PID/status, or "?" if there is no such file or field.
    func statusField(_ name: String, of path: String = "/proc/self/status") -> String {
        let line = (readText(path) ?? "").split(separator: "\n").first { $0.hasPrefix("\(name):") }
        return line?.dropFirst(name.count + 1).drop { $0 == "\t" || $0 == " " }.description ?? "?"
    }
#endif
