/// Starts children: their handshake, environment, descriptors and processor.
struct ChildLauncher {
    private let configuration: Prefork.Configuration
    private let mechanisms: Prefork.Mechanisms
    /// The program of the first generation.
    let executable: CString
    /// The same program, held open, if the configuration names it.
    private let firstProgram: ProgramFile.Opened?
    /// The programs of the generations after the first.
    private(set) var programs: [Int: ProgramFile.Opened] = [:]
    /// The path at which a restart finds the program. `nil` if it is not known.
    let restartPath: CString?
    private let arguments: [CString]
    private let ignoredSignals: [Signal]
    /// The processors of the children. `nil` unless each child gets one of its own.
    private var affinity: Affinity?
    private let outOfMemory = OutOfMemoryCount(System.text)
    private var attribution = OutOfMemoryAttribution()

    /// - Parameter restartPath: the path that an earlier program of this process has found. Its own is another one.
    init(
        _ configuration: Prefork.Configuration, _ mechanisms: Prefork.Mechanisms, restartPath: CString? = nil
    ) throws(SystemError) {
        self.configuration = configuration
        self.mechanisms = mechanisms
        _ = (ProgramFile.startedPath, ProgramFile.givenPath)  // Read now, before the file can be moved.
        let own = ProcessArguments.own
        if let path = configuration.program.executable {
            executable = CString(path)
            // If it cannot be opened, the start of the first child reports it.
            firstProgram = try? ProgramFile.openProgram(executable)
        } else {
            executable = try ProgramFile.path()
            firstProgram = nil
        }
        // A path whose directory is not known must not lead to another program.
        self.restartPath =
            configuration.program.executable.map { ProcessStart.own.absolute(CString($0)) } ?? restartPath
            ?? ProgramFile.givenPath
        let name = configuration.program.executable.map { CString($0) } ?? own.first ?? executable
        // A shell ignores INT and QUIT for a background job, to shield it from the terminal's keys. That is not meant
        // for the children. With CHLD ignored, a child would lose the exit statuses of the processes that it starts.
        ignoredSignals = ProcessStart.own.ignoredSignals.filter { ![.interrupt, .quit, .child].contains($0) }
        arguments = [name] + (configuration.program.arguments?.map { CString($0) } ?? Array(own.dropFirst()))
    }

    /// - Returns: the reason why children cannot have a processor each.
    mutating func prepareAffinity() -> SystemError? {
        guard configuration.program.affinity == .onePerChild else { return nil }
        do throws(SystemError) {
            affinity = try Affinity()
            return nil
        } catch {
            return error
        }
    }

    /// Opens the program of a new generation, as it is on disk now. All children of the generation are started from
    /// this open file, whatever happens to its path.
    mutating func openProgram(_ generation: Int) throws(PreforkError) {
        guard let restartPath else {
            throw .invalidConfiguration(
                "program.executable", reason: "this program's path is not known, so a restart would find no new build")
        }
        do throws(SystemError) {
            programs[generation] = try ProgramFile.openProgram(restartPath)
        } catch {
            throw .system(error)
        }
    }

    /// Starts the children of a generation from the program of another one.
    mutating func renew(_ generation: Int, of old: Int) { programs[generation] = programs[old] }

    mutating func adopt(_ program: ProgramFile.Opened, as generation: Int) { programs[generation] = program }

    /// A mark for a child that an earlier program of this process has started.
    mutating func outOfMemoryMark() -> OutOfMemoryAttribution.Mark? {
        outOfMemory?.current(System.text).map { attribution.mark(count: $0) }
    }

    /// The path by which the program of a generation is executed.
    private func program(_ generation: Int) -> CString {
        programs[generation]?.path ?? firstProgram?.path ?? executable
    }

    mutating func keepPrograms(_ generations: [Int]) {
        programs = programs.filter { generations.contains($0.key) }
    }

    /// The parameters of one start.
    struct Launch {
        let slot: Int
        let launch: Int
        let generation: Int
        let printsBacktrace: Bool
    }

    enum Outcome {
        case started(ChildHandle)
        case failed(SystemError)
        /// Another try would end the same way.
        case refused(PreforkError)
    }

    /// - Parameters:
    ///   - isKnown: whether a process is a child of the fleet already.
    ///   - report: receives errors that do not keep the child from starting.
    func start(
        _ launch: Launch, _ listeners: ListenerSet, isKnown: (Int32) -> Bool, report: (SystemError) -> Void
    ) -> Outcome {
        do {
            let ends = try Channel.makePair().split()
            let masterEnd = Descriptor(ends.first)
            let lowest = Handshake.descriptors(listenerCount: listeners.addresses.count).upperBound
            let childEnd = try System.move(Descriptor(ends.second), atLeast: lowest)
            guard let identity = System.identity(of: childEnd.raw) else { throw SystemError(call: "fstat", code: 0) }
            let plan = SpawnPlan(
                executable: program(launch.generation),
                arguments: arguments,
                environment: environment(launch, listeners, identity),
                descriptors: listeners.descriptors(of: launch.slot) + [childEnd.raw],
                directory: ProcessStart.own.directoryToReturnTo,
                ignoredSignals: ignoredSignals
            )
            let request = Prefork.SpawnRequest(
                plan: plan, closing: mechanisms.descriptorClosing, slot: launch.slot,
                programPath: programs[launch.generation]?.path.text)
            let mark = outOfMemory?.current(System.text).map(attribution.mark)
            let pid = try startWithAffinity(request, isKnown, report)
            // Closed only now, after the start. A copy that stays open here would keep the child's exit from hanging up
            // the channel.
            childEnd.close()
            // Only the master's loop reaps the child, and it does so later. The number is therefore still this child's,
            // whether it lives or not. If no descriptor is free to watch it, the child is checked every second.
            let exit = (try? mechanisms.exitNotice.watch(pid)) ?? nil
            return .started(ChildHandle(pid, slot: launch.slot, exit: exit, channel: masterEnd, outOfMemory: mark))
        } catch let error as SystemError {
            return .failed(error)
        } catch let error as PreforkError {
            return .refused(error)
        } catch {
            return .refused(.spawnClosureFailed(slot: launch.slot, error))
        }
    }

    private func environment(_ launch: Launch, _ listeners: ListenerSet, _ channel: FileIdentity) -> [CString] {
        let handshake = Handshake(
            slot: launch.slot,
            launch: launch.launch,
            generation: launch.generation,
            earlierRuns: repeatsThisProgram ? EarlierRuns.outcomes : "",
            masterPID: System.pid,
            addresses: listeners.addresses,
            channel: channel
        )
        var extra = configuration.program.environment
        // An explicit value takes precedence, because it may direct backtraces to a file.
        if !launch.printsBacktrace, extra["SWIFT_BACKTRACE"] == nil { extra["SWIFT_BACKTRACE"] = "enable=no" }
        return handshake.environment(inherited: System.environment(), extra: extra)
    }

    /// Whether children execute this program with its arguments. Another program, or other arguments, need not pass the
    /// runs that have ended.
    private var repeatsThisProgram: Bool {
        configuration.program.executable == nil && configuration.program.arguments == nil
    }

    private func startWithAffinity(
        _ request: Prefork.SpawnRequest, _ isKnown: (Int32) -> Bool, _ report: (SystemError) -> Void
    ) throws -> Int32 {
        guard let affinity else { return try start(request, isKnown) }
        return try affinity.withProcessor(ofSlot: request.slot, report: report) { try start(request, isKnown) }
    }

    private func start(_ request: Prefork.SpawnRequest, _ isKnown: (Int32) -> Bool) throws -> Int32 {
        guard let spawn = configuration.program.spawn else { return try request.start() }
        let pid = try spawn(request)
        guard !isKnown(pid), ExitWatch.isChild(pid) else {
            throw PreforkError.spawnedStranger(slot: request.slot, pid: pid)
        }
        return pid
    }

    /// Whether the kernel's out-of-memory killer has probably ended that child.
    mutating func isOutOfMemory(_ child: ChildHandle, _ status: WaitStatus) -> Bool {
        attribution.isLikely(status, isKilled: child.isKilled, since: child.outOfMemory) {
            outOfMemory?.current(System.text)
        }
    }
}
