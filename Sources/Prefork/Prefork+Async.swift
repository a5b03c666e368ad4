extension Prefork {
    /// Runs the fleet in the master, and serves in a child with an async `serve`.
    ///
    /// It behaves like the blocking form. The master runs the fleet, its hooks and its observer on a separate thread,
    /// and not in the cooperative pool. That thread has ended when this returns. Cancelling the task begins an orderly
    /// stop.
    public func run(serve: @escaping @Sendable (Child) async throws -> Void) async throws {
        try await run(isLast: false, beforeReturn: { _ in }, serve: serve)
    }

    func run(
        isLast: Bool, beforeReturn: @escaping BeforeReturn, serve: @escaping @Sendable (Child) async throws -> Void
    ) async throws {
        try handle.claim()
        defer { handle.release() }
        guard let handshake = try Self.handshake() else { return try await runMaster(isLast, beforeReturn) }
        guard let serving = try ChildRun.begin(handshake, configuration, isLast: isLast, usesPool: true) else {
            return
        }
        let child = serving.child
        let task = Task { try await serve(child) }
        child.setCancel { task.cancel() }
        var result = await withTaskCancellationHandler {
            await task.result
        } onCancel: {
            task.cancel()
        }
        // A cancellation by the drain is not a failure of the child.
        if case .failure(is CancellationError) = result, child.isCancelled { result = .success(()) }
        await serving.waitForCallbacks()
        beforeReturn(result)
        serving.end()
        try result.get()
    }

    private func runMaster(_ isLast: Bool, _ beforeReturn: @escaping BeforeReturn) async throws {
        let turn = try Succession.turn(isLast: isLast)
        if case .over = turn { return }
        let outcome = LockedValueBox<Result<Void, any Error>>(.success(()))
        let token = RunToken()
        do {
            try await withTaskCancellationHandler {
                try await withThread {
                    let result = Result {
                        try MasterStartup.run(self, turn, token: token, isLast: isLast, beforeReturn: beforeReturn)
                    }
                    outcome.withLock { $0 = result }
                }
            } onCancel: {
                handle.cancel(token)
            }
        } catch {
            outcome.withLock { $0 = .failure(error) }
        }
        try EarlierRuns.recording { try outcome.withLock { $0 }.get() }
    }

    /// Runs `body` on a new thread and waits for the end of that thread without blocking a thread of the pool.
    private func withThread(_ body: @escaping @Sendable () -> Void) async throws {
        let thread = ThreadBox()
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            do throws(SystemError) {
                try thread.start {
                    body()
                    continuation.resume()
                }
            } catch {
                continuation.resume(throwing: PreforkError.system(error))
            }
        }
        thread.join()
    }
}

/// Carries a thread over a suspension point. A noncopyable value cannot cross one in a closure.
private final class ThreadBox: Sendable {
    private let thread = LockedValueBox<Thread?>(nil)

    /// The lock is held while the thread starts, so that `join` finds the thread even if `body` resumes the caller
    /// first.
    func start(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        try thread.withLock { thread throws(SystemError) in thread = try Thread(body) }
    }

    func join() {
        let thread = thread.withLock { $0.take() }
        switch consume thread {
        case .some(let thread): thread.join()
        case .none: break
        }
    }
}
