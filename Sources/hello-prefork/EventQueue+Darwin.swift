#if canImport(Darwin)
    import PreforkLibc

    /// kqueue(2).
    struct EventQueue: ~Copyable {
        private static let capacity = 256

        private let queue: CInt
        private let events = UnsafeMutablePointer<kevent>.allocate(capacity: capacity)

        init() throws(SystemFailure) {
            queue = kqueue()
            if queue == -1 { throw SystemFailure("kqueue") }
            _ = fcntl(queue, F_SETFD, FD_CLOEXEC)
        }

        deinit {
            Posix.close(queue)
            events.deallocate()
        }

        func change(_ descriptor: CInt, from before: Interest, to interest: Interest) -> Bool {
            (before == .nothing || apply(EV_DELETE, before, descriptor))
                && (interest == .nothing || apply(EV_ADD, interest, descriptor))
        }

        private func apply(_ flags: CInt, _ interest: Interest, _ descriptor: CInt) -> Bool {
            var change = kevent(
                ident: UInt(descriptor),
                filter: Int16(interest == .space ? EVFILT_WRITE : EVFILT_READ),
                flags: UInt16(flags),
                fflags: 0,
                data: 0,
                udata: nil
            )
            return kevent(queue, &change, 1, nil, 0, nil) == 0
        }

        /// - Parameter milliseconds: -1 waits without a limit.
        /// - Returns: 0 if a signal ends the wait, too.
        func wait(milliseconds: CInt) -> Int {
            var limit = timespec(tv_sec: Int(milliseconds) / 1000, tv_nsec: Int(milliseconds) % 1000 * 1_000_000)
            return max(
                0,
                withUnsafePointer(to: &limit) {
                    Int(kevent(queue, nil, 0, events, CInt(Self.capacity), milliseconds < 0 ? nil : $0))
                }
            )
        }

        subscript(index: Int) -> CInt { CInt(truncatingIfNeeded: events[index].ident) }
    }
#endif
