import PreforkLibc

extension Prefork {
    /// A child, as its `serve` closure sees it. Use all members from any thread until `serve` has returned.
    public final class Child: Sendable {
        private struct State: ~Copyable {
            /// A listener that the program has taken is `nil`.
            var listeners: [CInt?]
            var channel: Descriptor?
            var isStopping = false
            var masterIsGone = false
            var callbacks: [@Sendable () -> Void] = []
            /// Whether callbacks are running. They run from the start of the drain until the last one has returned.
            var areCallbacksRunning = false
            var afterCallbacks: [@Sendable () -> Void] = []
            // Not `[:]`, because that makes the runtime search all conformances of all libraries for Int's `Hashable`.
            var waiters = [Int: CheckedContinuation<Void, Never>]()
            var nextWaiter = 0
            var cancelServe: (@Sendable () -> Void)?
            /// Wakes the monitor. `nil` if there is none.
            var requestDrain: (@Sendable () -> Void)?
            var isCancelled = false
            var isOver = false

            init(listeners: Range<CInt>, channel: CInt) {
                self.listeners = listeners.map { $0 }
                self.channel = Descriptor(channel)
            }
        }

        /// The stable place of this child in the fleet, 0..<children. A replacement takes its predecessor's slot.
        public let slot: Int
        /// The number of children that this slot had before.
        public let launch: Int
        /// The build of the program that this child belongs to. It is 1 until the first restart, and each restart adds
        /// 1.
        public let generation: Int
        /// The master's process id.
        public let masterPID: Int32
        /// The addresses of the listeners, in their order, with their names. Ports are resolved.
        public let addresses: [Address]
        /// The value of ``Configuration/tlsIdentity``.
        public let tlsIdentity: TLSIdentity?

        private let state: LockedValueBox<State>
        private let stopReader: Descriptor
        private let stopWriter: Descriptor

        /// `nil` unless the master expects beats.
        private let heartbeat: Heartbeat?

        /// - Parameter heartbeat: how long the master waits for a beat. `nil` if it expects none.
        init(
            _ handshake: Handshake, tlsIdentity: TLSIdentity?, heartbeat timeout: Duration? = nil
        ) throws(SystemError) {
            slot = handshake.slot
            launch = handshake.launch
            generation = handshake.generation
            masterPID = handshake.masterPID
            addresses = handshake.addresses
            self.tlsIdentity = tlsIdentity
            let state = LockedValueBox(State(listeners: handshake.listeners, channel: handshake.channelDescriptor))
            self.state = state
            heartbeat = timeout.map { timeout in
                Heartbeat(every: timeout / 4) { Self.send(.beat, state) }
            }
            let ends = try Channel.makePair().split()
            stopReader = Descriptor(ends.first)
            stopWriter = Descriptor(ends.second)
        }

        // MARK: ChildRun

        /// Takes a listener: a bound, listening, non-blocking, close-on-exec descriptor. The caller owns it and closes
        /// it. Never call shutdown(2) on it. That would stop the listener of the master and of other children, too.
        /// - Parameter index: the position of the address in the list given to `Prefork`. Adopted listeners follow.
        ///   Default: 0.
        /// - Throws: ``PreforkError/Code/listenerTaken`` the second time, ``PreforkError/Code/noSuchListener``,
        ///   ``PreforkError/Code/masterIsGone`` if the drain after the master's death has closed it.
        public func takeListener(at index: Int = 0) throws(PreforkError) -> Int32 {
            try state.withLock { state throws(PreforkError) in
                guard state.listeners.indices.contains(index) else {
                    throw .noSuchListener(index: index, count: state.listeners.count)
                }
                guard let listener = state.listeners[index] else {
                    throw state.masterIsGone ? .masterIsGone(pid: masterPID) : .listenerTaken(index: index)
                }
                state.listeners[index] = nil
                return listener
            }
        }

        /// Takes a listener by the name of its ``Address`` or ``SocketSource``. If several listeners have the name, it
        /// takes the first one that is left.
        /// - Throws: ``PreforkError/Code/noListenerNamed``, and the errors of ``takeListener(at:)``.
        public func takeListener(named name: String) throws(PreforkError) -> Int32 {
            let indices = addresses.indices.filter { addresses[$0].name == name }
            guard let first = indices.first else { throw .noListenerNamed(name) }
            var failure = PreforkError.listenerTaken(index: first)
            for index in indices {
                do throws(PreforkError) {
                    return try takeListener(at: index)
                } catch {
                    failure = error
                }
            }
            throw failure
        }

        /// Tells the master that this child serves. With ``Configuration/Readiness/Mode/explicit``, call it within
        /// ``Configuration/Readiness/timeout``. Further calls are harmless. It never waits.
        public func ready() { send(.ready(startCost: System.processorTime(), handover: Handover.currentVersion)) }

        /// Asks the master to replace this child, for example after a number of requests. It never waits.
        ///
        /// The child goes on serving. When a new child is up in its slot, the master asks this one to exit. One slot of
        /// the fleet is replaced at a time. Further calls are harmless.
        public func requestReplacement() { send(.replace) }

        /// Has a part of the program asked whether it still responds, with
        /// ``Configuration/Health/heartbeatTimeout``.
        ///
        /// Prefork calls `ask` from a thread of its own, four times in the timeout, with a closure. Let that part call
        /// the closure, for example `eventLoop.execute(beat)` or `queue.async(execute: beat)`. If it does not, the
        /// master replaces this child. Without the setting, it does nothing. Call it from any thread.
        public func watch(_ ask: @escaping @Sendable (_ beat: @escaping @Sendable () -> Void) -> Void) {
            heartbeat?.add(ask)
        }

        /// Begins the drain, as SIGTERM does, and tells the master. This child then gets no new connections, and the
        /// master starts a replacement beside it. It is meant for programs that handle SIGTERM themselves, see
        /// ``Configuration/Signals/children``. Further calls are harmless. It returns at once.
        public func drain() {
            // The lock is held during the call. The monitor removes its closure under the same lock, before it closes
            // the descriptor that the closure writes to.
            state.withLock { $0.requestDrain?() }
        }

        // MARK: Draining

        /// Whether the drain has begun. From then on, finish what was accepted, accept no more, and return from
        /// `serve`.
        public var isStopping: Bool { state.withLock { $0.isStopping } }

        /// A descriptor that becomes readable (POLLIN) when the drain begins. An accept loop polls it beside the
        /// listener. Never read from it. It is valid until `serve` has returned.
        public var stopDescriptor: Int32 { stopReader.raw }

        /// Returns when the drain begins, when the calling task is cancelled, or when `serve` has returned.
        public func stopRequested() async {
            let id = state.withLock { state in
                state.nextWaiter += 1
                return state.nextWaiter
            }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    // A cancellation before this point finds no waiter, so it is checked again under the lock.
                    let isOver = state.withLock { state in
                        if state.isStopping || state.isOver || Task.isCancelled { return true }
                        state.waiters[id] = continuation
                        return false
                    }
                    if isOver { continuation.resume() }
                }
            } onCancel: {
                state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
            }
        }

        /// Calls `body` once when the drain begins, on one of Prefork's threads, after earlier callbacks. If the drain
        /// has begun already, it calls `body` at once on the calling thread. Within the grace period, the process does
        /// not exit before `body` has returned.
        public func onStop(_ body: @escaping @Sendable () -> Void) {
            let isOver = state.withLock { state in
                if !state.isStopping { state.callbacks.append(body) }
                return state.isStopping
            }
            if isOver { body() }
        }

        // MARK: For the monitor

        /// Tells the master that the drain begins, before anything stops accepting.
        func announceDrain(_ origin: DrainOrigin) { send(.draining(origin)) }

        func send(_ message: ChildMessage) { Self.send(message, state) }

        private static func send(_ message: ChildMessage, _ state: LockedValueBox<State>) {
            state.withLock { state in
                // The lock is held during the send. `end` removes the descriptor under the same lock, so the number
                // cannot belong to another file yet.
                let channel = Descriptor.number(of: state.channel)
                if channel != -1 { Channel.send(message.frame, to: channel) }
            }
        }

        /// Like `send(_:)`, with a copy of a descriptor.
        func send(_ message: ChildMessage, passing descriptor: CInt) throws(SystemError) {
            try state.withLock { state throws(SystemError) in
                let channel = Descriptor.number(of: state.channel)
                guard channel != -1 else { throw SystemError(call: "sendmsg", code: EPIPE) }
                try Channel.send(message.frame, passing: descriptor, to: channel)
            }
        }

        func beginHeartbeat(usesPool: Bool) throws(SystemError) {
            if usesPool { heartbeat?.add(Heartbeat.pool) }
            try heartbeat?.start()
        }

        /// - Parameter request: wakes the monitor. `nil` at the monitor's end.
        func setDrainRequest(_ request: (@Sendable () -> Void)?) { state.withLock { $0.requestDrain = request } }

        /// Begins the drain. Further calls do nothing.
        /// - Returns: the callbacks given to `onStop`.
        func beginDrain() -> [@Sendable () -> Void] {
            let (callbacks, waiters) = state.withLock { state in
                defer {
                    state.isStopping = true
                    state.areCallbacksRunning = state.areCallbacksRunning || !state.callbacks.isEmpty
                    state.callbacks = []
                    state.waiters = [:]
                }
                if !state.isStopping { Channel.send(0, to: stopWriter.raw) }
                return (state.callbacks, Array(state.waiters.values))
            }
            for waiter in waiters { waiter.resume() }
            return callbacks
        }

        /// Notes that the last callback has returned.
        func callbacksEnded() {
            let waiting = state.withLock { state in
                defer {
                    state.areCallbacksRunning = false
                    state.afterCallbacks = []
                }
                return state.afterCallbacks
            }
            for body in waiting { body() }
        }

        /// Calls `body` when no callback is running: at once, or on the thread of the last callback.
        func whenCallbacksHaveEnded(_ body: @escaping @Sendable () -> Void) {
            let isNow = state.withLock { state in
                if state.areCallbacksRunning { state.afterCallbacks.append(body) }
                return !state.areCallbacksRunning
            }
            if isNow { body() }
        }

        /// Closes the listeners that the program has not taken. A child whose master is dead must not keep a new master
        /// from the address.
        func closeUntakenListeners() {
            state.withLock { state in
                state.masterIsGone = true
                for listener in state.listeners { if let listener { Descriptor(listener).close() } }
                state.listeners = state.listeners.map { _ in nil }
            }
        }

        /// Sets the closure that cancels the task of `serve`. If the cancellation was requested before, it is called at
        /// once.
        func setCancel(_ cancel: @escaping @Sendable () -> Void) {
            let isCancelled = state.withLock { state in
                state.cancelServe = cancel
                return state.isCancelled
            }
            if isCancelled { cancel() }
        }

        /// Marks `serve` as cancelled.
        /// - Returns: the closure that cancels it. It calls every cancellation handler of the program, so it needs a
        ///   thread of its own.
        func prepareCancellation() -> (@Sendable () -> Void)? {
            state.withLock { state in
                state.isCancelled = true
                return state.cancelServe
            }
        }

        /// Whether the drain has cancelled `serve`.
        var isCancelled: Bool { state.withLock { $0.isCancelled } }

        /// Closes everything that Prefork has opened. The master sees the hang-up and waits for the exit.
        func end() {
            heartbeat?.end()
            let waiters = state.withLock { state in
                defer {
                    state.isOver = true
                    state.waiters = [:]
                    state.channel = nil
                    state.cancelServe = nil
                    for listener in state.listeners { if let listener { Descriptor(listener).close() } }
                    state.listeners = []
                }
                return Array(state.waiters.values)
            }
            // They belong to tasks that outlive `serve`. Nothing else would wake them.
            for waiter in waiters { waiter.resume() }
        }

        var channelDescriptor: CInt {
            state.withLock { Descriptor.number(of: $0.channel) }
        }
    }
}
