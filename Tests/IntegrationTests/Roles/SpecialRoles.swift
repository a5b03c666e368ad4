// Roles with a plot of their own.
#if os(Linux)
    import PreforkLibc
    import Foundation
    import Synchronization
    @testable import Prefork

    let specialRoles: [String: Role] = [
        "signalState": { _ in signalStateRole() },
        "foreignProcess": { await foreignProcessRole($0) },
        "lateWaiter": { await lateWaiterRole($0) },
        "secondRun": { _ in secondRunRole() },
        "stopBeforeRun": { _ in stopBeforeRunRole() },
        "grandchild": { grandchildRole($0) },
        "environment": { environmentRole($0) },
        "handlers": { _ in handlersRole() },
        "reentrant": { _ in reentrantRole() },
        "cancellations": { _ in await cancellationsRole() },
        "twoFleets": { _ in twoFleetsRole() },
        "mainAfterRun": { mainAfterRunRole($0) },
    ]

    /// A fleet of one whose child shows its signal state; the master runs in whatever thread the test library uses.
    private func signalStateRole() {
        let fleet = Prefork(.tcp("127.0.0.1", port: 0), configuration: .init(children: 1))
        if case .child = Prefork.role {
            tell("SigBlk \(statusField("SigBlk", of: "/proc/self/task/\(getpid())/status"))")
            tell("SigIgn \(statusField("SigIgn"))")
        }
        try? fleet.run { child in
            tell("SigCgt \(statusField("SigCgt"))")
            answerWithPID(try child.takeListener(), child)
        }
        tell("returned")
    }

    private let recoveries = Atomic<Int>(0)

    /// Other code in the master starts a process and wants its status, while children come and go.
    private func foreignProcessRole(_ settings: Settings) async {
        let configuration: Prefork.Configuration = {
            var configuration = Prefork.Configuration(children: 2)
            configuration.recovery.threshold = .unlimited
            configuration.recovery.delays = .constant(.milliseconds(1))
            if settings.has("portable") {
                configuration.testing.mechanisms = .init(exitNotice: .signalAndPolling, descriptorClosing: .enumeration)
            }
            if let delay = settings.milliseconds("reapDelay") { configuration.orphanReapDelay = delay }
            configuration.observe = { event in
                Prefork.logToStandardError(event)  // Which leaves lines out in a crash loop.
                if event.code == .reapedOrphans { tell("reaped \(event.pids.count)") }
            }
            configuration.hooks.onChildRecover = { _, _ in recoveries.wrappingAdd(1, ordering: .relaxed) }
            return configuration
        }()
        let fleet = Prefork(.tcp("127.0.0.1", port: 0), configuration: configuration)
        guard case .master = Prefork.role else {
            try? await fleet.run { _ in leave(3) }
            leave(98)
        }
        let task = Task { try await fleet.run { _ in } }
        var right = 0
        var started = 0
        // Shells that leave at once what they have started, to end at different times.
        if let count = settings.number("orphans") {
            let shell = Foundation.Process()
            shell.executableURL = URL(fileURLWithPath: "/bin/sh")
            shell.arguments = ["-c", "i=0; while [ $i -lt \(count) ]; do (sleep 0.0$((i % 10)) &); i=$((i + 1)); done"]
            do { try shell.run() } catch { tell("not started \(error)") }
        }
        // Until children have come and gone a good while beside it.
        while started < 20 || recoveries.load(ordering: .relaxed) < 20 {
            let process = Foundation.Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", "exit \(started % 100)"]
            do { try process.run() } catch { tell("not started \(error)") }
            process.waitUntilExit()
            if process.terminationStatus == Int32(started % 100) { right += 1 }
            started += 1
        }
        tell(right == started ? "statuses right" : "statuses \(right) of \(started)")
        if !settings.has("orphans") { fleet.stop() }
        _ = await task.result
        tell("returned")
    }

    private let reapedOrphans = Atomic<Int>(0)

    /// Another thread of the master's than its first waits for a process long after an orphan would have been reaped.
    private func lateWaiterRole(_ settings: Settings) async {
        var configuration = Prefork.Configuration(children: 1)
        configuration.orphanReapDelay = settings.milliseconds("reapDelay")
        configuration.observe = { event in
            Prefork.logToStandardError(event)
            reapedOrphans.wrappingAdd(event.pids.count, ordering: .relaxed)
        }
        let fleet = Prefork(.tcp("127.0.0.1", port: 0), configuration: configuration)
        guard case .master = Prefork.role else {
            try? await fleet.run { child in await child.stopRequested() }
            leave(0)
        }
        let task = Task { try await fleet.run { _ in } }
        while !fleet.status.slots.contains(where: { $0.state.code == .ready }) {
            try? await Task.sleep(for: .milliseconds(2))
        }
        // It stays until it has waited: what a thread that ends leaves behind is the first thread's.
        do {
            try inThreadOfItsOwn {
                tell(
                    readLinkText("/proc/thread-self") == "\(getpid())/task/\(getpid())"
                        ? "in the first thread" : "in another thread")
                if settings.has("foundation") { waitLateByFoundation() } else { waitLate() }
            }
        } catch { tell("no thread \(error)") }
        fleet.stop()
        _ = await task.result
        tell("returned")
    }

    /// A process that ended before an orphan did: whoever takes it for one takes it first.
    private func waitLate() {
        guard let late = startShell("exit 3") else { return tell("not started") }
        waitForZombie(late)
        guard let shell = startShell("sleep 0.05 &") else { return tell("not started") }
        waitpid(shell, nil, 0)
        do {
            try eventually("an orphan's end") { reapedOrphans.load(ordering: .relaxed) > 0 }
        } catch { tell("\(error)") }
        var status: CInt = 0
        tell(waitpid(late, &status, WNOHANG) == late ? "status \((status >> 8) & 0xff)" : "status lost")
    }

    /// Foundation waits for a process once nobody has the socket any more that it and what it has started inherit.
    private func waitLateByFoundation() {
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "sleep 1 & exit 3"]
        do { try process.run() } catch { tell("not started \(error)") }
        process.waitUntilExit()
        tell("status \(process.terminationStatus)")
        do {
            try eventually("an orphan's end") { reapedOrphans.load(ordering: .relaxed) > 0 }
        } catch { tell("\(error)") }
    }

    private func startShell(_ command: String) -> pid_t? {
        let words = ["sh", "-c", command]
        let arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        return posix_spawn(&pid, "/bin/sh", nil, nil, arguments, environ) == 0 ? pid : nil
    }

    private func secondRunRole() {
        let second = Prefork(.tcp("127.0.0.1", port: 0), configuration: .init(children: 1))
        var configuration = Prefork.Configuration(children: 1)
        configuration.hooks.onMasterReady = { _ in
            do { try second.run { _ in } } catch { tell("second \(error)") }
        }
        let fleet = Prefork(.tcp("127.0.0.1", port: 0), configuration: configuration)
        try? fleet.run { child in answerWithPID(try child.takeListener(), child) }
        tell("returned")
    }

    private func stopBeforeRunRole() {
        let fleet = Prefork(.tcp("127.0.0.1", port: 0), configuration: .init(children: 1))
        fleet.stop()
        fleet.stop()
        do {
            try fleet.run { _ in }
            tell("returned with \(fleet.status.slots.count) slots")
        } catch { tell("threw \(error)") }
    }

    private func cancellationsRole() async {
        let fleet = Prefork(.tcp("127.0.0.1", port: 0), configuration: .init(children: 1))
        let run: @Sendable () async throws -> Void = {
            try await fleet.run { child in await child.stopRequested() }
        }
        guard case .master = Prefork.role else {
            for _ in 0..<3 { try? await run() }
            return
        }
        let first = Task { try await run() }
        while fleet.status.slots.isEmpty { await Task.yield() }
        fleet.stop()
        _ = await first.result
        let second = Task { try await run() }
        second.cancel()
        _ = await second.result
        tell("second ended")
        let third = Task { try await run() }
        while fleet.status.slots.isEmpty { await Task.yield() }
        let refused = Task { try await run() }
        refused.cancel()
        if case .failure(let error) = await refused.result { tell("refused \(error)") }
        tell(fleet.status.slots.isEmpty || fleet.status.isStopping ? "third was stopped" : "third still runs")
        _ = await third.result
        tell("third ended")
    }

    private func twoFleetsRole() {
        for name in ["A", "B"] {
            let fleet = Prefork(.tcp("127.0.0.1", port: 0), configuration: .init(children: 2))
            var served = false
            do {
                try fleet.run { child in
                    served = true
                    tell("serving \(name)")
                    answerWithPID(try child.takeListener(), child)
                }
            } catch { tell("threw \(error)") }
            if served {
                // What the child opens now may have the numbers that it inherited.
                let files = (0..<4).map { _ in open("/dev/null", O_RDONLY) }
                do { try fleet.run { _ in tell("served twice") } } catch {
                    tell("again \(error); files \(files.allSatisfy { fcntl($0, F_GETFD) != -1 } ? "open" : "closed")")
                }
                leave(0)
            }
            if case .master = Prefork.role { tell("ended \(name)") }
        }
    }

    /// A master's work first, with a fleet of its own, then the program's fleet, whose children do not come by the first.
    private func mainAfterRunRole(_ settings: Settings) {
        if case .master = Prefork.role {
            let first = Prefork(.tcp("127.0.0.1", port: 0), configuration: .init(children: 1))
            first.stop()
            try? first.run { _ in }
            tell("first ended")
        }
        Prefork.main(.tcp("127.0.0.1", port: 0), configuration: .init(children: 2)) { child in
            tell("serving main")
            answerWithPID(try child.takeListener(), child)
        }
    }

    private let reentered = LockedValueBox<Prefork?>(nil)

    /// Hooks and the observer look at the fleet that calls them, and one of them stops it.
    private func reentrantRole() {
        var configuration = Prefork.Configuration(children: 3)
        configuration.observe = { event in
            Prefork.logToStandardError(event)
            let fleet = reentered.withLock { $0 }
            if event.code == .stopped { tell("stopping \(fleet?.status.isStopping == true)") }
        }
        configuration.hooks.onChildSpawn = { _ in
            let fleet = reentered.withLock { $0 }
            tell("addresses \(fleet?.status.addresses.count ?? -1)")
        }
        configuration.hooks.onMasterReady = { _ in reentered.withLock { $0 }?.stop() }
        let fleet = Prefork(.tcp("127.0.0.1", port: 0), configuration: configuration)
        reentered.withLock { $0 = fleet }
        do {
            try fleet.run { child in answerWithPID(try child.takeListener(), child) }
            if case .master = Prefork.role { tell("returned") }
        } catch { tell("threw \(error)") }
    }

    /// The child starts a process that outlives it; nothing of the fleet's may be handed on.
    private func grandchildRole(_ settings: Settings) {
        var configuration = Prefork.Configuration(children: 1)
        configuration.recovery.threshold = .exits(50)
        let fleet = Prefork(.tcp("127.0.0.1", port: 0), configuration: configuration)
        try? fleet.run { child in
            // Inheriting everything that is not close-on-exec, and the environment.
            system("(ls -l /proc/self/fd; echo variables $(env | grep -c ^PREFORK_)) >&2; exec sleep 1000 &")
            tell("child \(getpid())")
            answerWithPID(try child.takeListener(), child)
        }
        tell("returned")
    }

    private func environmentRole(_ settings: Settings) {
        var configuration = Prefork.Configuration(children: 1)
        configuration.program.environment = ["EXTRA": "added", "REPLACED": "new"]
        let raw = currentEnvironment()
        if raw["PREFORK_SLOT"] != nil {
            var names: [String: Int] = [:]
            var entry = environ
            while let text = entry.pointee {
                let name = String(String(cString: text).prefix { $0 != "=" })
                names[name, default: 0] += 1
                entry += 1
            }
            for name in names.keys.sorted() where name.hasPrefix("PREFORK") || name.hasPrefix("LISTEN_") {
                tell("before \(name) \(names[name] ?? 0)")
            }
        }
        if case .child = Prefork.role {
            let left = currentEnvironment()
            for name in left.keys.sorted() where name.hasPrefix("PREFORK") || name.hasPrefix("LISTEN_") {
                tell("after \(name)")
            }
            for name in ["EXTRA", "REPLACED", "NOTIFY_SOCKET", "WATCHDOG_USEC", "PREFORKED"] {
                tell("\(name)=\(left[name] ?? "-")")
            }
            tell("comm \(readText("/proc/self/comm") ?? "?")")
        }
        let fleet = Prefork(.tcp("127.0.0.1", port: 0), configuration: configuration)
        try? fleet.run { child in
            tell("serving")
            answerWithPID(try child.takeListener(), child)
        }
        tell("returned")
    }

    /// The program has handlers of its own before the run and installs one during it.
    private func handlersRole() {
        signal(SIGTERM) { _ in tellFromHandler("@ own TERM\n") }
        signal(SIGUSR1, SIG_IGN)
        var configuration = Prefork.Configuration(children: 1)
        configuration.hooks.onMasterReady = { _ in signal(SIGINT) { _ in tellFromHandler("@ own INT\n") } }
        let fleet = Prefork(.tcp("127.0.0.1", port: 0), configuration: configuration)
        try? fleet.run { child in answerWithPID(try child.takeListener(), child) }
        guard case .master = Prefork.role else { return }
        kill(getpid(), SIGUSR1)
        kill(getpid(), SIGTERM)
        kill(getpid(), SIGINT)
        // Delivered before kill(2) returns, in this thread or soon in another.
        _ = try? eventually("both handlers") { handlerCalls.load(ordering: .relaxed) == 2 }
        tell("returned")
    }

    private let handlerCalls = Atomic<Int>(0)

    private func tellFromHandler(_ text: StaticString) {
        _ = write(1, text.utf8Start, text.utf8CodeUnitCount)
        handlerCalls.wrappingAdd(1, ordering: .relaxed)
    }
#endif
