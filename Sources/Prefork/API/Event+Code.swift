extension Prefork.Event {
    /// The kind of an event, without its details.
    ///
    /// A `switch` over a code needs a `default`, which also handles the codes of later versions.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The name of the code, for example `exited`.
        public let description: String

        private init(_ name: String) { description = name }

        // MARK: At startup

        /// Says how this run learns of exits and closes descriptors. Detail: ``Event/mechanisms``.
        public static var mechanisms: Code { Code("mechanisms") }
        /// /proc is not mounted, or not readable for this process.
        ///
        /// Children then execute the file at ``Event/path``, which can be another build by the time they start. If the
        /// path is relative and the program has changed its directory, it can even be another program. The cgroup's CPU
        /// quota is unknown, so set ``Prefork/Configuration/children``. Detail: ``Event/path``.
        public static var procIsMissing: Code { Code("procIsMissing") }
        /// ``Prefork/Configuration/children`` is larger than the number of processors that this process may use. The
        /// number from WEB_CONCURRENCY is not checked. Details: ``Event/count`` (children), ``Event/limit``
        /// (processors).
        public static var moreChildrenThanProcessors: Code { Code("moreChildrenThanProcessors") }
        /// Sockets were passed to this process (LISTEN_FDS), but it does not adopt ``Prefork/SocketSource/systemd``.
        /// Clients that connect there wait. Detail: ``Event/count`` (sockets).
        public static var notAdopted: Code { Code("notAdopted") }
        /// A variable of a service manager has a value that cannot be used, and the fleet runs without it. Detail:
        /// ``Event/reason``, which names the variable.
        public static var ignoredVariable: Code { Code("ignoredVariable") }
        /// An address is in use or not there yet, and the master will try again. Details: ``Event/address``,
        /// ``Event/systemError``, ``Event/count`` (attempts so far), ``Event/limit`` (all attempts), ``Event/duration``
        /// (until the next).
        public static var bindRetry: Code { Code("bindRetry") }
        /// The master listens. Detail: ``Event/addresses``, with resolved ports.
        public static var listening: Code { Code("listening") }
        /// ``Prefork/Configuration/Sockets/Mode/automatic`` found that listeners cannot be sharded here, so all
        /// children share them. Detail: ``Event/reason``.
        public static var sharing: Code { Code("sharing") }

        // MARK: Children

        /// A child was started. Details: ``Event/slot``, ``Event/pid``, ``Event/replacedPID``.
        public static var spawned: Code { Code("spawned") }
        /// A child could not be started. Details: ``Event/slot``, ``Event/exit``, ``Event/consequence``.
        public static var spawnFailed: Code { Code("spawnFailed") }
        /// A child serves. Details: ``Event/slot``, ``Event/pid``, ``Event/duration`` (since its start).
        public static var ready: Code { Code("ready") }
        /// Every slot has had a child up, which means ready for ``Prefork/Configuration/Readiness/settleTime``.
        ///
        /// It comes once in a run, unless a stop begins first. ``Prefork/Configuration/Hooks/onFleetReady`` follows.
        /// Details: ``Event/count`` (children), ``Event/duration`` (since `run` was called).
        public static var fleetReady: Code { Code("fleetReady") }
        /// A child was not ready within ``Prefork/Configuration/Readiness/timeout``, and the master stops it. Details:
        /// ``Event/slot``, ``Event/pid``, ``Event/duration`` (since its start).
        public static var notReady: Code { Code("notReady") }
        /// The program of a child has bound none of the fleet's addresses within ``Configuration/Readiness/timeout``,
        /// although the fleet takes over bind(2). Details: ``Event/slot``, ``Event/pid``.
        public static var nothingBound: Code { Code("nothingBound") }
        /// A child exited. Details: ``Event/slot``, ``Event/pid``, ``Event/exit``, ``Event/consequence``.
        public static var exited: Code { Code("exited") }
        /// A child began to drain although the master did not ask it to. It gets no new connections. Details:
        /// ``Event/slot``, ``Event/pid``, ``Event/drainOrigin``.
        public static var draining: Code { Code("draining") }
        /// The master kills a child. Details: ``Event/slot``, ``Event/pid``, ``Event/killReason``, ``Event/duration``
        /// (how long the child had to drain).
        public static var killing: Code { Code("killing") }
        /// The end of the grace period is near, and a child cancels its `serve`. Details: ``Event/slot``,
        /// ``Event/pid``, ``Event/duration`` (how long the child has drained).
        public static var cancelling: Code { Code("cancelling") }
        /// A child does not respond, and is replaced, see ``Prefork/Configuration/Health``. Details: ``Event/slot``,
        /// ``Event/pid``, ``Event/reason`` (the evidence).
        public static var unresponsive: Code { Code("unresponsive") }
        /// A child broke the protocol of its channel, and the master no longer reads what it says. The child keeps
        /// serving. Details: ``Event/slot``, ``Event/pid``, ``Event/reason``.
        public static var channelFault: Code { Code("channelFault") }

        /// Children crash too often to print a backtrace each time.
        ///
        /// New children start with `SWIFT_BACKTRACE=enable=no` until a minute passes without a crash.
        public static var backtracesSuppressed: Code { Code("backtracesSuppressed") }
        /// A minute passed without a crash, and new children print backtraces again.
        public static var backtracesResumed: Code { Code("backtracesResumed") }

        // MARK: Restart and resize

        /// A restart or a rollback begins. Detail: ``Event/generation`` (the build that the children get).
        public static var restarting: Code { Code("restarting") }
        /// A new child is up, and the child that it replaces drains. Details: ``Event/slot``, ``Event/pid`` (the old
        /// child), ``Event/replacementPID``.
        public static var retiring: Code { Code("retiring") }
        /// All slots have children of the new build, and all of them are up. Details: ``Event/generation``,
        /// ``Event/duration`` (since the request).
        public static var restarted: Code { Code("restarted") }
        /// A restart failed or could not begin, and another build serves on. Slots that had new children go back to it.
        /// Details: ``Event/generation`` (the build that failed), ``Event/servingGeneration``, ``Event/reason``,
        /// ``Event/exit`` if a child exited.
        public static var restartFailed: Code { Code("restartFailed") }
        /// After a restart that failed, no slot has a child of its build any more. Details: ``Event/generation`` (the
        /// build that serves), ``Event/duration`` (since the request for the restart).
        public static var rolledBack: Code { Code("rolledBack") }
        /// The master's own program has been replaced by that of the children, see ``Prefork/Prefork/upgrade()``. The
        /// new program reports it. Details: ``Event/generation``, ``Event/duration`` (since the request).
        public static var upgraded: Code { Code("upgraded") }
        /// The children are of a new build, but the master keeps its program. Details: ``Event/generation`` (the build
        /// of the children), ``Event/reason``.
        public static var upgradeFailed: Code { Code("upgradeFailed") }
        /// The last child of a slot that has left the fleet has ended before it had accepted all connections in its
        /// queue. The master has closed the rest. Details: ``Event/slot``, ``Event/count``.
        public static var dropped: Code { Code("dropped") }
        /// A child that serves is replaced, see ``Prefork/Configuration/Recycling``. Details: ``Event/slot``,
        /// ``Event/pid``, ``Event/reason``.
        public static var recycling: Code { Code("recycling") }
        /// The fleet has another number of slots now. Details: ``Event/count``, ``Event/limit`` (the number before).
        public static var resized: Code { Code("resized") }
        /// The fleet keeps its number of slots. Details: ``Event/count`` (the number that was asked for),
        /// ``Event/limit`` (the number of slots), ``Event/reason``.
        public static var resizeFailed: Code { Code("resizeFailed") }

        // MARK: Listeners

        /// The kernel refuses to steer connections, once for each address.
        ///
        /// It spreads them over all slots. A connection to a slot without a ready child waits for the next child there.
        /// Details: ``Event/address``, ``Event/systemError``.
        public static var steeringRefused: Code { Code("steeringRefused") }
        /// A listener's queue reached the share of ``Prefork/Configuration/Sockets/queueAlarm``. Details:
        /// ``Event/address``, ``Event/queue``, ``Event/slot`` if the listener is sharded.
        public static var queueFilling: Code { Code("queueFilling") }
        /// A listener no longer listened, because a child had called shutdown(2) on it, which affects every copy.
        ///
        /// The master makes it listen again, and reports the outcome in ``Event/reason``. A sharded listener belongs to
        /// one child. All children share the other listeners, and the event names the child that has probably stopped
        /// it. Details: ``Event/address``, ``Event/reason``, ``Event/slot`` and ``Event/pid`` if a child can be named,
        /// ``Event/systemError`` if it cannot listen again.
        public static var listenerStopped: Code { Code("listenerStopped") }
        /// The file of a Unix-domain socket was removed. The master noticed it before it started a child. Children that
        /// are ready get no new connections until they are replaced, because no path leads to their socket. Details:
        /// ``Event/address``, ``Event/reason`` (the outcome), ``Event/systemError`` (why the file could not be made
        /// again).
        public static var socketFileRemoved: Code { Code("socketFileRemoved") }

        // MARK: At shutdown

        /// The fleet stops, and the children drain. Details: ``Event/stopReason``, ``Event/duration`` (the grace
        /// period).
        public static var stopping: Code { Code("stopping") }
        /// Another request to stop came while the fleet was stopping, and changes nothing. Details:
        /// ``Event/stopReason``, ``Event/duration`` (what is left of the grace period).
        public static var alreadyStopping: Code { Code("alreadyStopping") }
        /// A listener accepts new connections while the children drain.
        ///
        /// Connections that no child accepts are reset when its last copy is closed. On an adopted listener they wait
        /// for the next process that accepts. Details: ``Event/address``, ``Event/reason``.
        public static var admissionStaysOpen: Code { Code("admissionStaysOpen") }
        /// The last child exited.
        public static var stopped: Code { Code("stopped") }

        // MARK: At any time

        /// The master itself did not run for a while: it was stopped or starved, or a hook blocked it. It restarts its
        /// timers before it judges a child. Detail: ``Event/duration``.
        public static var suspended: Code { Code("suspended") }
        /// A master that is process 1 reaped orphans. Other processes had started them, and they had been dead for
        /// ``Prefork/Configuration/orphanReapDelay``. Detail: ``Event/pids``.
        public static var reapedOrphans: Code { Code("reapedOrphans") }
        /// The status that SIGUSR1 asked for. Detail: ``Event/status``.
        public static var status: Code { Code("status") }
        /// A system call failed, and the fleet continues without it. Detail: ``Event/systemError``.
        public static var systemError: Code { Code("systemError") }
    }

    /// The kind of the event.
    public var code: Code {
        switch payload {
        case .mechanisms: .mechanisms
        case .procIsMissing: .procIsMissing
        case .moreChildrenThanProcessors: .moreChildrenThanProcessors
        case .bindRetry: .bindRetry
        case .listening: .listening
        case .sharing: .sharing
        case .steeringRefused: .steeringRefused
        case .queueFilling: .queueFilling
        case .listenerStopped: .listenerStopped
        case .socketFileRemoved: .socketFileRemoved
        case .spawned: .spawned
        case .spawnFailed: .spawnFailed
        case .ready: .ready
        case .fleetReady: .fleetReady
        case .notReady: .notReady
        case .nothingBound: .nothingBound
        case .exited: .exited
        case .restarting: .restarting
        case .retiring: .retiring
        case .restarted: .restarted
        case .restartFailed: .restartFailed
        case .rolledBack: .rolledBack
        case .upgraded: .upgraded
        case .upgradeFailed: .upgradeFailed
        case .resized: .resized
        case .resizeFailed: .resizeFailed
        case .dropped: .dropped
        case .recycling: .recycling
        case .unresponsive: .unresponsive
        case .suspended: .suspended
        case .stopping: .stopping
        case .admissionStaysOpen: .admissionStaysOpen
        case .draining: .draining
        case .killing: .killing
        case .cancelling: .cancelling
        case .channelFault: .channelFault
        case .alreadyStopping: .alreadyStopping
        case .backtracesSuppressed: .backtracesSuppressed
        case .backtracesResumed: .backtracesResumed
        case .stopped: .stopped
        case .reapedOrphans: .reapedOrphans
        case .notAdopted: .notAdopted
        case .ignoredVariable: .ignoredVariable
        case .status: .status
        case .systemError: .systemError
        }
    }
}
