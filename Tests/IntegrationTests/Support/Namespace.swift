// Processes in a PID namespace of their own, seen from outside.
#if os(Linux)
    import PreforkLibc
    import Testing

    /// How to make a PID namespace on this machine.
    enum Namespace {
        /// The command that runs another one as process 1 of a new namespace, or nil if that is not allowed.
        static let command: [String]? = {
            let base = ["/usr/bin/unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
            // A user namespace may allow it without root.
            for command in [base, base + ["--user", "--map-root-user"]] where runs(command + ["/bin/true"]) {
                return command
            }
            return nil
        }()

        /// The same, with the /proc of the outer namespace.
        static let withoutOwnProc = command.map { $0.filter { $0 != "--mount-proc" } }

        static let reason: Comment =
            "no PID namespace can be made here (unshare(1), neither as root nor by a user namespace)"

        static let tracer = ["/usr/bin/strace", "-f", "-qq"]
        static let canBeTraced = command.map { runs(tracer + ["-o", "/dev/null"] + $0 + ["/bin/true"]) } ?? false

        /// Gives up every privilege, or nil if this user has none.
        static let asOrdinaryUser: [String]? = {
            let command = [
                "/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
                "--inh-caps=-all",
                "--bounding-set=-all",
            ]
            return getuid() == 0 && runs(command + ["/bin/true"]) ? command : nil
        }()

        /// Runs a command line to its end.
        static func runs(_ command: [String]) -> Bool {
            guard access(command[0], X_OK) == 0, let subject = try? Subject(command[0], command) else { return false }
            return (try? subject.wait()) == 0
        }
    }

    extension Subject {
        /// Follows the chain of first children. The first child of `unshare` is process 1 of the namespace.
        func descendant(_ depth: Int, sourceLocation: SourceLocation = #_sourceLocation) throws -> pid_t {
            var found = pid
            try eventually("a descendant \(depth) levels below \(pid)", sourceLocation: sourceLocation) {
                found = pid
                for _ in 0..<depth {
                    let children = readText("/proc/\(found)/task/\(found)/children")?.split(separator: " ") ?? []
                    guard let first = children.first.flatMap({ pid_t($0) }) else { return false }
                    found = first
                }
                return true
            }
            return found
        }

        /// The process that has this number in its own namespace.
        func outerPID(of inner: pid_t) -> pid_t? {
            descendants.first { process in
                statusField("NSpid", of: "/proc/\(process.pid)/status").split { $0 == "\t" || $0 == " " }.last
                    .flatMap { pid_t($0) } == inner
            }?.pid
        }

        /// The children that are ready according to the log, by their numbers in the outer namespace.
        func waitForReadyInNamespace(
            _ count: Int, sourceLocation: SourceLocation = #_sourceLocation
        ) throws -> [pid_t] {
            var pids: [pid_t] = []
            try eventually("\(count) children ready", sourceLocation: sourceLocation) {
                pids = readyPIDs.compactMap { outerPID(of: $0) }
                return pids.count >= count
            }
            return pids
        }
    }

    /// A directory that every user can enter, with copies of programs in it.
    final class PublicPrograms {
        private let directory: String

        init(_ paths: [String]) throws {
            directory = try makeDirectory()
            chmod(directory, 0o755)
            for path in paths {
                let copy = try Subject("/bin/cp", ["cp", "--", path, self[path]])
                try copy.expectExit(0)
                chmod(self[path], 0o755)
            }
        }

        subscript(path: String) -> String { "\(directory)/\(path.split(separator: "/").last ?? "")" }

        deinit { removeTree(directory) }
    }
#endif
