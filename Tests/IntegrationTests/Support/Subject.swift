// A process under test: its start, its end and its descendants.
#if os(Linux)
    import PreforkLibc
    import Testing

    /// A process that a test has started, in a session of its own. The session tells its descendants, orphans included,
    /// from all other processes.
    final class Subject {
        let pid: pid_t
        /// Holds what the process and its descendants write to standard output and standard error.
        let directory: String
        private var status: CInt?
        private(set) var isReaped = false

        /// - Parameters:
        ///   - arguments: the whole argv.
        ///   - blocked: signals that it inherits as blocked.
        ///   - closed: standard descriptors that it does not have.
        ///   - standardError: its standard error, if not a file that the test can read.
        ///   - third: the file that it inherits as descriptor 3.
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

            var variables = currentEnvironment().filter { !$0.key.hasPrefix("PREFORK_") }
            // The tests themselves may run under a service manager.
            for name in ["WEB_CONCURRENCY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] { variables[name] = nil }
            variables["SWIFT_BACKTRACE"] = "enable=no"  // Many tests trap on purpose, and backtraces take time.
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

        /// Kills all processes of the session. Its number is not reused before its leader is reaped.
        func sweep() {
            if !isReaped { kill(pid, SIGKILL) }
            // This process cannot wait for descendants. The number is not reused while one of the session lives.
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
        // MARK: Its end

        /// Waits for the end of the process itself.
        /// - Returns: the exit status, or 128 + signal.
        @discardableResult
        func wait(within seconds: Double = 30, sourceLocation: SourceLocation = #_sourceLocation) throws -> CInt {
            var raw: CInt = 0
            try eventually("the end of \(pid)", within: seconds, sourceLocation: sourceLocation) {
                if isReaped { return true }
                isReaped = waitpid(pid, &raw, WNOHANG) == pid
                if isReaped { status = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f) }
                return isReaped
            }
            return status ?? -1
        }

        /// Waits for the end of the process itself, and expects this exit status, or 128 + signal.
        func expectExit(
            _ expected: CInt, within seconds: Double = 30, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let status = try wait(within: seconds, sourceLocation: sourceLocation)
            #expect(status == expected, log, sourceLocation: sourceLocation)
        }

        func signal(_ number: CInt) { if !isReaped { kill(pid, number) } }

        // MARK: Its descendants

        /// Living descendants, whichever process is their parent now. Those that have left the session, as some inits
        /// make them do, are found as long as their parents live.
        var descendants: [ProcessState] {
            let all = ProcessState.all()
            // Once the process is reaped, another process may have its number.
            var family: Set<pid_t> = Set(all.filter { $0.session == pid }.map(\.pid) + (isReaped ? [] : [pid]))
            var count = 0
            while count != family.count {
                count = family.count
                for process in all where family.contains(process.parent) { family.insert(process.pid) }
            }
            return all.filter { family.contains($0.pid) && $0.pid != pid && !$0.isZombie }
        }

        func waitUntilAlone(within seconds: Double = 20, sourceLocation: SourceLocation = #_sourceLocation) throws {
            try eventually(
                "no descendants, not \(descendants.map(\.pid))", within: seconds, sourceLocation: sourceLocation
            ) {
                descendants.isEmpty
            }
        }

        /// The children that are ready according to the log and that live, in the order of the log.
        func waitForReady(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) throws -> [pid_t] {
            var pids: [pid_t] = []
            try eventually("\(count) children ready", sourceLocation: sourceLocation) {
                pids = readyPIDs.filter { pid in descendants.contains { $0.pid == pid } }
                return pids.count >= count
            }
            return pids
        }
    }

    extension Subject {
        /// Stops these processes with SIGSTOP, and returns when they are stopped.
        func suspend(_ pids: [pid_t], sourceLocation: SourceLocation = #_sourceLocation) throws {
            for pid in pids { kill(pid, SIGSTOP) }
            try eventually("\(pids) suspended", sourceLocation: sourceLocation) {
                pids.allSatisfy { ProcessState($0)?.state == "T" }
            }
        }

        /// Starts the demonstration server on a port that the kernel chooses.
        static func hello(
            _ options: [String] = [],
            address: String = "127.0.0.1:0",
            under wrapper: [String] = [],
            program: String? = nil,
            environment: [String: String] = [:],
            closed: [CInt] = [],
            standardError: CInt? = nil
        ) throws -> Subject {
            let command = wrapper + [program ?? product("hello-prefork")] + options + [address]
            return try Subject(
                command[0],
                command,
                environment: environment,
                closed: closed,
                standardError: standardError
            )
        }
    }
#endif
