/// Decides what a service manager is told about the fleet, and when (sd_notify(3)). A pure value: states of the fleet
/// go in, datagrams come out.
///
/// A datagram that could not be sent is due again, later each time, so that a service manager that was away for a
/// moment misses nothing.
struct ServiceNotifier {
    /// The facts about a fleet that a service manager is told.
    struct Fleet: Equatable {
        var slots: Int
        /// How many children accept connections.
        var ready = 0
        /// How many children exist.
        var children = 0
        /// Whether every slot has had a child up.
        var hasBeenReady = false
        /// `nil` unless a stop has begun.
        var stop: Stop?
    }

    struct Stop: Equatable {
        /// Whether the process ends after the stop. A program may also run another fleet.
        var endsProcess: Bool
        /// When the last child is killed. `nil` once all of them were.
        var killAt: Instant?
    }

    /// One datagram: assignments, each on a line of its own.
    struct Datagram {
        fileprivate(set) var text = ""
        fileprivate var hasNotice = false
        fileprivate var status: String?
        fileprivate var isPing = false
        fileprivate var extendsUntil: Instant?

        fileprivate mutating func add(_ line: String) { text += text.isEmpty ? line : "\n" + line }
    }

    /// The time of a stop is extended by this much at once. It ends soon after a master that hangs.
    static let longestExtension: Duration = .seconds(10)
    static let extensionInterval: Duration = .seconds(5)
    /// What a stop takes after the last child was killed.
    static let killMargin: Duration = .seconds(2)
    static let firstRetry: Duration = .milliseconds(100)
    static let mostDoublings = 20

    private enum Phase { case starting, running, restarting, stopping }

    /// A change that the service manager must learn of, in this order.
    private enum Notice: Equatable {
        case ready(mainPID: Int32?)
        case reloading(Instant)
        case stopping

        var isReloading: Bool { if case .reloading = self { true } else { false } }

        var text: String {
            switch self {
            case .ready(let pid): "READY=1" + (pid.map { "\nMAINPID=\($0)" } ?? "")
            case .reloading(let begin): "RELOADING=1\nMONOTONIC_USEC=\(begin.nanoseconds / 1000)"
            case .stopping: "STOPPING=1"
            }
        }
    }

    private let pid: Int32
    private let pingInterval: Duration?
    /// `nil` before the first look at it.
    private var fleet: Fleet?
    private var phase = Phase.starting
    private var isStopAnnounced = false
    /// At most one restart, between what comes before and after it.
    private var notices: [Notice] = []
    private var sentStatus: String?
    private var lastPing: Instant?
    private var lastExtension: (at: Instant, until: Instant)?
    private var failures = 0
    private var retryAt: Instant?

    /// - Parameters:
    ///   - watchdog: the service manager acts if it hears nothing for this long.
    ///   - restart: for a program that takes the place of another one: whether a restart was announced and not ended.
    init(pid: Int32, watchdog: Duration?, afterHandover restart: Bool? = nil) {
        self.pid = pid
        if let restart { phase = restart ? .restarting : .running }
        pingInterval = watchdog.map { $0 / 2 }
    }

    /// Whether the service manager waits for the end of a restart.
    var isReloading: Bool { phase == .restarting }

    // MARK: Events

    mutating func update(_ fleet: Fleet, at now: Instant) {
        let before = status
        self.fleet = fleet
        // A datagram with news does not wait for the next try.
        if status != before { retryAt = nil }
        if let stop = fleet.stop {
            phase = .stopping
            if stop.endsProcess, !isStopAnnounced {
                isStopAnnounced = true
                notices = []
                note(.stopping)
            }
        } else if fleet.hasBeenReady, phase == .starting {
            phase = .running
            // Process 1 of a container has another number outside.
            note(.ready(mainPID: pid == 1 ? nil : pid))
        }
    }

    /// A restart begins. It may follow another one that does not end any more. Before the fleet is ready, the service
    /// manager waits for that.
    mutating func restarting(at now: Instant) {
        guard phase == .running || phase == .restarting else { return }
        phase = .restarting
        // It need not learn of an earlier restart any more.
        if let earlier = notices.firstIndex(where: \.isReloading) { notices.removeSubrange(earlier...) }
        note(.reloading(now))
    }

    /// No restart is under way, whichever build serves. Further calls do nothing.
    mutating func restarted(at now: Instant) {
        guard phase == .restarting else { return }
        phase = .running
        note(.ready(mainPID: nil))
    }

    private mutating func note(_ notice: Notice) {
        notices.append(notice)
        retryAt = nil
    }

    // MARK: Datagrams

    /// The datagram that is due. Answer with `sent` or `failed` before the next call.
    func datagram(at now: Instant) -> Datagram? {
        if let retryAt, retryAt > now { return nil }
        var datagram = Datagram()
        if let notice = notices.first {
            datagram.hasNotice = true
            datagram.add(notice.text)
        }
        if let status, status != sentStatus {
            datagram.status = status
            datagram.add("STATUS=\(status)")
        }
        if let pingDue, pingDue <= now {
            datagram.isPing = true
            datagram.add("WATCHDOG=1")
        }
        if let extensionDue, extensionDue <= now, let end = stopEnd {
            let time = max(.zero, min(Self.longestExtension, end - now))
            datagram.extendsUntil = now + time
            datagram.add("EXTEND_TIMEOUT_USEC=\(time.clampedNanoseconds / 1000)")
        }
        return datagram.text.isEmpty ? nil : datagram
    }

    mutating func sent(_ datagram: Datagram, at now: Instant) {
        if datagram.hasNotice { notices.removeFirst() }
        if let status = datagram.status { sentStatus = status }
        if datagram.isPing { lastPing = now }
        if let until = datagram.extendsUntil { lastExtension = (now, until) }
        (failures, retryAt) = (0, nil)
    }

    mutating func failed(at now: Instant) {
        var delay = Self.firstRetry
        // A service manager that is gone for ever costs less and less, down to one try in a day.
        for _ in 0..<min(failures, Self.mostDoublings) { delay *= 2 }
        failures += 1
        retryAt = now + min(delay, pingInterval ?? delay)
    }

    /// When a datagram is due. `nil` means not before the next event.
    var next: Instant? {
        let isPending = !notices.isEmpty || status != sentStatus
        let due = [isPending ? .distantPast : nil, pingDue, extensionDue].compactMap { $0 }.min()
        return due.map { max($0, retryAt ?? $0) }
    }

    // MARK: Their parts

    private var status: String? {
        guard let fleet else { return nil }
        if fleet.stop != nil { return "stopping, \(fleet.children) child\(fleet.children == 1 ? "" : "ren") left" }
        return "\(fleet.ready) of \(fleet.slots) child\(fleet.slots == 1 ? "" : "ren") ready"
    }

    /// `nil` while no child is ready, so that the service manager restarts a fleet that does not serve.
    private var pingDue: Instant? {
        guard let pingInterval, let fleet, fleet.ready > 0 else { return nil }
        return lastPing.map { $0 + pingInterval } ?? .distantPast
    }

    private var stopEnd: Instant? { fleet?.stop?.killAt.map { $0 + Self.killMargin } }

    private var extensionDue: Instant? {
        guard let stopEnd else { return nil }
        guard let last = lastExtension else { return .distantPast }
        return last.until >= stopEnd ? nil : last.at + Self.extensionInterval
    }
}
