// The master's death, as a child sees it: pidfd (kqueue on Darwin); comparing ppid at intervals where there is none.
import PreforkLibc

/// Watches one parent process. PR_SET_PDEATHSIG is no use here: it fires when the *thread* that spawned us ends (prctl(2)).
struct ParentWatcher: ~Copyable {
    /// The announced process id: never the one that getppid(2) says now, which may be a reaper's already.
    let masterPID: Int32
    /// Polled for POLLIN; nil means that somebody has to ask `masterIsGone` every `pollInterval`.
    private let exitDescriptor: Descriptor?
    private let interval: Duration

    /// Arms the watch, whatever has happened to the master before: the caller asks `masterIsGone` once *after* this, so a
    /// master that died earlier is noticed there and one that dies later here.
    init(masterPID: Int32, mechanism: Prefork.Mechanisms.ExitNotice, interval: Duration) {
        self.masterPID = masterPID
        self.interval = interval
        // An error (the master is gone, or no pidfd can be had in this process) leaves the polling, which finds out.
        exitDescriptor = (try? ExitWatch.open(masterPID, mechanism: mechanism)) ?? nil
    }

    /// The number to poll, or -1 where there is none.
    var descriptor: CInt { Descriptor.number(of: exitDescriptor) }

    /// How often to ask; nil where the descriptor tells.
    var pollInterval: Duration? { descriptor == -1 ? interval : nil }

    /// The kernel gives an orphan a new parent at once: pid 1, or a subreaper with any number.
    var masterIsGone: Bool { getppid() != masterPID }
}
