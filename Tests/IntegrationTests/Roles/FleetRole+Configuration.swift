// Turns a fleet's settings into a configuration with hooks and an observer.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    extension FleetRole {
        var configuration: Prefork.Configuration {
            var configuration = Prefork.Configuration(children: children)
            configureSockets(&configuration)
            configureStart(&configuration)
            configureExits(&configuration)
            configureHooks(&configuration)
            configuration.observe = observe
            return configuration
        }

        private func configureSockets(_ configuration: inout Prefork.Configuration) {
            switch listening {
            case .sharded: configuration.sockets.mode = .sharded
            case .shared: configuration.sockets.mode = .shared
            case nil: break
            }
            configuration.testing.shardingFault = shardingFault
            configuration.sockets.backlog = backlog
            configuration.sockets.deferAccept = deferAccept
            configuration.sockets.queueAlarm = queueAlarm.map { .init(share: $0, interval: .milliseconds(20)) }
            configuration.sockets.bindRetry = .init(attempts: bindAttempts, interval: bindInterval)
        }

        private func configureStart(_ configuration: inout Prefork.Configuration) {
            configuration.program.executable = executable
            configuration.controlSocket = controlSocket
            configuration.program.affinity = pinsChildren ? .onePerChild : .none
            configuration.program.spawn = spawn?.closure
            configuration.testing.mechanisms = mechanisms.mechanisms
            switch tls {
            case .files(let chain, let key):
                configuration.tlsIdentity = .files(certificateChain: chain, privateKey: key)
            case .embedded(let chain, let key):
                configuration.tlsIdentity = .embedded(
                    certificateChain: readText(chain) ?? "", privateKey: readText(key) ?? "")
            case nil: break
            }
        }

        private func configureExits(_ configuration: inout Prefork.Configuration) {
            switch recoverThreshold {
            case .exits(let count): configuration.recovery.threshold = .exits(count)
            case .never: configuration.recovery.threshold = .never
            case .unlimited: configuration.recovery.threshold = .unlimited
            case nil: break
            }
            if let recoverInterval { configuration.recovery.delays = .constant(recoverInterval) }
            configuration.recovery.limitPerSlot = recoverLimitPerSlot
            if let readinessTimeout {
                configuration.readiness.mode = .explicit
                configuration.readiness.timeout = readinessTimeout
            }
            configuration.orphanReapDelay = orphanReapDelay
            configuration.shutdown.gracePeriod = gracePeriod
            configuration.shutdown.queueDrainPeriod = queueDrainPeriod
            configuration.signals.master = handlesSignals ? .handled : .unhandled
            configuration.signals.children = childHandlesSignals ? .handled : .unhandled
            switch masterDeath {
            case .drain: configuration.masterDeath.policy = .drain
            case .exit(let status): configuration.masterDeath.policy = .exit(status)
            case .call:
                configuration.masterDeath.policy = .call {
                    report("masterDeath \(getpid())")
                    exit(0)
                }
            case .ignore: configuration.masterDeath.policy = .ignore
            }
            configuration.testing.watchesChannel = watchesChannel
            configuration.masterDeath.pollInterval = parentPollInterval
        }

        // MARK: - Hooks

        private func configureHooks(_ configuration: inout Prefork.Configuration) {
            let spawned = reporting(.onChildSpawn)
            let ready = reporting(.onMasterReady)
            let recovered = reporting(.onChildRecover)
            let fleetReady = reporting(.onFleetReady)
            let spawns = Counter()
            configuration.hooks.onChildSpawn = { pid in
                try spawned("\(pid)")
                switch onChildSpawn {
                case .takes(let duration): pause(for: duration)
                case .awaitsExits(let count): if spawns.next() <= count { waitForZombie(pid) }
                case nil: break
                }
            }
            configuration.hooks.onMasterReady = { pids in
                try ready(pids.map { "\($0)" }.joined(separator: " "))
                switch onMasterReady {
                case .closes(let numbers): for number in numbers { close(number) }
                case .takes(let duration): pause(for: duration)
                case .holds(let path, let thenStops):
                    try eventually(path) { access(path, F_OK) == 0 }
                    if thenStops { currentFleet.withLock { $0 }?.stop() }
                case nil: break
                }
            }
            configuration.hooks.onChildRecover = { try recovered("\($0) \($1)") }
            configuration.hooks.onFleetReady = { pids in
                try fleetReady(pids.map { "\($0)" }.joined(separator: " "))
            }
        }

        /// A hook that reports its calls, and fails if this is the call that must fail.
        private func reporting(_ hook: Hook) -> @Sendable (String) throws -> Void {
            let calls = Counter()
            let failing = failingHook?.hook == hook ? failingHook?.number : nil
            return { text in
                report("\(hook) \(text)")
                if calls.next() == failing { throw Deliberate("\(hook) failed on purpose") }
            }
        }

        @Sendable private func observe(_ event: Prefork.Event) {
            Prefork.logToStandardError(event)
            switch event.payload {
            case .stopping:
                guard case .takesForStop(let duration) = observer else { return }
                report("observing")
                pause(for: duration)
            case .queueFilling:
                let status = currentFleet.withLock { $0 }?.status
                let waiting = status?.slots.first?.waiting ?? -1
                report("waiting \(waiting) \(status?.listeners.first?.mode.description ?? "")")
            case .status:
                if case .restartsAtStatus = observer { currentFleet.withLock { $0 }?.restart() }
            case .ready:
                if case .stopsWhenReady = observer { currentFleet.withLock { $0 }?.stop() }
            case .exited(let exit, let consequence): report("exited \(exit.pid) \(exit.reason) \(consequence)")
            default: break
            }
        }
    }

    private func pause(for duration: Duration) { poll(nil, 0, CInt(duration / .milliseconds(1))) }

    /// Counts from 1.
    final class Counter: Sendable {
        private let count = LockedValueBox(0)
        func next() -> Int {
            count.withLock { count in
                count += 1
                return count
            }
        }
    }
#endif
