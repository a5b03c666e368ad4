// A system without /proc: a chroot, a hardened container, an early boot.
#if os(Linux)
    import PreforkLibc
    import Testing

    /// With an empty directory over /proc, which a user namespace of its own allows without a privilege.
    private func withoutProc(_ program: [String]) throws -> Subject {
        let hide = "mount -t tmpfs tmpfs /proc && exec \"$0\" \"$@\""
        let shell = ["--user", "--map-root-user", "--mount", "/bin/sh", "-c", hide]
        return try Subject("/usr/bin/unshare", ["/usr/bin/unshare"] + shell + program)
    }

    private let canHideProc = (try? withoutProc(["/bin/true"]).wait()) == 0

    extension Integration {
        @Suite struct NoProcTests {
            @Test(
                .enabled(if: canHideProc, "nobody may mount in a user namespace here"),
                .disabled(if: isSanitized, "a sanitized program needs /proc"))
            func servesRecoversAndStops() throws {
                let program = product("hello-prefork")
                let subject = try withoutProc([program, "--children", "3", "127.0.0.1:0"])
                let pids = try subject.waitForReady(3)
                try subject.require(
                    subject.errors.contains(": there is no /proc: children are started as \(program), "),
                    "an event says what that means")
                try subject.require(subject.errors.contains("listening on 127.0.0.1:"), "the arguments are known")
                kill(pids[0], SIGKILL)
                try subject.eventually("a replacement") { subject.readyPIDs.count == 4 }
                let port = try subject.port()
                let environment = try #require(Connection.open(port: port))
                try subject.require(environment.send("/env"), "a request")
                let text = body(environment.receive()) ?? ""
                try subject.require(text.contains("PATH=") && !text.contains("PREFORK_"), "a child as any: \(text)")
                subject.signal(SIGTERM)
                try subject.require(subject.wait() == 0, "status 0")
                try subject.waitUntilAlone()
            }
        }
    }
#endif
