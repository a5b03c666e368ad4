// The role that most tests use: a fleet whose hooks and events report, and whose children do one of many things.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    private let defaults = Prefork.Configuration()

    struct FleetRole: Role {
        var children: Int? = 2
        /// How many runs of the same fleet follow each other.
        var runs = 1

        // MARK: Sockets

        var addresses: [Prefork.Address] = [.loopback()]
        /// Adopts a listener that the master has made, under the name "own".
        var adoptsListener = false
        var listening: Listening?
        var shardingFault: String?
        var backlog = defaults.sockets.backlog
        var deferAccept: Duration?
        /// The share of the backlog at which an event reports that the queue fills.
        var queueAlarm: Double?
        var bindAttempts: Int?
        var bindInterval = defaults.sockets.bindRetry.interval

        // MARK: How children start

        /// Non-close-on-exec descriptors that the master opens first, as careless libraries leave them.
        var leakedDescriptors = 0
        /// Closes the master's standard descriptors first.
        var closesStandardDescriptors = false
        var executable: String?
        var pinsChildren = false
        var spawn: Spawn?
        var tls: TLS?
        var controlSocket: String?
        var mechanisms = MechanismChoice.best

        // MARK: When children exit

        var recoverThreshold: Threshold?
        /// The delay before each recovery.
        var recoverInterval: Duration?
        var recoverLimitPerSlot: Int?
        /// Readiness is explicit if there is a timeout.
        var readinessTimeout: Duration?
        var orphanReapDelay = defaults.orphanReapDelay

        // MARK: Stops

        var gracePeriod = defaults.shutdown.gracePeriod
        var queueDrainPeriod = defaults.shutdown.queueDrainPeriod
        var handlesSignals = true
        var childHandlesSignals = true

        // MARK: The master's death

        var masterDeath = MasterDeath.drain
        var watchesChannel = true
        var parentPollInterval = defaults.masterDeath.pollInterval

        // MARK: Hooks and the observer

        var failingHook: HookCall?
        var onChildSpawn: SpawnHook?
        var onMasterReady: ReadyHook?
        var observer: Observer?

        // MARK: Children

        /// The behavior of the first child of each slot, if it differs from the others.
        var firstServe: Serve?
        var serve = Serve.answer
    }

    extension FleetRole {
        enum Listening: String, Codable, Sendable, CaseIterable { case sharded, shared }

        enum Threshold: Codable, Sendable {
            case exits(Int)
            case never
            case unlimited
        }

        /// PEM files, handed on by path or by content.
        enum TLS: Codable, Sendable {
            case files(chain: String, key: String)
            case embedded(chain: String, key: String)
        }

        enum MasterDeath: Codable, Sendable {
            case drain
            case exit(Int32)
            /// Reports, then exits with status 0.
            case call
            case ignore
        }

        enum Hook: String, Codable, Sendable { case onChildSpawn, onMasterReady, onChildRecover, onFleetReady }

        /// One call of a hook, counted from 1.
        struct HookCall: Codable, Sendable {
            var hook: Hook
            var number: Int

            static func call(_ number: Int, of hook: Hook) -> HookCall { HookCall(hook: hook, number: number) }
        }

        enum SpawnHook: Codable, Sendable {
            case takes(Duration)
            /// Waits until the child has exited, and leaves it unreaped. Only for the first children.
            case awaitsExits(of: Int)
        }

        enum ReadyHook: Codable, Sendable {
            /// Closes descriptors of the master, as a careless library does.
            case closes([Int32])
            case takes(Duration)
            /// Returns when this file exists.
            case holds(untilExists: String, thenStops: Bool)
        }

        enum Observer: Codable, Sendable {
            /// Stops the fleet at the first event that says a child is ready.
            case stopsWhenReady
            /// Restarts the fleet when its status is asked for.
            case restartsAtStatus
            /// Reports the beginning of a stop, and takes this long for it.
            case takesForStop(Duration)
        }
    }

    /// The settings that are not the default, for lists of test cases.
    extension FleetRole: CustomTestStringConvertible {
        var testDescription: String {
            let settings = zip(Mirror(reflecting: self).children, Mirror(reflecting: FleetRole()).children)
            let changed = settings.filter { "\($0.value)" != "\($1.value)" }
            return "FleetRole(\(changed.map { "\($0.0.label ?? ""): \($0.0.value)" }.joined(separator: ", ")))"
        }
    }

    // MARK: - The role

    extension FleetRole {
        func run() async throws {
            // A process that started without them would give their numbers to the test library's descriptors.
            if closesStandardDescriptors, isMaster { for number in CInt(0)...2 { close(number) } }
            if isMaster { leakDescriptors() }
            let adopted = adoptsListener ? AdoptedListener() : nil
            let fleet = Prefork(addresses, adopting: adopted?.source ?? .none, configuration: configuration)
            currentFleet.withLock { $0 = fleet }
            await runAndReport(times: runs, adopted: adopted) { Result { try runBlocking(fleet, serve: serve) } }
        }

        private func leakDescriptors() {
            for index in 0..<CInt(leakedDescriptors) {
                let raw = index % 2 == 0 ? open("/dev/null", O_RDONLY) : socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
                // Far from the numbers that the test library and Prefork use.
                _ = dup2(raw, 200 + index)
                close(raw)
            }
        }
    }

    /// The fleet that this process runs, for hooks and observers that need it.
    let currentFleet = LockedValueBox<Prefork?>(nil)

    var isMaster: Bool { if case .master = Prefork.role { true } else { false } }

    /// Set by a child that serves.
    let hasServed = LockedValueBox(false)

    /// The blocking form, which an async function cannot call by its name.
    func runBlocking(_ fleet: Prefork, serve: (Prefork.Child) throws -> Void) throws { try fleet.run(serve: serve) }

    /// Runs a fleet several times. The master reports the end of each run and its leftovers.
    func runAndReport(
        times: Int, adopted: AdoptedListener? = nil, _ run: () async -> Result<Void, any Error>
    ) async {
        for _ in 0..<times {
            let before = Leftovers()
            let outcome = await run()
            guard isMaster else {
                if case .failure(let error) = outcome {
                    report("childThrew \(error)")
                    exit((error as? PreforkError)?.exitStatus ?? 1)
                }
                // In a child, runs that the master has finished return without serving.
                if hasServed.withLock({ $0 }) { exit(0) }
                continue
            }
            let after = Leftovers()
            report(after.isNoMore(than: before) ? "clean" : "left \(before) -> \(after)")
            if let adopted { report("adopted \(adopted.state)") }
            report(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD ? "childless" : "children left")
            switch outcome {
            case .success: report("returned")
            case .failure(let error): report("threw \(type(of: error)) \(error)")
            }
        }
    }
#endif
