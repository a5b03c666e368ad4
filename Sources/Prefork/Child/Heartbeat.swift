import Synchronization

/// The thread of a child that asks its program for signs of life, and sends a beat to the master for each round in
/// which all of its parts have answered.
///
/// It has a thread of its own, because it calls the program's code, which may block. Then no beat is sent, as it should
/// be.
final class Heartbeat: Sendable {
    /// Asks one part of the program to call the closure.
    typealias Ask = @Sendable (_ beat: @escaping @Sendable () -> Void) -> Void

    private struct State: ~Copyable {
        var parts: [Ask] = []
        var round = 0
        /// The parts that have not answered in this round.
        var missing: Set<Int> = []
    }

    private let state = LockedValueBox(State())
    private let isOver = Atomic<Bool>(false)
    private let interval: Duration
    private let send: @Sendable () -> Void

    /// - Parameters:
    ///   - interval: the time between two rounds.
    ///   - send: sends a beat. It never waits.
    init(every interval: Duration, send: @escaping @Sendable () -> Void) {
        self.interval = interval
        self.send = send
    }

    /// Swift's cooperative pool as a part: a task that runs proves that one of its threads is free.
    static let pool: Ask = { beat in Task.detached { beat() } }

    func add(_ part: @escaping Ask) { state.withLock { $0.parts.append(part) } }

    /// Starts the thread. It ends soon after `end`, unless the program's code blocks it. Nothing waits for it.
    func start() throws(SystemError) { try Thread { self.run() }.detach() }

    func end() { isOver.store(true, ordering: .sequentiallyConsistent) }

    private func run() {
        while !isOver.load(ordering: .sequentiallyConsistent) {
            let (round, parts) = beginRound()
            for (index, part) in parts.enumerated() { part { self.answer(index, round) } }
            repeat {
                System.pause(milliseconds: CInt(clamping: interval.clampedNanoseconds / 1_000_000))
            } while !isComplete && !isOver.load(ordering: .sequentiallyConsistent)
            if isComplete { send() }
        }
    }

    private func beginRound() -> (Int, [Ask]) {
        state.withLock { state in
            state.round += 1
            state.missing = Set(state.parts.indices)
            return (state.round, state.parts)
        }
    }

    /// An answer that comes late, in another round, says nothing about this one.
    private func answer(_ part: Int, _ round: Int) {
        state.withLock { state in
            if state.round == round { state.missing.remove(part) }
        }
    }

    private var isComplete: Bool { state.withLock { $0.missing.isEmpty } }
}
