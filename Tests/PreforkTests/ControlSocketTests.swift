import PreforkLibc
import Testing

@testable import Prefork

/// The file of the control socket.
@Suite struct ControlSocketTests {
    private func code(_ path: String) -> CInt? {
        do throws(SystemError) {
            try ControlSocket(path: path, patience: .seconds(1)).close()
            return nil
        } catch {
            #expect(error.context.contains(path), "\(error)")
            return error.code
        }
    }

    @Test func onlyTheOwnerMayConnect() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/c"
            let socket = try ControlSocket(path: path, patience: .seconds(1))
            #expect(try System.permissions(ofPath: path) == 0o600)
            let raw = socket.raw
            #expect(fcntl(raw, F_GETFD) & FD_CLOEXEC != 0)
            #expect(fcntl(raw, F_GETFL) & O_NONBLOCK != 0)
            #expect(code(path) == EADDRINUSE)
            socket.close()
            #expect(access(path, F_OK) != 0)
            #expect(code(path) == nil)
        }
    }

    /// One that a killed master has left behind.
    @Test func aStaleSocketIsReplaced() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/c"
            let stale = try PlatformListener.makeSocket(family: AF_UNIX)
            try SocketAddress(unixPath: path).bind(stale.raw, context: path)
            stale.close()
            let socket = try ControlSocket(path: path, patience: .seconds(1))
            #expect(try System.permissions(ofPath: path) == 0o600)
            let client = try PlatformListener.makeSocket(family: AF_UNIX)
            try SocketAddress(unixPath: path).connect(client.raw)
            socket.close()
        }
    }

    @Test func whatElseIsAtThePathStays() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/c"
            try writeFile(path, "mine")
            #expect(code(path) == EEXIST)
            #expect(System.text(path) == "mine")
            unlink(path)

            // A link to a file, to nothing, and to a stale socket.
            let target = "\(directory)/target"
            for kind in ["file", "nothing", "socket"] {
                if kind == "file" { try writeFile(target, "mine") }
                if kind == "socket" {
                    let stale = try PlatformListener.makeSocket(family: AF_UNIX)
                    try SocketAddress(unixPath: target).bind(stale.raw, context: target)
                }
                #expect(symlink(target, path) == 0)
                #expect(code(path) == EEXIST, "\(kind)")
                #expect(access(target, F_OK) == (kind == "nothing" ? -1 : 0), "\(kind)")
                unlink(target)
                unlink(path)
            }

            #expect(mkdir(path, 0o700) == 0)
            #expect(code(path) == EEXIST)
            rmdir(path)
            #expect(code("\(directory)/none/c") == ENOENT)
        }
    }

    @Test func theFileOfAnotherOwnerStaysAtTheEnd() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/c"
            let socket = try ControlSocket(path: path, patience: .seconds(1))
            unlink(path)
            let successor = try ControlSocket(path: path, patience: .seconds(1))
            let identity = try System.identity(ofPath: path).identity
            socket.close()
            #expect(try System.identity(ofPath: path).identity == identity)
            successor.close()
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test(arguments: [
        ("", "the path is empty"), ("a\0b", "the path contains a NUL"),
        ("@name", "an abstract name has no permissions"),
        (String(repeating: "x", count: PlatformListener.longestPath + 1), "the path has "),
    ])
    func pathsThatCannotBe(path: String, reason: String) throws {
        let configuration = Prefork.Configuration(children: 1, controlSocket: path)
        let error = try #require(failure { () throws(PreforkError) in try configuration.check() })
        #expect(error.subject == "controlSocket")
        #expect(error.reason?.hasPrefix(reason) == true, "\(error)")
    }

    @Test func thePathMayBeAsLongAsAnAddressAllows() throws {
        let path = String(repeating: "x", count: PlatformListener.longestPath)
        try Prefork.Configuration(children: 1, controlSocket: path).check()
        #expect(Prefork.Configuration().controlSocket == nil)
    }
}
