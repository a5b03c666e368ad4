// Clients of the chaos test, which open a new connection for each request, all the time.
#if os(Linux)
    import PreforkLibc
    import Synchronization
    @testable import Prefork

    final class ChaosLoad: Sendable {
        struct Sample {
            let slot: Int
            let start: Instant
            let end: Instant
            var latency: Duration { end - start }
        }

        struct Result {
            var samples: [Sample] = []
            /// ECONNREFUSED, or another error of connect(2).
            var refused = 0
            /// The children that had accepted the connections without an answer, or 0 if none has noted it.
            var failed: [pid_t] = []
        }

        private let map: ChaosMap
        private let name: SocketAddress
        private let results = LockedValueBox<[Result]>([])
        private let isOver = Atomic<Bool>(false)
        // `start` writes this and `stop` reads it, both in the test's thread.
        private nonisolated(unsafe) var threads: [pthread_t] = []

        init(port: Int, map: ChaosMap) {
            self.map = map
            var name = SocketAddress.loopback(family: AF_INET)
            name.port = UInt16(port)
            self.name = name
        }

        func start(clients: Int) {
            for _ in 0..<clients {
                var thread = pthread_t()
                pthread_create(
                    &thread, nil,
                    { box in
                        if let box { Unmanaged<ChaosLoad>.fromOpaque(box).takeRetainedValue().run() }
                        return nil
                    },
                    Unmanaged.passRetained(self).toOpaque())
                threads.append(thread)
            }
        }

        func stop() -> Result {
            isOver.store(true, ordering: .relaxed)
            for thread in threads { pthread_join(thread, nil) }
            threads = []
            return results.withLock { results in
                results.reduce(into: Result()) { sum, one in
                    sum.samples += one.samples
                    sum.refused += one.refused
                    sum.failed += one.failed
                }
            }
        }

        private func run() {
            var result = Result()
            while !isOver.load(ordering: .relaxed) {
                let start = System.now()
                switch request(".") {
                case .answered(let slot): result.samples.append(Sample(slot: slot, start: start, end: System.now()))
                case .failed(let by): result.failed.append(by)
                case .refused: result.refused += 1
                }
            }
            results.withLock { $0.append(result) }
        }

        enum Outcome {
            case answered(slot: Int)
            case failed(by: pid_t)
            case refused
        }

        /// One request of one byte.
        func request(_ text: String) -> Outcome {
            let raw = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            guard raw >= 0 else { return .refused }
            defer { close(raw) }
            var limit = timeval(tv_sec: 30, tv_usec: 0)
            setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            do { try name.connect(raw) } catch { return .refused }
            guard let port = try? SocketAddress(of: raw).port else { return .refused }
            // Reset while the port cannot be the next connection's.
            defer { map[port: port] = 0 }
            guard send(raw, text, 1, CInt(MSG_NOSIGNAL)) == 1 else { return .failed(by: map[port: port]) }
            var buffer = [UInt8](repeating: 0, count: 32)
            let count = recv(raw, &buffer, buffer.count, 0)
            let answer = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
            guard answer.hasSuffix("\n"), let slot = Int(answer.dropFirst(5).dropLast()) else {
                return .failed(by: map[port: port])
            }
            return .answered(slot: slot)
        }
    }
#endif
