// The end of one process: noticing it, causing it by a signal, and taking its status.
import PreforkLibc

enum ExitWatch {
    /// How a descriptor reports the end of a process.
    enum Mechanism {
        /// pidfd_open(2).
        case pidfd
        /// kqueue(2) with NOTE_EXIT.
        case kqueue
    }

    #if canImport(Darwin)
        static func probe() -> Mechanism? { .kqueue }

        /// A descriptor that becomes readable when the process ends: a kqueue(2) with EVFILT_PROC and NOTE_EXIT.
        /// - Throws: ESRCH if the process has ended already, reaped or not. Callers then look at it themselves. The
        ///   child channel's hang-up wakes the master to do so.
        static func open(_ pid: Int32) throws(SystemError) -> Descriptor {
            let queue = try System.own(try System.call("kqueue") { kqueue() })
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

        /// Sends a signal to a child that has not been reaped.
        static func signal(_ pid: Int32, watch: borrowing Descriptor?, _ signal: Signal) throws(SystemError) {
            _ = try System.call("kill", "\(pid)") { kill(pid, signal.number) }
        }
    #else
        /// Opens a pidfd for this process and sends signal 0 through it: seccomp profiles of container engines have
        /// denied either call with EPERM.
        /// - Returns: `nil` if exits cannot be watched here.
        static func probe() -> Mechanism? {
            do throws(SystemError) {
                let descriptor = try System.own(try HiddenSymbols.pidfdOpen(System.pid))
                try HiddenSymbols.pidfdSendSignal(descriptor.raw, Signal(number: 0))
                return .pidfd
            } catch {
                return nil
            }
        }

        /// A descriptor that becomes readable when the process ends: pidfd_open(2).
        static func open(_ pid: Int32) throws(SystemError) -> Descriptor {
            try System.own(try HiddenSymbols.pidfdOpen(pid))
        }

        /// Sends a signal to a child that this process has not reaped. It uses the pidfd if there is one. If other code
        /// has reaped the child, its number may belong to another process, which kill(2) would hit.
        static func signal(_ pid: Int32, watch: borrowing Descriptor?, _ signal: Signal) throws(SystemError) {
            switch watch {
            case .some(let descriptor): try HiddenSymbols.pidfdSendSignal(descriptor.raw, signal)
            case .none: _ = try System.call("kill", "\(pid)") { kill(pid, signal.number) }
            }
        }
    #endif

    /// Reaps this child if it has ended. It never waits for "any child", because that would take the status of
    /// processes that other code in this program has started (waitpid(2)).
    /// - Returns: `nil` while it lives. The processor time includes that of its own reaped children (wait4(2)).
    static func reap(_ pid: Int32) -> (status: WaitStatus, processorTime: Duration?)? {
        var status: CInt = 0
        var usage = rusage()
        do {
            let reaped = try System.call("wait4") { wait4(pid, &status, WNOHANG, &usage) }
            return reaped == 0 ? nil : (WaitStatus(rawStatus: status), usage.processorTime)
        } catch {
            return (.lost, nil)  // ECHILD: it is no longer a child of this process.
        }
    }

    /// A child of this process that has ended and has not been reaped, also one that the program started by itself
    /// (waitid(2), WNOWAIT). Its status can still be taken.
    static func anyEnded() -> Int32? {
        var information = siginfo_t()
        let result = try? System.call("waitid") { waitid(P_ALL, 0, &information, CInt(WEXITED | WNOHANG | WNOWAIT)) }
        return result == 0 ? information.endedChild : nil
    }

    /// Whether this process has such a child, living or not, that has not been reaped. Takes no status (waitid(2),
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

extension rusage {
    fileprivate var processorTime: Duration {
        .seconds(Int64(ru_utime.tv_sec) + Int64(ru_stime.tv_sec))
            + .microseconds(Int64(ru_utime.tv_usec) + Int64(ru_stime.tv_usec))
    }
}
