// A standard error that cannot be written to.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    /// A change that a shell makes to its standard error before it starts a server.
    private struct BrokenStandardError: CustomTestStringConvertible {
        let testDescription: String
        let script: String
        var wrapper: [String] = []

        static let fullDisk = BrokenStandardError(
            testDescription: "a full disk",
            script: "mount -t tmpfs -o size=4k tmpfs /mnt && exec 2>/mnt/log && exec \"$0\" \"$@\"",
            wrapper: ["/usr/bin/unshare", "--user", "--map-root-user", "--mount"])

        private static let limitedFiles = [
            BrokenStandardError(
                testDescription: "a file at its size limit", script: "ulimit -f 1; exec \"$0\" \"$@\""),
            BrokenStandardError(
                testDescription: "a file at a limit of nothing", script: "ulimit -f 0; exec \"$0\" \"$@\""),
        ]

        /// The thread sanitizer maps a file of its own at the start. It crashes with SIGBUS if that may not grow.
        static let all =
            (isSanitized ? [] : limitedFiles) + [
                BrokenStandardError(testDescription: "a full device", script: "exec \"$0\" \"$@\" 2>/dev/full"),
                BrokenStandardError(testDescription: "read-only", script: "exec \"$0\" \"$@\" 2</dev/null"),
                BrokenStandardError(testDescription: "closed", script: "exec \"$0\" \"$@\" 2>&-"),
            ]

        /// The background of a terminal that stops processes there when they write.
        static func background(of terminal: String) -> BrokenStandardError {
            // Opening a terminal makes it the controlling one of a session that has none.
            BrokenStandardError(
                testDescription: "the background of a terminal",
                script: """
                    exec 9<>\(terminal); stty tostop <\(terminal); set -m; "$0" "$@" 2>\(terminal) & wait $!
                    """)
        }
    }

    extension Integration {
        @Suite struct StandardErrorTests {
            @Test(arguments: BrokenStandardError.all)
            fileprivate func linesDoNotEndAFleet(standardError: BrokenStandardError) throws {
                try prove(standardError) { $0.pid }
            }

            @Test(
                .enabled(
                    if: Namespace.runs(
                        BrokenStandardError.fullDisk.wrapper + ["/bin/sh", "-c", "mount -t tmpfs tmpfs /mnt"]),
                    "no user namespaces here, or no mounts in them"))
            func linesForAFullDiskDoNotEndAFleet() throws {
                try prove(.fullDisk) { $0.pid }
            }

            @Test func linesFromTheBackgroundDoNotStopAFleet() throws {
                let (terminal, name) = try openTerminal()
                defer { close(terminal) }
                try prove(.background(of: name)) { try $0.descendant(1) }
                // The master's own lines are still there.
                var buffer = [UInt8](repeating: 0, count: 65_536)
                _ = fcntl(terminal, F_SETFL, O_NONBLOCK)
                let count = max(0, read(terminal, &buffer, buffer.count))
                let text = String(decoding: buffer.prefix(count), as: UTF8.self)
                #expect(text.contains("status: master"), "\(text)")
            }

            /// A pseudoterminal: the end that plays the user, and the path of the other one. Swift hides these
            /// functions.
            private func openTerminal() throws -> (CInt, String) {
                typealias Call = @convention(c) (CInt) -> CInt
                typealias Name = @convention(c) (CInt) -> UnsafeMutablePointer<CChar>?
                let terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
                try #require(terminal >= 0)
                for name in ["grantpt", "unlockpt"] { try #require(symbol(name, as: Call.self)?(terminal) == 0) }
                let name = try #require(symbol("ptsname", as: Name.self)?(terminal))
                return (terminal, String(cString: name))
            }

            /// The fleet writes many lines, replaces a child and answers, and its children outlive their master long
            /// enough to answer what they have.
            private func prove(_ standardError: BrokenStandardError, master: (Subject) throws -> pid_t) throws {
                let directory = try makeDirectory()
                defer { removeTree(directory) }
                let path = "\(directory)/socket"
                let subject = try Subject.hello(
                    ["--children", "2"], address: "unix:\(path)",
                    under: standardError.wrapper + ["/bin/sh", "-c", standardError.script])
                try subject.eventually("an answer") { Connection.open(path: path)?.request("/") == .hello }
                let master = try master(subject)
                var children: [pid_t] = []
                func twoChildren(besides old: pid_t?) throws {
                    try subject.eventually("two children besides \(old ?? 0)") {
                        children = subject.descendants.filter { $0.parent == master }.map(\.pid)
                        return children.count == 2 && !children.contains(old ?? 0)
                    }
                }
                try twoChildren(besides: nil)
                for _ in 0..<5 {
                    kill(master, SIGUSR1)
                    // The same turn of the master's loop that takes the signal writes the table. Then comes the next.
                    try #require(Connection.open(path: path)?.request("/") == .hello, subject.log)
                }
                kill(children[0], SIGKILL)
                try twoChildren(besides: children[0])
                #expect(ProcessState(master)?.state != "T", subject.log)
                let slow = try #require(Connection.open(path: path), subject.log)
                try #require(slow.send("/slow?ms=500"))
                poll(nil, 0, 100)  // The child has accepted it. A listener that closes resets what has only arrived.
                kill(master, SIGKILL)
                #expect(slow.receive() == .hello, subject.log)
                try subject.waitUntilAlone()
            }
        }
    }
#endif
