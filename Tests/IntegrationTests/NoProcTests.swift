// A system without /proc: a chroot, a hardened container, an early boot.
#if os(Linux)
    import PreforkLibc
    import Testing

    /// Runs a program with an empty directory over /proc, which a user namespace allows without a privilege.
    private func withoutProc(_ program: [String]) throws -> Subject {
        let hide = "mount -t tmpfs tmpfs /proc && exec \"$0\" \"$@\""
        let shell = ["--user", "--map-root-user", "--mount", "/bin/sh", "-c", hide]
        return try Subject("/usr/bin/unshare", ["/usr/bin/unshare"] + shell + program)
    }

    /// Runs a program with an empty directory over /dev.
    private func withoutDev(_ program: [String]) throws -> Subject {
        let hide = "mount -t tmpfs tmpfs /dev && exec \"$0\" \"$@\""
        let shell = ["--user", "--map-root-user", "--mount", "/bin/sh", "-c", hide]
        return try Subject("/usr/bin/unshare", ["/usr/bin/unshare"] + shell + program)
    }

    private let linkers: [String] = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
    private let linker: String? = linkers.first { (path: String) in access(path, X_OK) == 0 }

    private let canHideProc = (try? withoutProc(["/bin/true"]).wait()) == 0

    extension Integration {
        @Suite struct DynamicLinkerTests {
            /// ld.so(8): /proc/self/exe is the dynamic linker then.
            @Test(.enabled(if: linker != nil, "there is no dynamic linker at its usual path"))
            func childrenRunTheProgram() throws {
                let subject = try Subject.hello(["--children", "2"], under: [try #require(linker)])
                let pids = try subject.waitForReady(2)
                #expect(readLinkText("/proc/\(pids[0])/exe") == product("hello-prefork"), subject.log)
                try #require(get("/", port: subject.port()) == .hello, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }
        }

        @Suite struct NoDevTests {
            @Test(.enabled(if: canHideProc, "mounts are not allowed in a user namespace here"))
            func servesRecoversAndStops() throws {
                let subject = try withoutDev([product("hello-prefork"), "--children", "2", "127.0.0.1:0"])
                let pids = try subject.waitForReady(2)
                kill(pids[0], SIGKILL)
                try subject.eventually("a replacement") { subject.readyPIDs.count == 3 }
                try #require(get("/", port: subject.port()) == .hello, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                try subject.waitUntilAlone()
            }
        }

        @Suite struct NoProcTests {
            @Test(
                .enabled(if: canHideProc, "mounts are not allowed in a user namespace here"),
                .disabled(if: isSanitized, "a sanitized program needs /proc"))
            func servesRecoversAndStops() throws {
                let program = product("hello-prefork")
                let subject = try withoutProc([program, "--children", "3", "127.0.0.1:0"])
                let pids = try subject.waitForReady(3)
                let text = ": there is no /proc: children are started as \(program), "
                #expect(subject.standardError.contains(text), subject.log)
                // The arguments are still known.
                #expect(subject.standardError.contains("listening on 127.0.0.1:"), subject.log)
                kill(pids[0], SIGKILL)
                try subject.eventually("a replacement") { subject.readyPIDs.count == 4 }
                let port = try subject.port()
                let environment = try #require(get("/env", port: port).body, subject.log)
                #expect(environment.contains("PATH="), subject.log)
                #expect(!environment.contains("PREFORK_"), subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                try subject.waitUntilAlone()
            }
        }
    }
#endif
