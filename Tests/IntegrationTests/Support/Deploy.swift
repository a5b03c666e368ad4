// Builds of the demonstration server that replace each other on disk.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    /// A copy of the demonstration server that a test replaces by other builds.
    final class Deploy {
        private let directory: String
        var path: String { "\(directory)/server" }

        init() throws {
            directory = try makeDirectory()
            try Self.write(build: 0, to: path)
        }

        deinit { removeTree(directory) }

        /// The number of the build is a digit in the program.
        static func write(build: Int, to path: String) throws {
            var program = try System.readFile(product("hello-prefork"))
            let mark = Array("hello-prefork build 0".utf8)
            let range = try #require(program.firstRange(of: mark), "the program has no mark")
            program[range.upperBound - 1] += UInt8(build)
            try writeExecutable(program, to: path)
        }

        /// The answer of that build to /build.
        static func text(_ build: Int) -> String { "hello-prefork build \(build)" }

        /// Puts another build in the place of the one before, as a deploy does it.
        func replace(byBuild build: Int) throws {
            try Self.write(build: build, to: "\(path).new")
            rename("\(path).new", path)
        }

        /// A build that does something before it is the first one.
        func replace(byScript script: String) throws {
            // A process may execute the last one.
            try Self.write(build: 0, to: "\(path).good.new")
            rename("\(path).good.new", "\(path).good")
            let text = "#!/bin/sh\n\(script)\nexec \(path).good \"$@\"\n"
            try Self.writeExecutable(Array(text.utf8), to: "\(path).new")
            rename("\(path).new", path)
        }

        /// A build that has these arguments, whatever it is given.
        func replace(byArguments arguments: String) throws {
            try replace(byScript: "set -- \(arguments)")
        }

        /// Another process writes the file. If this one did, a process that another test starts at that moment would
        /// have the file open for a while, and its execution would fail with ETXTBSY (execve(2)).
        private static func writeExecutable(_ bytes: [UInt8], to path: String) throws {
            try writeBytes(bytes, to: "\(path).data")
            defer { unlink("\(path).data") }
            let status = system("cp '\(path).data' '\(path)' && chmod 755 '\(path)'")
            guard status == 0 else { throw Failure(description: "cp: status \(status)") }
        }
    }

    extension Subject {
        /// Waits for the end of a restart, and for the exits of the children that it has replaced. Until then they may
        /// accept a connection that was queued.
        func waitForRestart(
            _ generation: Int, _ children: Int, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            try waitForLog("all slots run generation \(generation)", sourceLocation: sourceLocation)
            try waitForChildren(children, sourceLocation: sourceLocation) { _ in true }
        }

        /// Waits until exactly this many children live and all of them satisfy the condition.
        @discardableResult
        func waitForChildren(
            _ count: Int, sourceLocation: SourceLocation = #_sourceLocation, _ condition: (pid_t) -> Bool
        ) throws -> [pid_t] {
            var pids: [pid_t] = []
            try eventually("\(count) children", sourceLocation: sourceLocation) {
                pids = ProcessState.all().filter { $0.parent == pid && !$0.isZombie }.map(\.pid)
                return pids.count == count && pids.allSatisfy(condition)
            }
            return pids
        }
    }
#endif
