// Clients in threads, each with one request after another on connections of their own.
#if os(Linux)
    #if canImport(Musl)
        import Musl
    #else
        import Glibc
    #endif
    import Synchronization

    final class Load: Sendable {
        struct Count: CustomStringConvertible {
            var answered = 0
            var refused = 0
            var cut = 0
            var timedOut = 0
            var description: String { "answered \(answered), refused \(refused), cut \(cut), timed out \(timedOut)" }
        }

        // Atomics, not Synchronization.Mutex, which the thread sanitizer takes for a race.
        private let answers = Atomic<Int>(0)
        private let refusals = Atomic<Int>(0)
        private let cuts = Atomic<Int>(0)
        private let timeouts = Atomic<Int>(0)
        private let isOver = Atomic<Bool>(false)
        // Written by the initialiser, read by `stop`, both in the test's thread.
        private nonisolated(unsafe) var threads: [pthread_t] = []

        init(port: Int, path: String = "/", clients: Int) {
            for _ in 0..<clients {
                let body = Unmanaged.passRetained(Body { [self] in run(port, path) })
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

        private func run(_ port: Int, _ path: String) {
            while !isOver.load(ordering: .relaxed) {
                let reply = get(path, port: port)
                switch reply {
                case .answer: answers.wrappingAdd(1, ordering: .relaxed)
                case .refused: refusals.wrappingAdd(1, ordering: .relaxed)
                case .cut: cuts.wrappingAdd(1, ordering: .relaxed)
                case .timedOut: timeouts.wrappingAdd(1, ordering: .relaxed)
                }
                if reply == .refused { poll(nil, 0, 1) }
            }
        }

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
