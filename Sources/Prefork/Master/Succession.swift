/// The part that calls of `run` play in a program that has taken the place of another one (``Prefork/upgrade()``).
///
/// Runs that had ended before the upgrade return or throw at once, as they do in a child. The run that the old program
/// was in continues.
final class Succession: Sendable {
    let notice: HandoverNotice
    let handover: Handover
    /// Whether this program is the master now. Until then, the old program can be executed again.
    private let hasBegun = LockedValueBox(false)

    var isAdopted: Bool { hasBegun.withLock { $0 } }
    func adopt() { hasBegun.withLock { $0 = true } }

    private init(_ notice: HandoverNotice, _ handover: Handover) {
        self.notice = notice
        self.handover = handover
    }

    /// `nil` if this process has no predecessor, or its run has begun.
    private static let pending = LockedValueBox<Result<Succession, PreforkError>?>(nil)

    enum Turn {
        /// The fleet is a new one.
        case first
        /// The run has already returned.
        case over
        /// The run goes on.
        case next(Succession)
    }

    /// Returns the part of a call of `run`. Call it once for each such call.
    /// - Parameter isLast: whether the call does not return (`main`), so that no run comes before it.
    static func turn(isLast: Bool) throws(PreforkError) -> Turn {
        let result = pending.withLock { $0 }
        guard let result else { return .first }
        let succession = try result.get()
        let runs = succession.handover.process.earlierRuns
        if !isLast, case .over(let error) = try EarlierRuns.next(runs) {
            if let error { throw error }
            return .over
        }
        pending.withLock { $0 = nil }
        EarlierRuns.restore(runs)
        return .next(succession)
    }

    /// Executes the old program again, because this one cannot take over. It continues with the same handover. Returns
    /// if this program is the old one, or the system refuses.
    func executeOldProgram(_ reason: String) {
        guard let path = notice.returnPath else { return }
        EventLog.write("this program cannot take over; executing the old one: \(reason)")
        do throws(SystemError) {
            try Self.execute(handover, path, back: nil, fault: reason)
        } catch {
            EventLog.write("error: \(error)")
        }
    }

    /// Looks for a handover, once, before the program starts a thread or a process. Nothing is touched unless the
    /// file is the announced one.
    static func find() {
        guard let value = System.environmentValue(Handover.variable) else { return }
        System.removeEnvironmentValue(Handover.variable)
        guard ProgramReplacement.isSupported else { return }
        let notice = HandoverNotice(value)
        // The variable of a process that has started this one before it looked itself.
        if let notice, notice.pid != System.pid { return }
        pending.withLock { $0 = read(value, notice) }
    }

    private static func read(_ value: String, _ notice: HandoverNotice?) -> Result<Succession, PreforkError> {
        guard let notice else {
            return .failure(.invalidHandover(reason: "\(Handover.variable) is \(quoted(value))"))
        }
        guard System.identity(of: notice.file) == notice.identity else {
            return .failure(.invalidHandover(reason: "descriptor \(notice.file) is another file"))
        }
        let file = Descriptor(notice.file)
        do {
            guard let text = try SealedMemory.text(of: file.raw) else {
                throw HandoverRecord.Fault("its file is not sealed")
            }
            let handover = try Handover(text, pid: System.pid) { System.identity(of: $0)?.inode }
            // Processes that the program starts before `run` must not get them.
            for descriptor in handover.process.descriptors { try System.setCloseOnExec(descriptor) }
            SignalMask.unblock(except: handover.process.blocked)
            return .success(Succession(notice, handover))
        } catch {
            executeOldProgram(notice, "\(error)")
            return .failure(.invalidHandover(reason: "\(error)"))
        }
    }

    /// Executes the old program again, because this one cannot read the handover. Nothing has been taken, so the
    /// descriptors are as the old program has left them.
    private static func executeOldProgram(_ notice: HandoverNotice, _ reason: String) {
        guard let path = notice.returnPath else { return }
        var notice = notice
        (notice.returnPath, notice.fault) = (nil, reason)
        let variable = CString("\(Handover.variable)=\(notice.value)")
        _ = ProgramReplacement.execute(path, ProcessArguments.own, System.environment() + [variable])
    }

    /// - Parameters:
    ///   - back: the path of the program that goes on if the new one cannot.
    ///   - fault: why the program comes back.
    static func execute(
        _ handover: Handover, _ program: CString, back: CString?, fault: String? = nil
    ) throws(SystemError) -> Never {
        let file = try SealedMemory.make("prefork-handover", handover.text { System.identity(of: $0)?.inode })
        guard let identity = System.identity(of: file.raw) else { throw SystemError(call: "fstat", code: 0) }
        let notice = HandoverNotice(
            pid: System.pid, file: file.raw, identity: identity, returnPath: back, fault: fault)
        let process = handover.process
        let activated = ActivatedSockets.decode(pid: process.pid) { System.environmentValue($0) }
        let kept = process.descriptors + process.inherited + (activated.sockets?.descriptors ?? []) + [file.raw]
        try ProgramReplacement(
            program: program,
            // The new program may have been given others, for example by a script.
            arguments: process.arguments,
            environment: process.environment + [CString("\(Handover.variable)=\(notice.value)")],
            descriptors: Set(kept),
            directory: ProcessStart.own.directoryToReturnTo,
            ignoredSignals: ProcessStart.own.ignoredSignals
        ).execute()
    }
}
