// Which process sent a signal.
import PreforkLibc

/// The sender of a signal (sigaction(2), `si_pid` and `si_uid`).
package struct SignalSender: Hashable, Sendable {
    let pid: Int32
    let user: UInt32

    init(pid: Int32, user: UInt32) {
        self.pid = pid
        self.user = user
    }

    /// The text for a line of the log. A sender without a number is in another pid namespace (pid_namespaces(7)).
    var origin: String {
        pid == 0 ? " from outside this pid namespace (user \(user))" : " from process \(pid) (user \(user))"
    }

    /// Decodes `siginfo_t.packedSender`. `nil` if the kernel sent the signal.
    init?(packed: UInt64) {
        if packed & siginfo_t.processBit == 0 { return nil }
        pid = Int32(truncatingIfNeeded: (packed & ~siginfo_t.processBit) >> 32)
        user = UInt32(truncatingIfNeeded: packed)
    }

    /// Whether this is the leader of this process's session, and not this process itself. A leader outside of this pid
    /// namespace, and its sender, have no number.
    var leadsOwnSession: Bool { pid != 0 && pid == getsid(0) && pid != System.pid }
}

extension siginfo_t {
    /// The child that waitid(2) has found. `nil` if it has found none.
    var endedChild: Int32? { sender.pid == 0 ? nil : sender.pid }

    #if canImport(Darwin)
        private var sender: (pid: pid_t, user: uid_t) { (si_pid, si_uid) }
    #elseif canImport(Musl)
        private var sender: (pid: pid_t, user: uid_t) {
            (__si_fields.__si_common.__first.__piduid.si_pid, __si_fields.__si_common.__first.__piduid.si_uid)
        }
    #else
        private var sender: (pid: pid_t, user: uid_t) { (_sifields._kill.si_pid, _sifields._kill.si_uid) }
    #endif

    /// Set if a process sent the signal. Its number and user may both be 0. A number has at most 31 bits.
    fileprivate static var processBit: UInt64 { 1 << 63 }

    /// The process in the upper half, the user in the lower one. 0 if the kernel sent the signal, that is, if its code
    /// is above 0. A handler calls this, so it touches nothing but this value.
    var packedSender: UInt64 {
        if si_code > 0 { return 0 }
        let (pid, user) = sender
        return 1 << 63 | UInt64(UInt32(bitPattern: pid)) << 32 | UInt64(user)
    }
}
