// What this system offers, found out once.
import PreforkLibc

extension Prefork {
    /// How this system lets us learn of exits and close descriptors; found out by trying, once a run.
    public struct Mechanisms: Sendable, Hashable, CustomStringConvertible {
        /// How the master learns that a child has exited, and how a child learns that the master has.
        public enum ExitNotice: String, Sendable {
            /// pidfd_open(2): no polling, no signal.
            case pidfd
            /// kqueue(2) with NOTE_EXIT.
            case kqueue
            /// The master handles SIGCHLD; children compare getppid(2) at intervals.
            case signalAndPolling = "SIGCHLD and ppid polling"
        }

        /// How a child is kept from inheriting what is not meant for it.
        public enum DescriptorClosing: String, Sendable {
            /// posix_spawn_file_actions_addclosefrom_np(3).
            case closefrom
            /// POSIX_SPAWN_CLOEXEC_DEFAULT.
            case cloexecDefault = "POSIX_SPAWN_CLOEXEC_DEFAULT"
            /// One close action for each descriptor that the system lists in /proc/self/fd or /dev/fd, or that is open among all
            /// numbers where there is neither. A descriptor that another thread opens at the same moment without close-on-exec is not among them.
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
    /// Tries each on this process itself. A pidfd must be opened and signalled through: seccomp profiles of container
    /// engines have denied the one or the other with EPERM, which is as good as not there.
    static func probe() -> Prefork.Mechanisms {
        Prefork.Mechanisms(exitNotice: probeExitNotice(), descriptorClosing: probeDescriptorClosing())
    }

    #if canImport(Darwin)
        static func probeExitNotice() -> ExitNotice { .kqueue }
        private static func probeDescriptorClosing() -> DescriptorClosing { .cloexecDefault }
    #else
        static func probeExitNotice() -> ExitNotice {
            do {
                let descriptor = Descriptor(try HiddenSymbols.pidfdOpen(System.pid))
                try HiddenSymbols.pidfdSendSignal(descriptor.raw, Signal(number: 0))
                return .pidfd
            } catch {
                return .signalAndPolling
            }
        }

        private static func probeDescriptorClosing() -> DescriptorClosing {
            HiddenSymbols.hasCloseFrom ? .closefrom : .enumeration
        }
    #endif
}
