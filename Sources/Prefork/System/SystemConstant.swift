// Constants that have another type in each C library, or are missing in some.
import PreforkLibc

#if canImport(Musl)
    enum SystemConstant {
        static let stream = SOCK_STREAM
        static let datagram = SOCK_DGRAM
        /// Set by socket(2) and socketpair(2) themselves, so that a spawn in another thread cannot inherit the new
        /// descriptor.
        static let closeOnExecNonBlocking = SOCK_CLOEXEC | SOCK_NONBLOCK
        /// No waiting, no SIGPIPE.
        static let withoutWaitingOrSignal = MSG_NOSIGNAL | MSG_DONTWAIT
        /// No waiting. Received descriptors are close-on-exec from the start (MSG_CMSG_CLOEXEC).
        static let receiveDescriptors = MSG_DONTWAIT | 0x4000_0000
        static let tcp = IPPROTO_TCP
        static let ipv6 = IPPROTO_IPV6
        static let openFiles = RLIMIT_NOFILE
        static let cancellationDisabled: CInt = 1  // PTHREAD_CANCEL_DISABLE
    }
#elseif canImport(Glibc)
    enum SystemConstant {
        static let stream = CInt(SOCK_STREAM.rawValue)
        static let datagram = CInt(SOCK_DGRAM.rawValue)
        /// Set by socket(2) and socketpair(2) themselves, so that a spawn in another thread cannot inherit the new
        /// descriptor.
        static let closeOnExecNonBlocking = CInt(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        /// No waiting, no SIGPIPE.
        static let withoutWaitingOrSignal = CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT)
        /// No waiting. Received descriptors are close-on-exec from the start (MSG_CMSG_CLOEXEC).
        static let receiveDescriptors = CInt(MSG_DONTWAIT) | 0x4000_0000
        static let tcp = CInt(IPPROTO_TCP)
        static let ipv6 = CInt(IPPROTO_IPV6)
        static let openFiles = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        static let cancellationDisabled: CInt = 1  // PTHREAD_CANCEL_DISABLE
    }
#elseif canImport(Darwin)
    enum SystemConstant {
        static let stream = SOCK_STREAM
        static let datagram = SOCK_DGRAM
        /// Darwin has no such flags. `Channel` and `DarwinListener` set both afterwards, and our own spawns inherit
        /// only what is named (POSIX_SPAWN_CLOEXEC_DEFAULT).
        static let closeOnExecNonBlocking: CInt = 0
        /// No waiting. SO_NOSIGPIPE turns SIGPIPE off.
        static let withoutWaitingOrSignal = MSG_DONTWAIT
        /// No waiting.
        static let receiveDescriptors = MSG_DONTWAIT
        static let tcp = IPPROTO_TCP
        static let ipv6 = IPPROTO_IPV6
        static let openFiles = RLIMIT_NOFILE
        static let cancellationDisabled = PTHREAD_CANCEL_DISABLE
    }
#endif
