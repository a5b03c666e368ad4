#if !canImport(Darwin)
    import PreforkLibc

    /// epoll(7), level-triggered.
    struct EventQueue: ~Copyable {
        private static let capacity = 256
        // struct epoll_event has 32 bits of events and 64 bits that the program chooses. It is packed on x86-64.
        #if arch(x86_64)
            private static let size = 12
            private static let dataOffset = 4
        #else
            private static let size = 16
            private static let dataOffset = 8
        #endif

        private let epoll: CInt
        private let events = UnsafeMutableRawPointer.allocate(byteCount: capacity * size, alignment: 8)

        init() throws(SystemFailure) {
            epoll = epollCreate(O_CLOEXEC)
            if epoll == -1 { throw SystemFailure("epoll_create1") }
        }

        deinit {
            Posix.close(epoll)
            events.deallocate()
        }

        func change(_ descriptor: CInt, from before: Interest, to interest: Interest) -> Bool {
            let (add, delete, modify): (CInt, CInt, CInt) = (1, 2, 3)
            let (input, space, exclusive): (UInt32, UInt32, UInt32) = (0x1, 0x4, 1 << 28)
            let operation = before == .nothing ? add : interest == .nothing ? delete : modify
            switch interest {
            case .nothing: return control(operation, descriptor, 0)
            case .input: return control(operation, descriptor, input)
            case .space: return control(operation, descriptor, space)
            case .connections:
                // Exclusive: a new connection wakes one of the processes that wait, not all of them.
                if control(operation, descriptor, input | exclusive) { return true }
                return errno == EINVAL && control(operation, descriptor, input)
            }
        }

        private func control(_ operation: CInt, _ descriptor: CInt, _ flags: UInt32) -> Bool {
            withUnsafeTemporaryAllocation(byteCount: Self.size, alignment: 8) { event in
                event.storeBytes(of: flags, as: UInt32.self)
                event.storeBytes(of: UInt64(descriptor), toByteOffset: Self.dataOffset, as: UInt64.self)
                return epollControl(epoll, operation, descriptor, event.baseAddress) == 0
            }
        }

        /// - Parameter milliseconds: -1 waits without a limit.
        /// - Returns: 0 if a signal ends the wait, too.
        func wait(milliseconds: CInt) -> Int {
            max(0, Int(epollWait(epoll, events, CInt(Self.capacity), milliseconds)))
        }

        subscript(index: Int) -> CInt {
            let offset = index * Self.size + Self.dataOffset
            return CInt(truncatingIfNeeded: events.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
    }

    // glibc declares these only with _GNU_SOURCE, which Swift's Glibc module does not define.
    @_silgen_name("epoll_create1")
    private func epollCreate(_ flags: CInt) -> CInt
    @_silgen_name("epoll_ctl")
    private func epollControl(
        _ epoll: CInt,
        _ operation: CInt,
        _ descriptor: CInt,
        _ event: UnsafeMutableRawPointer?
    ) -> CInt
    @_silgen_name("epoll_wait")
    private func epollWait(
        _ epoll: CInt,
        _ events: UnsafeMutableRawPointer,
        _ capacity: CInt,
        _ milliseconds: CInt
    ) -> CInt
#endif
