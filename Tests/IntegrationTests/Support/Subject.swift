// A process under test, and what may be asked of it and its descendants.
#if os(Linux)
    import PreforkLibc
    import Testing

    /// A test's verdict with what the processes under test have said.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Asks until the answer is yes.
    /// - Throws: `Failure` at the deadline.
    func eventually(
        _ what: @autoclosure () -> String,
        within seconds: Double = 20,
        every milliseconds: CInt = 2,
        _ condition: () throws -> Bool
    ) throws {
        let end = ContinuousClock.now + .seconds(seconds)
        while try !condition() {
            guard ContinuousClock.now < end else { throw Failure(description: "not within \(seconds) s: \(what())") }
            poll(nil, 0, milliseconds)
        }
    }

    /// One line of /proc/PID/stat and what stands beside it.
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

    /// A process that a test has started, in a session of its own: its descendants are known by the session, orphans too.
    final class Subject {
        let pid: pid_t
        private let directory: String
        private var status: CInt?
        private(set) var isReaped = false

        /// - Parameters:
        ///   - arguments: the whole argv.
        ///   - blocked: signals that it inherits as blocked.
        ///   - closed: standard descriptors that it is started without.
        ///   - third: what it inherits as descriptor 3.
        init(
            _ executable: String,
            _ arguments: [String],
            environment: [String: String] = [:],
            blocked: [CInt] = [],
            closed: [CInt] = [],
            standardError: CInt? = nil,
            third: CInt? = nil
        ) throws {
            directory = try makeDirectory()
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
            posix_spawn_file_actions_addopen(&actions, 1, "\(directory)/out", O_WRONLY | O_CREAT | O_APPEND, 0o600)
            if let standardError {
                posix_spawn_file_actions_adddup2(&actions, standardError, 2)
            } else {
                posix_spawn_file_actions_addopen(&actions, 2, "\(directory)/err", O_WRONLY | O_CREAT | O_APPEND, 0o600)
            }
            if let third { posix_spawn_file_actions_adddup2(&actions, third, 3) }
            for number in closed { posix_spawn_file_actions_addclose(&actions, number) }
            var attributes = posix_spawnattr_t()
            posix_spawnattr_init(&attributes)
            defer { posix_spawnattr_destroy(&attributes) }
            let setSession: Int32 = 0x80  // POSIX_SPAWN_SETSID, which Swift's Glibc hides.
            posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | setSession))
            var mask = sigset_t()
            sigemptyset(&mask)
            for signal in blocked { sigaddset(&mask, signal) }
            posix_spawnattr_setsigmask(&attributes, &mask)
            var defaults = sigset_t()
            sigfillset(&defaults)
            posix_spawnattr_setsigdefault(&attributes, &defaults)

            var variables = currentEnvironment().filter { !$0.key.hasPrefix("PREFORK_") && $0.key != "WEB_CONCURRENCY" }
            variables["SWIFT_BACKTRACE"] = "enable=no"  // A trap is part of many tests; its backtrace is not.
            variables.merge(environment) { $1 }
            let argv = arguments.map { strdup($0) } + [nil]
            let envp = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
            defer { for pointer in argv + envp { free(pointer) } }
            var started: pid_t = 0
            let code = posix_spawn(&started, executable, &actions, &attributes, argv, envp)
            guard code == 0 else {
                throw Failure(description: "posix_spawn \(executable): \(String(cString: strerror(code)))")
            }
            pid = started
        }

        deinit { sweep() }

        /// Kills what is left of the session; the number is ours until the leader is reaped.
        func sweep() {
            if !isReaped { kill(pid, SIGKILL) }
            // Descendants are not ours to wait for; as long as one of the session lives its number is not given anew.
            for _ in 0..<100 {
                let left = descendants
                if left.isEmpty { break }
                for process in left { kill(process.pid, SIGKILL) }
                poll(nil, 0, 2)
            }
            if !isReaped { _ = waitpid(pid, nil, 0) }
            isReaped = true
            removeTree(directory)
        }

        // MARK: What it says

        var output: String { readText("\(directory)/out") ?? "" }
        var errors: String { readText("\(directory)/err") ?? "" }

        /// What a role has told (`tell`), without what the test library prints.
        var told: [String] {
            output.split(separator: "\n").filter { $0.hasPrefix("@ ") }.map { String($0.dropFirst(2)) }
        }

        func told(_ prefix: String) -> [String] {
            told.filter { $0.hasPrefix("\(prefix) ") || $0 == prefix }.map { String($0.dropFirst(prefix.count + 1)) }
        }

        // MARK: Waiting

        /// Waits for a condition and adds what the processes have said where it does not come.
        func eventually(_ what: @autoclosure () -> String, within seconds: Double = 20, _ condition: () throws -> Bool)
            throws
        {
            do {
                try IntegrationTests.eventually(what(), within: seconds, condition)
            } catch { throw explained("\(error)") }
        }

        func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
            if !condition { throw explained("not so: \(what())") }
        }

        func explained(_ text: String) -> Failure {
            Failure(
                description: "\(text)\n--- standard error ---\n\(errors)--- told ---\n\(told.joined(separator: "\n"))"
            )
        }

        func waitForTold(_ line: String) throws { try eventually("\(line) told") { told.contains(line) } }
        func waitForError(_ text: String) throws { try eventually("\"\(text)\" in the log") { errors.contains(text) } }

        /// Waits for the end of the process itself.
        /// - Returns: the exit status, or 128 + signal.
        @discardableResult
        func wait(within seconds: Double = 30) throws -> CInt {
            var raw: CInt = 0
            try eventually("the end of \(pid)", within: seconds) {
                if isReaped { return true }
                isReaped = waitpid(pid, &raw, WNOHANG) == pid
                if isReaped { status = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f) }
                return isReaped
            }
            return status ?? -1
        }

        func signal(_ number: CInt) { if !isReaped { kill(pid, number) } }

        // MARK: Its family

        /// Living descendants, whoever their parent is now; and those that have left the session (some inits make one of
        /// their own), as long as their parents live.
        var descendants: [ProcessState] {
            let all = ProcessState.all()
            // Once it is reaped its number may be a stranger's.
            var family: Set<pid_t> = Set(all.filter { $0.session == pid }.map(\.pid) + (isReaped ? [] : [pid]))
            var count = 0
            while count != family.count {
                count = family.count
                for process in all where family.contains(process.parent) { family.insert(process.pid) }
            }
            return all.filter { family.contains($0.pid) && $0.pid != pid && !$0.isZombie }
        }

        func waitUntilAlone(within seconds: Double = 20) throws {
            try eventually("no descendant left; there are \(descendants.map(\.pid))", within: seconds) {
                descendants.isEmpty
            }
        }

        /// The children that the log says are ready and that live, slot by slot.
        func waitForReady(_ count: Int) throws -> [pid_t] {
            var pids: [pid_t] = []
            try eventually("\(count) children ready") {
                pids = readyPIDs.filter { pid in descendants.contains { $0.pid == pid } }
                return pids.count >= count
            }
            return pids
        }

        var readyPIDs: [pid_t] { pids(in: " ready after ") }

        private func pids(in marker: String) -> [pid_t] {
            errors.split(separator: "\n").filter { $0.contains(marker) }.compactMap { line in
                line.firstRange(of: ": child ").flatMap { pid_t(line[$0.upperBound...].prefix { $0.isNumber }) }
            }
        }
    }

    // MARK: - Small helpers

    func readText(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(contentsOf: buffer.prefix(count))
        }
    }

    func listDirectory(_ path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            )
        }
        return names.filter { $0 != "." && $0 != ".." }
    }

    func makeDirectory() throws -> String {
        var template = Array("/tmp/prefork-test-XXXXXX".utf8CString)
        guard let path = mkdtemp(&template) else { throw Failure(description: "mkdtemp: errno \(errno)") }
        return String(cString: path)
    }

    func removeTree(_ path: String) {
        for name in listDirectory(path) {
            if unlink("\(path)/\(name)") != 0 { removeTree("\(path)/\(name)") }
        }
        rmdir(path)
    }

    func currentEnvironment() -> [String: String] {
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            variables[String(parts[0])] = parts.count == 2 ? String(parts[1]) : ""
            entry += 1
        }
        return variables
    }

    /// The file that this process runs.
    func executablePath() -> String { readLinkText("/proc/self/exe") }

    /// Where a symbolic link leads to; empty where there is none.
    func readLinkText(_ path: String) -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The path of a product beside the test bundle.
    func product(_ name: String) -> String {
        let path = executablePath()
        return path[..<(path.lastIndex(of: "/") ?? path.startIndex)] + "/" + name
    }

    /// How often the loops of the long tests run: PREFORK_REPEAT times `count`, by default once a tenth of it.
    func repetitions(_ count: Int) -> Int {
        let factor = Double(currentEnvironment()["PREFORK_REPEAT"] ?? "") ?? 0.1
        return max(1, Int(Double(count) * factor))
    }
#endif
