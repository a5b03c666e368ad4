// Clients in threads, which send one request after another, each on a connection of its own.
#if os(Linux)
    import PreforkLibc
    import Synchronization
    @testable import Prefork

    final class Load: Sendable {
        struct Count: CustomStringConvertible {
            var answered = 0
            var refused = 0
            var cut = 0
            var timedOut = 0
            var description: String { "answered \(answered), refused \(refused), cut \(cut), timed out \(timedOut)" }
        }

        // These are atomics, because the thread sanitizer reports races for Synchronization.Mutex.
        private let answers = Atomic<Int>(0)
        private let refusals = Atomic<Int>(0)
        private let cuts = Atomic<Int>(0)
        private let timeouts = Atomic<Int>(0)
        private let cutters = LockedValueBox<[pid_t]>([])
        private let isOver = Atomic<Bool>(false)
        // The initializer writes this and `stop` reads it, both in the test's thread.
        private nonisolated(unsafe) var threads: [pthread_t] = []

        init(port: Int, clients: Int, asksForChild: Bool = false) {
            for _ in 0..<clients {
                let body = Unmanaged.passRetained(Body { [self] in run(port, asksForChild) })
                var thread = pthread_t()
                pthread_create(
                    &thread,
                    nil,
                    { box in
                        if let box { Unmanaged<Body>.fromOpaque(box).takeRetainedValue().run() }
                        return nil
                    },
                    body.toOpaque()
                )
                threads.append(thread)
            }
        }

        private final class Body: Sendable {
            let run: @Sendable () -> Void
            init(_ run: @escaping @Sendable () -> Void) { self.run = run }
        }

        private func run(_ port: Int, _ asksForChild: Bool) {
            while !isOver.load(ordering: .relaxed) {
                let (reply, server) = request(port, asksForChild)
                switch reply {
                case .answer: answers.wrappingAdd(1, ordering: .relaxed)
                case .refused: refusals.wrappingAdd(1, ordering: .relaxed)
                case .cut:
                    cuts.wrappingAdd(1, ordering: .relaxed)
                    if let server { cutters.withLock { $0.append(server) } }
                case .timedOut: timeouts.wrappingAdd(1, ordering: .relaxed)
                }
                if reply == .refused { poll(nil, 0, 1) }
            }
        }

        /// One request on a connection of its own, and the child that has it, if that is known.
        private func request(_ port: Int, _ asksForChild: Bool) -> (Reply, pid_t?) {
            guard let connection = Connection.open(port: port) else { return (.refused, nil) }
            var server: pid_t?
            if asksForChild {
                let reply = connection.request("/pid", keepAlive: true)
                guard let pid = reply.pid else { return (reply, nil) }
                server = pid
            }
            return (connection.request("/"), server)
        }

        /// The children whose requests were cut.
        var cutBy: [pid_t] { cutters.withLock { $0 } }

        var answered: Int { answers.load(ordering: .relaxed) }

        /// Ends the clients after their current request.
        func stop() -> Count {
            isOver.store(true, ordering: .relaxed)
            for thread in threads { pthread_join(thread, nil) }
            threads = []
            return Count(
                answered: answered, refused: refusals.load(ordering: .relaxed), cut: cuts.load(ordering: .relaxed),
                timedOut: timeouts.load(ordering: .relaxed))
        }
    }
#endif
