extension Prefork {
    /// How this system reports exits and closes descriptors. Probed once a run.
    public struct Mechanisms: Sendable, Hashable, CustomStringConvertible {
        /// How the master notices that a child has exited, and how a child notices that its master has.
        public enum ExitNotice: String, Sendable {
            /// pidfd_open(2): no polling, no signal.
            case pidfd
            /// kqueue(2) with NOTE_EXIT.
            case kqueue
            /// The master handles SIGCHLD. Children compare getppid(2) at intervals.
            case signalAndPolling = "SIGCHLD and ppid polling"
        }

        /// How a child is kept from inheriting descriptors that are not meant for it.
        public enum DescriptorClosing: String, Sendable {
            /// posix_spawn_file_actions_addclosefrom_np(3).
            case closefrom
            /// POSIX_SPAWN_CLOEXEC_DEFAULT.
            case cloexecDefault = "POSIX_SPAWN_CLOEXEC_DEFAULT"
            /// One close action for each open descriptor. The list comes from /proc/self/fd or /dev/fd, or from trying
            /// all numbers if neither exists. It misses a descriptor that another thread opens at the same moment
            /// without close-on-exec.
            case enumeration
        }

        /// How exits are noticed.
        public var exitNotice: ExitNotice
        /// How descriptors are closed.
        public var descriptorClosing: DescriptorClosing

        /// For example `pidfd to watch children, closefrom to close descriptors`.
        public var description: String {
            "\(exitNotice.rawValue) to watch children, \(descriptorClosing.rawValue) to close descriptors"
        }

        init(exitNotice: ExitNotice, descriptorClosing: DescriptorClosing) {
            self.exitNotice = exitNotice
            self.descriptorClosing = descriptorClosing
        }
    }
}

extension Prefork.Mechanisms {
    static func probe() -> Prefork.Mechanisms {
        let closing: DescriptorClosing =
            switch FileActions.probe() {
            case .closefrom: .closefrom
            case .cloexecDefault: .cloexecDefault
            case .enumeration: .enumeration
            }
        return Prefork.Mechanisms(exitNotice: probeExitNotice(), descriptorClosing: closing)
    }

    static func probeExitNotice() -> ExitNotice {
        switch ExitWatch.probe() {
        case .pidfd: .pidfd
        case .kqueue: .kqueue
        case nil: .signalAndPolling
        }
    }
}

extension Prefork.Mechanisms.ExitNotice {
    /// A descriptor that becomes readable when the process ends. `nil` if exits are noticed by SIGCHLD and polling.
    func watch(_ pid: Int32) throws(SystemError) -> Descriptor? {
        if self == .signalAndPolling { return nil }
        return try ExitWatch.open(pid)
    }
}
