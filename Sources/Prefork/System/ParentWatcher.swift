// The master's death as a child notices it: by a descriptor, or by comparing the parent's number at intervals.

/// Watches one parent process. PR_SET_PDEATHSIG is no help here: it fires when the *thread* that spawned this process
/// ends (prctl(2)).
struct ParentWatcher: ~Copyable {
    /// The announced process id, and not the result of getppid(2), which may already be a reaper's.
    let masterPID: Int32
    /// Becomes readable when the master ends. `nil` if callers must check `masterIsGone` at every `pollInterval`.
    private let exitDescriptor: Descriptor?
    private let interval: Duration

    /// Starts the watch. Check `masterIsGone` once afterwards: it finds a master that died before the watch began.
    /// - Parameter isPolling: whether no descriptor reports exits on this system.
    init(masterPID: Int32, isPolling: Bool, interval: Duration) {
        self.masterPID = masterPID
        self.interval = interval
        // After an error (the master is gone, or this process may not open a pidfd) polling finds out.
        exitDescriptor = isPolling ? nil : try? ExitWatch.open(masterPID)
    }

    /// The number to poll, or -1.
    var descriptor: CInt { Descriptor.number(of: exitDescriptor) }

    /// How often to check `masterIsGone`. `nil` if the descriptor reports the death.
    var pollInterval: Duration? { descriptor == -1 ? interval : nil }

    /// Whether the master is gone. The kernel gives an abandoned child a new parent at once, process 1 or a subreaper
    /// with any number.
    var masterIsGone: Bool { System.parentPID != masterPID }
}
