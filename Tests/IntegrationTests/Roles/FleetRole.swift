// The role that most tests use: a fleet with hooks that tell, and a choice of what the children do.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork

    let roles: [String: Role] = ["fleet": fleetRole].merging(specialRoles) { $1 }

    private func configuration(_ settings: Settings) -> Prefork.Configuration {
        var configuration = Prefork.Configuration(children: settings.number("children") ?? 2)
        if let exits = settings.number("threshold") { configuration.recovery.threshold = .exits(exits) }
        if settings.has("never") { configuration.recovery.threshold = .never }
        if settings.has("unlimited") { configuration.recovery.threshold = .unlimited }
        if let delay = settings.milliseconds("interval") { configuration.recovery.delays = .constant(delay) }
        if let limit = settings.number("slotLimit") { configuration.recovery.limitPerSlot = limit }
        if let grace = settings.milliseconds("grace") { configuration.shutdown.gracePeriod = grace }
        configureSockets(&configuration, settings)
        if let ready = settings.milliseconds("readinessTimeout") {
            configuration.readiness.mode = .explicit
            configuration.readiness.timeout = ready
        }
        if let retry = settings.number("bindRetry") { configuration.sockets.bindRetry = .init(attempts: retry) }
        if let interval = settings.milliseconds("bindInterval") { configuration.sockets.bindRetry.interval = interval }
        if settings.has("unhandled") { configuration.signals.master = .unhandled }
        if settings.has("childUnhandled") { configuration.signals.children = .unhandled }
        if settings.has("cancelOnDrain") { configuration.shutdown.drainPolicy = .cancel }
        if let delay = settings["reapDelay"] {
            configuration.orphanReapDelay = Int(delay).map { .milliseconds($0) }  // "never" is no number.
        }
        if settings.has("affinity") { configuration.program.affinity = .onePerChild }
        if settings.has("noChannel") { configuration.testing.watchesChannel = false }
        if let poll = settings.milliseconds("parentPoll") { configuration.masterDeath.pollInterval = poll }
        configuration.program.executable = settings["executable"]
        if let value = settings["extra"] { configuration.program.environment = ["EXTRA": value] }
        switch settings["mechanisms"] {
        case "portable":
            configuration.testing.mechanisms = .init(exitNotice: .signalAndPolling, descriptorClosing: .enumeration)
        case "polling":
            configuration.testing.mechanisms = .init(exitNotice: .signalAndPolling, descriptorClosing: .closefrom)
        default: break
        }
        switch settings["masterDeath"] {
        case "exit": configuration.masterDeath.policy = .exit(3)
        case "call":
            configuration.masterDeath.policy = .call {
                tell("masterDeath \(getpid())")
                leave(0)
            }
        case "ignore": configuration.masterDeath.policy = .ignore
        default: break
        }
        switch settings["tls"] {
        case "files":
            configuration.tlsIdentity = .files(
                certificateChain: settings["chain"] ?? "",
                privateKey: settings["key"] ?? ""
            )
        case "embedded":
            configuration.tlsIdentity = .embedded(
                certificateChain: readText(settings["chain"] ?? "") ?? "",
                privateKey: readText(settings["key"] ?? "") ?? ""
            )
        default: break
        }
        return configuration
    }

    private func configureSockets(_ configuration: inout Prefork.Configuration, _ settings: Settings) {
        switch settings["listening"] {
        case "sharded": configuration.sockets.mode = .sharded
        case "shared": configuration.sockets.mode = .shared
        default: break
        }
        configuration.testing.shardingFault = settings["shardingFault"]
        if let backlog = settings.number("backlog") { configuration.sockets.backlog = backlog }
        if let period = settings.milliseconds("queueDrain") { configuration.shutdown.queueDrainPeriod = period }
        configuration.sockets.deferAccept = settings.milliseconds("deferAccept")
        if let percent = settings.number("alarm") {
            configuration.sockets.queueAlarm = .init(share: Double(percent) / 100, interval: .milliseconds(20))
        }
    }

    private let currentFleet = LockedValueBox<Prefork?>(nil)

    /// `fail=HOOK:N`: the N-th call of that hook throws, from 1.
    private func hook(_ name: String, _ settings: Settings) -> @Sendable (String) throws -> Void {
        let calls = Counter()
        let parts = settings["fail"]?.split(separator: ":") ?? []
        let failsAt = parts.count == 2 && parts[0] == name ? Int(parts[1]) : nil
        return { text in
            tell("\(name) \(text)")
            if calls.next() == failsAt { throw Deliberate("\(name) failed on purpose") }
        }
    }

    @Sendable private func fleetRole(_ settings: Settings) async {
        var configuration = configuration(settings)
        let spawned = hook("onChildSpawn", settings)
        let ready = hook("onMasterReady", settings)
        let recovered = hook("onChildRecover", settings)
        let awaited = Counter()
        configuration.hooks.onChildSpawn = { pid in
            try spawned("\(pid)")
            // `awaitEnds=N`: of the first N children it waits for the end, and takes nothing away.
            if let count = settings.number("awaitEnds"), awaited.next() <= count { waitForZombie(pid) }
            if let time = settings.number("slowSpawn") { poll(nil, 0, CInt(time)) }
        }
        configuration.hooks.onMasterReady = { pids in
            try ready(pids.map { "\($0)" }.joined(separator: " "))
            if settings.has("slowReady") { poll(nil, 0, 3300) }  // Longer than the test's grace period.
            // `holdReady=PATH`: until the test has made that file.
            if let path = settings["holdReady"] { try eventually(path) { access(path, F_OK) == 0 } }
            if settings.has("stopAfterHold") { currentFleet.withLock { $0 }?.stop() }
        }
        configuration.hooks.onChildRecover = { try recovered("\($0) \($1)") }
        configuration.observe = { event in
            Prefork.logToStandardError(event)
            if settings.has("slowObserver"), event.code == .stopping {
                tell("observing")
                poll(nil, 0, 1300)  // Longer than what makes two of two INTs.
            }
            if event.code == .queueFilling {
                let status = currentFleet.withLock { $0 }?.status
                tell("waiting \(status?.slots.first?.waiting ?? -1) \(status?.listeners.first?.mode.description ?? "")")
            }
            if settings.has("stopWhenReady"), event.code == .ready { currentFleet.withLock { $0 }?.stop() }
            if event.code == .exited, let exit = event.exit, let consequence = event.consequence {
                tell("exited \(exit.pid) \(exit.reason) \(consequence)")
            }
        }
        configuration.program.spawn = spawnClosure(settings)
        // Here, because the test library's own descriptors would take the numbers.
        if settings.has("closeStandard"), case .master = Prefork.role { for number in CInt(0)...2 { close(number) } }
        if let count = settings.number("leak") { leakDescriptors(count) }
        let names = (settings["names"] ?? "").split(separator: ",").map { String($0) }
        let addresses = (settings["addresses"] ?? "127.0.0.1:0").split(separator: ",").enumerated().map { index, text in
            let address = (try? Prefork.Address(String(text))) ?? .tcp("not a host", port: 0)
            return names.indices.contains(index) ? address.named(names[index]) : address
        }
        let adopted = settings.has("adopt") ? AdoptedListener() : nil
        let fleet = Prefork(addresses, adopting: adopted?.adoption ?? .none, configuration: configuration)
        currentFleet.withLock { $0 = fleet }
        let isMaster = if case .master = Prefork.role { true } else { false }
        for _ in 0..<(settings.number("runs") ?? 1) {
            let before = Leftovers()
            let outcome: Result<Void, any Error>
            if settings.has("async") {
                outcome = await asyncRun(fleet, settings)
            } else {
                outcome = Result { try fleet.run { try serve($0, settings) } }
            }
            guard isMaster else {
                if case .failure(let error) = outcome {
                    tell("childThrew \(error)")
                    leave((error as? PreforkError)?.exitStatus ?? 1)
                }
                // A run that its master has behind it does not serve.
                if hasServed.withLock({ $0 }) { leave(0) }
                continue
            }
            let after = Leftovers()
            tell(after.isNoMore(than: before) ? "clean" : "left \(before) -> \(after)")
            if let adopted { tell("adopted \(adopted.state)") }
            tell(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD ? "childless" : "children left")
            switch outcome {
            case .success: tell("returned")
            case .failure(let error): tell("threw \(type(of: error)) \(error)")
            }
        }
    }

    private func asyncRun(_ fleet: Prefork, _ settings: Settings) async -> Result<Void, any Error> {
        let task = Task { try await fleet.run { child in try await asyncServe(child, settings) } }
        if settings.has("cancelWhenReady"), case .master = Prefork.role {
            while fleet.status.slots.filter({ $0.state.code == .ready }).isEmpty {
                try? await Task.sleep(for: .milliseconds(2))
            }
            task.cancel()
        }
        return await task.result
    }

    private func spawnClosure(_ settings: Settings) -> (@Sendable (Prefork.SpawnRequest) throws -> Int32)? {
        switch settings["spawn"] {
        case "default": { try $0.start() }
        case "throws": { _ in throw Deliberate("the producer failed on purpose") }
        case "zero": { _ in 0 }
        case "self": { _ in getpid() }
        case "parent": { _ in getppid() }
        case "twice":
            // The same process for every slot.
            {
                let first = Shared.first
                return { request in try first.value { try request.start() } }
            }()
        case "again":
            // No free process for a while, as under a limit; every second try fails.
            {
                let calls = Counter()
                return { request in
                    if calls.next() % 2 == 1 { throw Prefork.SystemError(call: "posix_spawn", code: EAGAIN) }
                    return try request.start()
                }
            }()
        case "endingThread":
            // What a thread leaves behind the kernel moves to the first thread's list, where orphans are, too. There a
            // program's main has its children from the beginning; the test library runs nothing in that thread.
            { request in
                let started = LockedValueBox<Result<Int32, any Error>?>(nil)
                try inThreadOfItsOwn { started.withLock { $0 = Result { try request.start() } } }
                guard let pid = try started.withLock({ $0 })?.get() else { throw Deliberate("not started") }
                try eventually("\(pid) in the first thread's list") {
                    readText("/proc/self/task/\(getpid())/children")?.split(separator: " ").contains("\(pid)") == true
                }
                return pid
            }
        case "wrapper":
            // A wrapper that replaces itself by the child.
            { request in
                var request = request
                let program = request.programPath
                request.arguments =
                    ["sh", "-c", "WRAPPED=yes exec \"$0\" \"$@\"", program] + request.arguments.dropFirst()
                request.executable = "/bin/sh"
                return try request.start()
            }
        default: nil
        }
    }

    /// Non-close-on-exec descriptors of every kind, as careless libraries leave them.
    private func leakDescriptors(_ count: Int) {
        guard case .master = Prefork.role else { return }
        for index in 0..<count {
            let raw = index % 2 == 0 ? open("/dev/null", O_RDONLY) : socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            // Where neither the test library nor we have anything of our own.
            _ = dup2(raw, 200 + CInt(index))
            close(raw)
        }
    }

    // MARK: - What children do

    private let hasServed = LockedValueBox(false)

    private func report(_ child: Prefork.Child) {
        hasServed.withLock { $0 = true }
        tell("processors \(child.slot) \(statusField("Cpus_allowed_list"))")
        let descriptors = listDirectory("/proc/self/fd").compactMap { CInt($0) }.sorted()
        let open = descriptors.filter { fcntl($0, F_GETFD) != -1 }
        tell("child \(getpid()) slot \(child.slot) launch \(child.launch) master \(child.masterPID)")
        let inodes = child.addresses.indices.compactMap { System.identity(of: 3 + CInt($0))?.inode }
        tell("inodes \(child.slot) \(inodes.map { "\($0)" }.joined(separator: " "))")
        tell("fds \(open.map { "\($0)" }.joined(separator: " "))")
    }

    private func serve(_ child: Prefork.Child, _ settings: Settings) throws {
        report(child)
        let mode = settings["serve"] ?? "http"
        // `first=MODE`: the first child of each slot does something else.
        switch child.launch == 0 ? settings["first"] ?? mode : mode {
        case "http": answerWithPID(try child.takeListener(), child)
        case "defers":
            let listener = try child.takeListener()
            try PlatformListener.setDeferAccept(listener, seconds: 20)
            tell("defers")
            answerWithPID(listener, child)
        case "all":
            for index in child.addresses.indices {
                tell("listener \(try child.takeListener(at: index)) \(child.addresses[index])")
            }
            waitForStop(child)
        case "named":
            for address in child.addresses {
                guard let name = address.name else { continue }
                tell("named \(name) \(try child.takeListener(named: name)) \(address)")
            }
            do { _ = try child.takeListener(named: "nobody") } catch { tell("unnamed \(error)") }
            for name in Set(child.addresses.compactMap(\.name)) {
                do { _ = try child.takeListener(named: name) } catch { tell("again \(error)") }
            }
            waitForStop(child)
        case "relisten":  // As a framework does that listens once more.
            let listener = try child.takeListener()
            let before = PlatformListener.queue(of: listener)?.limit
            listen(listener, 128)
            tell("relistened \(PlatformListener.queue(of: listener)?.limit ?? 0)")
            child.ready()
            while PlatformListener.queue(of: listener)?.limit != before { poll(nil, 0, 1) }
            tell("backlog is back")
            waitForStop(child)
        case "wait": waitForStop(child)
        case "tls":
            tell("tls \(child.tlsIdentity.map { "\($0)" } ?? "none")")
            answerWithPID(try child.takeListener(), child)
        case "ready":
            child.ready()
            answerWithPID(try child.takeListener(), child)
        case "stubborn":
            signal(SIGTERM, SIG_IGN)
            tell("stubborn \(getpid())")
            while true { pause() }
        case "deaf":  // Its drain never ends.
            _ = try child.takeListener()
            tell("deaf \(getpid())")
            while true { pause() }
        case "forksTwice":
            // The shell leaves before what it has started does.
            system("sleep 0.05 &")
            tell("forked")
            answerWithPID(try child.takeListener(), child)
        case "forksTwiceWhenAsked":  // By a connection, which is closed when it is done.
            let listener = try child.takeListener()
            var request = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            poll(&request, 1, -1)
            let connection = accept(listener, nil, nil)
            system("sleep 0.05 &")
            close(connection)
            answerWithPID(listener, child)
        case "crash": fatalError("on purpose")
        case "oneCrashesInChaos":
            if child.slot == 0 { leave(1) }
            try serveChaos(child, try ChaosMap(settings["map"] ?? ""))
        case "chaos": try serveChaos(child, try ChaosMap(settings["map"] ?? ""))
        case "oneCrashes":
            if child.slot == 0 { leave(1) }
            child.ready()
            answerWithPID(try child.takeListener(), child)
        case "throw": throw Deliberate("serve failed on purpose")
        case "twice":
            _ = try child.takeListener()
            do { _ = try child.takeListener() } catch { tell("second \(error)") }
            do { _ = try child.takeListener(at: 7) } catch { tell("seventh \(error)") }
            waitForStop(child)
        case "callbacks":
            child.onStop { tell("onStop 1") }
            child.onStop {
                poll(nil, 0, 50)  // `serve` has returned by then.
                tell("onStop 2")
            }
            waitForStop(child)
            tell("stopping \(child.isStopping)")
            child.onStop { tell("onStop late") }
        case let text where text.hasPrefix("exit:"): leave(CInt(text.dropFirst(5)) ?? 0)
        case let text: tell("unknown mode \(text)")
        }
    }

    /// Returns when `body` has; Foundation has a Thread, too.
    func inThreadOfItsOwn(_ body: @escaping @Sendable () -> Void) throws {
        let thread = try Thread(body)
        thread.join()
    }

    /// Whoever wants its status still gets it.
    func waitForZombie(_ pid: pid_t) {
        var information = siginfo_t()
        while waitid(P_PID, id_t(pid), &information, CInt(WEXITED | WNOWAIT)) == -1, errno == EINTR {}
    }

    private func waitForStop(_ child: Prefork.Child) {
        var request = pollfd(fd: child.stopDescriptor, events: Int16(POLLIN), revents: 0)
        while poll(&request, 1, -1) != 1 || request.revents & Int16(POLLIN) == 0 {}
    }

    private func asyncServe(_ child: Prefork.Child, _ settings: Settings) async throws {
        report(child)
        switch settings["serve"] ?? "stop" {
        case "stop":
            await child.stopRequested()
            tell("stopRequested cancelled \(Task.isCancelled)")
        case "cancelled":  // Ends only by cancellation.
            let start = ContinuousClock.now
            await child.stopRequested()
            do {
                try await Task.sleep(for: .seconds(60))
            } catch {
                tell("cancelled after \((ContinuousClock.now - start) / .milliseconds(1))")
            }
        case "throw": throw Deliberate("serve failed on purpose")
        case let text: tell("unknown mode \(text)")
        }
    }

    // MARK: - State of roles

    /// Counts from 1.
    final class Counter: Sendable {
        private let count = LockedValueBox(0)
        func next() -> Int {
            count.withLock { count in
                count += 1
                return count
            }
        }
    }

    enum Shared {
        static let first = FirstValue()
    }

    final class FirstValue: Sendable {
        private let stored = LockedValueBox<Int32?>(nil)
        func value(_ make: () throws -> Int32) throws -> Int32 {
            try stored.withLock { stored in
                if let stored { return stored }
                let made = try make()
                stored = made
                return made
            }
        }
    }
#endif
