// Many descriptors that count as one.
import PreforkLibc

/// Descriptors that one descriptor stands for: it is readable while any of them is readable or has hung up. A look
/// costs as much as it finds, however many there are: epoll(7), or kqueue(2) on Darwin.
///
/// Remove a descriptor before it is closed. If another process has a copy of it, it would be reported for ever.
struct EventQueue: ~Copyable {
    /// What a descriptor reports about which process.
    typealias Token = PollSet.Token

    /// The most that one look reports. What is left comes first in the next one.
    private static let capacity = 256

    private let queue: Descriptor
    private let events: UnsafeMutableBufferPointer<Event>

    /// The descriptor to poll.
    var raw: CInt { queue.raw }

    init() throws(SystemError) {
        queue = try Self.open()
        events = .allocate(capacity: Self.capacity)
    }

    deinit { events.deallocate() }

    /// - Parameter token: one of `exit` and `channel`.
    func add(_ descriptor: CInt, _ token: Token) throws(SystemError) {
        try change(descriptor, isAdded: true, code(token))
    }

    /// Does nothing if the descriptor was not added.
    func remove(_ descriptor: CInt) { try? change(descriptor, isAdded: false, 0) }

    /// What is readable or has hung up now. Does not wait.
    func ready() throws(SystemError) -> [Token] {
        let count = try look() ?? 0
        return events.prefix(count).map { token($0.code) }
    }

    private func code(_ token: Token) -> UInt64 {
        switch token {
        case .exit(let pid): 1 << 32 | UInt64(UInt32(bitPattern: pid))
        case .channel(let pid): 2 << 32 | UInt64(UInt32(bitPattern: pid))
        case .wake, .children, .control, .client: 0
        }
    }

    private func token(_ code: UInt64) -> Token {
        let pid = Int32(truncatingIfNeeded: code)
        return switch code >> 32 {
        case 1: .exit(pid: pid)
        case 2: .channel(pid: pid)
        default: .wake
        }
    }
}

#if canImport(Darwin)
    extension EventQueue {
        fileprivate typealias Event = kevent

        private static func open() throws(SystemError) -> Descriptor {
            let queue = try System.own(try System.call("kqueue") { kqueue() })
            try System.setCloseOnExec(queue.raw)
            return queue
        }

        private func change(_ descriptor: CInt, isAdded: Bool, _ code: UInt64) throws(SystemError) {
            var change = kevent(
                ident: UInt(descriptor),
                filter: Int16(EVFILT_READ),
                flags: UInt16(isAdded ? EV_ADD : EV_DELETE),
                fflags: 0,
                data: 0,
                udata: UnsafeMutableRawPointer(bitPattern: UInt(code))
            )
            _ = try System.call("kevent", "\(descriptor)") { kevent(raw, &change, 1, nil, 0, nil) }
        }

        private func look() throws(SystemError) -> Int? {
            var atOnce = timespec()
            return try System.callOnce("kevent") {
                kevent(raw, nil, 0, events.baseAddress, CInt(events.count), &atOnce)
            }
            .map { Int($0) }
        }
    }

    extension kevent {
        fileprivate var code: UInt64 { UInt64(UInt(bitPattern: udata)) }
    }
#else
    extension EventQueue {
        /// struct epoll_event: 32 bits of events, and 64 bits that the program chooses. It is packed on x86-64.
        fileprivate struct Event {
            #if arch(x86_64)
                private var words: (UInt32, UInt32, UInt32)

                init(_ events: UInt32, _ code: UInt64) {
                    words = (events, UInt32(truncatingIfNeeded: code), UInt32(truncatingIfNeeded: code >> 32))
                }

                var code: UInt64 { UInt64(words.2) << 32 | UInt64(words.1) }
            #else
                private var events: UInt32
                let code: UInt64

                init(_ events: UInt32, _ code: UInt64) { (self.events, self.code) = (events, code) }
            #endif
        }

        private static let added: CInt = 1  // EPOLL_CTL_ADD
        private static let removed: CInt = 2  // EPOLL_CTL_DEL
        private static let input: UInt32 = 0x1  // EPOLLIN

        private static func open() throws(SystemError) -> Descriptor {
            try System.own(try System.call("epoll_create1") { epollCreate(O_CLOEXEC) })
        }

        private func change(_ descriptor: CInt, isAdded: Bool, _ code: UInt64) throws(SystemError) {
            var event = Event(Self.input, code)
            _ = try System.call("epoll_ctl", "\(descriptor)") {
                epollControl(raw, isAdded ? Self.added : Self.removed, descriptor, &event)
            }
        }

        private func look() throws(SystemError) -> Int? {
            try System.callOnce("epoll_wait") { epollWait(raw, events.baseAddress, CInt(events.count), 0) }
                .map { Int($0) }
        }
    }

    // glibc declares these only with _GNU_SOURCE, which Swift's Glibc module does not define.
    @_silgen_name("epoll_create1")
    private func epollCreate(_ flags: CInt) -> CInt
    @_silgen_name("epoll_ctl")
    private func epollControl(_ queue: CInt, _ operation: CInt, _ number: CInt, _ event: UnsafeMutableRawPointer?)
        -> CInt
    @_silgen_name("epoll_wait")
    private func epollWait(_ queue: CInt, _ events: UnsafeMutableRawPointer?, _ count: CInt, _ timeout: CInt) -> CInt
#endif
