extension Prefork {
    /// How this run learns of exits and closes descriptors. Probed once for each run.
    public struct Mechanisms: Sendable, Hashable, CustomStringConvertible {
        /// How the master notices that a child exited, and how a child notices that its master did.
        ///
        /// A structure with static members, so that a later version can add one. ``Event`` says why that breaks no
        /// program.
        public struct ExitNotice: Sendable, Hashable, CustomStringConvertible {
            /// The name of the mechanism, for example `pidfd`.
            public let description: String

            private init(_ name: String) { description = name }

            /// pidfd_open(2). It needs no polling and no signal.
            public static var pidfd: ExitNotice { ExitNotice("pidfd") }
            /// kqueue(2) with NOTE_EXIT.
            public static var kqueue: ExitNotice { ExitNotice("kqueue") }
            /// The master handles SIGCHLD. Children compare getppid(2) at intervals.
            public static var signalAndPolling: ExitNotice { ExitNotice("SIGCHLD and ppid polling") }
        }

        /// How the master keeps a child from inheriting other descriptors.
        ///
        /// A structure with static members, so that a later version can add one. ``Event`` says why that breaks no
        /// program.
        public struct DescriptorClosing: Sendable, Hashable, CustomStringConvertible {
            /// The name of the mechanism, for example `closefrom`.
            public let description: String

            private init(_ name: String) { description = name }

            /// posix_spawn_file_actions_addclosefrom_np(3).
            public static var closefrom: DescriptorClosing { DescriptorClosing("closefrom") }
            /// POSIX_SPAWN_CLOEXEC_DEFAULT.
            public static var cloexecDefault: DescriptorClosing { DescriptorClosing("POSIX_SPAWN_CLOEXEC_DEFAULT") }
            /// One close action for each open descriptor.
            ///
            /// The list comes from /proc/self/fd or /dev/fd, or from trying all numbers if neither exists. It misses a
            /// descriptor that another thread opens at the same moment without close-on-exec.
            public static var enumeration: DescriptorClosing { DescriptorClosing("enumeration") }
        }

        /// How exits are noticed.
        public var exitNotice: ExitNotice
        /// How descriptors are closed.
        public var descriptorClosing: DescriptorClosing

        /// For example `pidfd to watch children, closefrom to close descriptors`.
        public var description: String {
            "\(exitNotice) to watch children, \(descriptorClosing) to close descriptors"
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
