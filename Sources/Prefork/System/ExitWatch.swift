// A descriptor that becomes readable when one process ends: the same for a child's exit and for the master's.
import PreforkLibc

/// How a child ended, as waitpid(2) tells.
enum WaitStatus: Hashable, Sendable {
    case exited(CInt)
    case signaled(CInt, coreDumped: Bool)
    /// Somebody else in this process has waited for our child: it is gone, its status is lost.
    case lost

    /// The encoding of WIFEXITED and its relatives, which Swift does not import; it is the same on Linux and Darwin.
    init(rawStatus: CInt) {
        let signal = rawStatus & 0x7f
        self = signal == 0 ? .exited((rawStatus >> 8) & 0xff) : .signaled(signal, coreDumped: rawStatus & 0x80 != 0)
    }
}

enum ExitWatch {
    #if canImport(Darwin)
        /// kqueue(2), EVFILT_PROC with NOTE_EXIT. The queue's descriptor is itself readable when the event is there.
        /// A process that has ended already, reaped or not, is ESRCH: whoever cannot watch it looks at it by itself, and the
        /// child channel's hang-up wakes the master for that.
        static func open(_ pid: Int32, mechanism: Prefork.Mechanisms.ExitNotice) throws(SystemError)
            -> Descriptor?
        {
            guard mechanism == .kqueue else { return nil }
            let queue = Descriptor(try System.call("kqueue") { kqueue() })
            try System.setCloseOnExec(queue.raw)
            var change = kevent(
                ident: UInt(pid),
                filter: Int16(EVFILT_PROC),
                flags: UInt16(EV_ADD | EV_ONESHOT),
                fflags: UInt32(NOTE_EXIT),
                data: 0,
                udata: nil
            )
            let raw = queue.raw
            _ = try System.call("kevent", "\(pid)") { kevent(raw, &change, 1, nil, 0, nil) }
            return queue
        }

        /// Sends a signal to a child that nobody has reaped yet.
        static func signal(_ pid: Int32, watch: borrowing Descriptor?, _ signal: Signal) throws(SystemError) {
            _ = try System.call("kill", "\(pid)") { kill(pid, signal.number) }
        }
    #else
        /// pidfd_open(2); nil where the mechanism is another.
        static func open(_ pid: Int32, mechanism: Prefork.Mechanisms.ExitNotice) throws(SystemError)
            -> Descriptor?
        {
            guard mechanism == .pidfd else { return nil }
            return Descriptor(try HiddenSymbols.pidfdOpen(pid))
        }

        /// Sends a signal to a child that we have not reaped yet. Through the pidfd where there is one: should somebody
        /// else have reaped the child, the number may be a stranger's by now and kill(2) would hit it.
        static func signal(_ pid: Int32, watch: borrowing Descriptor?, _ signal: Signal) throws(SystemError) {
            switch watch {
            case .some(let descriptor): try HiddenSymbols.pidfdSendSignal(descriptor.raw, signal)
            case .none: _ = try System.call("kill", "\(pid)") { kill(pid, signal.number) }
            }
        }
    #endif

    /// Reaps this one child if it has ended; nil while it lives. Never for "any child": that would take the status of
    /// processes that other code in this program has started (waitpid(2)).
    static func reap(_ pid: Int32) -> WaitStatus? {
        var status: CInt = 0
        do {
            return try System.call("waitpid") { waitpid(pid, &status, WNOHANG) } == 0
                ? nil : WaitStatus(rawStatus: status)
        } catch {
            return .lost  // ECHILD: no child of ours by that number (any more).
        }
    }

    /// Whether that is a child of this process that nobody has reaped, living or not; takes nothing away (waitid(2),
    /// WNOWAIT).
    static func isChild(_ pid: Int32) -> Bool {
        guard pid > 0 else { return false }
        var information = siginfo_t()
        let result = try? System.call("waitid") {
            waitid(P_PID, id_t(pid), &information, CInt(WEXITED | WNOHANG | WNOWAIT))
        }
        return result == 0
    }
}
