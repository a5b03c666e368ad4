@testable import Prefork

/// Knows the rules of the fleet a second time, from their description and in plain numbers, and compares everything
/// that a `Supervisor` does with them. It looks at inputs and actions. Of the supervisor's own state it reads only the
/// public parts: the children in the slots, whether they accept, and the next deadline.
struct Referee {
    /// A child that was started and not reaped.
    struct Kid {
        var pid: Int32
        var generation = 1
        var spawnedAt: Int64
        var readyBy: Int64
        var readyAt: Int64?
        /// When it counts as up, and as proven. `Int64.min` once that is so.
        var upAt: Int64 = .max
        var provenAt: Int64 = .max
        var startCost: Int64?
        /// When it is old enough to be replaced.
        var recycleAt: Int64?
        /// When it must have sent its next beat.
        var beatBy: Int64?
        /// Whether it drains, or its channel is closed.
        var isWithdrawn = false
        /// The reason, if it or its channel has given one.
        var drainOrigin: Prefork.DrainOrigin?
        /// The time at which it is replaced, even if it has not exited.
        var exitDue: Int64?

        // Once it must exit:
        var cause: Supervisor.ExitCause?
        var since: Int64 = 0
        var isTold = false
        /// Whether this input asks it to exit, as a part of something planned.
        var mustBeTold = false
        /// Whether it does not respond, and is told so by SIGABRT.
        var isUnresponsive = false
        /// The time that a stop has left it.
        var killTime: Int64?
        var toldIn = 0
        /// The batch in which its time became shorter.
        var hastenedIn = 0
        var killDue: Int64 = .max
        var isKilled = false

        var accepts: Bool { readyAt != nil && !isWithdrawn && cause == nil }
        var isUp: Bool { upAt == .min }
    }

    struct Slot {
        var current: Kid?
        /// A child that is to take the place of `current`.
        var successor: Kid?
        var outgoing: [Kid] = []
        /// The build of the next child, and of the one that is being started.
        var generation = 1
        var startingGeneration = 1
        /// How often the master was short of something when it started a successor.
        var shortages = 0
        var retirement: Retirement?
        /// When a replacement is due.
        var nextTry: Int64?
        var lastPID: Int32?
        var lastSpawn: Int64 = 0
        var spawns = 0
        var failures = 0
        var recoveries = 0
        var lives: [(start: Int64, service: Int64)] = []

        var recycling: Recycling?
        /// How long to wait before the next successor, once the last one has exited.
        var retryDelay: Int64?

        var kids: [Kid] { [current, successor].compactMap { $0 } + outgoing }
        var isAccepting: Bool { current?.accepts == true || successor?.accepts == true }
        var isStarting = false
        var isIdle: Bool { successor == nil && nextTry == nil && !isStarting && retryDelay == nil }
    }

    /// How a slot leaves the fleet: its child accepts what is queued until this moment, or has done so.
    enum Retirement: Equatable { case accepting(until: Int64), accepted }

    /// A request to recycle a child.
    struct Recycling {
        var pid: Int32
        var reason: Prefork.Event.RecycleReason
        var since: Int64
    }

    /// A restart or a rollback.
    struct Renewal: Equatable {
        enum Stage: Equatable { case opening, baking(until: Int64?), replacing, returning }
        var generation: Int
        var since: Int64
        var stage = Stage.opening
        var isRollback = false
        var isUpgrade = false
        var isSame = false
        var goesBack: Bool { isRollback || stage == .returning }
    }

    /// The expected and the seen effects of the current input.
    struct Batch {
        var now: Int64 = 0
        var isTimer = false
        var suspended: Int64?
        var spawned: Int?
        var spawnedPID: Int32 = 0
        /// The child whose place the spawned one is to take.
        var predecessor: Int32?
        var ready: Int?
        var drained: Int?
        var exit: Prefork.ChildExit?
        var consequence = Prefork.Event.Consequence.expected
        var isFailedStart = false
        var stops = false
        var repeats = false
        var killsAll = false
        var closesAdmission = false
        var completesFilling = false
        var fleet: [Int32] = []
        /// The child that the input is about.
        var subject: Int32?
        /// The successors that have taken their places, by slot.
        var promoted: [Int: Int32] = [:]
        var suppresses = false
        /// What a restart or a resize leads to, in this order.
        var wanted: [Supervisor.Action] = []

        var judged: [Int32] = []
        var replaced: [Int32] = []
        var killing: Int32?
        var began = false
        var tells = false
        var askedAdmission = false
        var reportedSpawn = false
        var reportedExit = false
        var reportedReady = false
        var reportedDrain = false
        var reportedSuspension = false
        var reportedRepeat = false
        var reportedStopped = false
        var reportedSuppression = false
        var announced = false
        var announcedMaster = false
        var asked = false
    }

    enum Failure { case nothing, gaveUp, overRecovery, childRefused, childExited, spawn }

    static let second: Int64 = 1_000_000_000
    static let exitNotice: Int64 = 100_000_000
    /// The time between a child's death and the end, without the death and the master's absences.
    static let slack: Int64 = 1_000_000

    var limits: Limits
    var slots: [Slot] = []
    var batch = Batch()
    var batches = 0
    var asked: Int?
    var filled = 0
    var isFilling = true
    var hasAnnouncedMaster = false
    var stop: (since: Int64, away: Int64)?
    var target = 0
    var queuedTarget: Int?
    var renewal: Renewal?
    var isRenewalQueued = false
    var isUpgradeQueued = false
    /// When the upgrade was asked for whose children are there. The master's program follows.
    var handingOver: Int64?
    var (serving, previous, latest) = (1, Int?.none, 1)
    /// Starts that a restart or a resize has asked for.
    var planned = 0
    var hasClosed = false
    /// The slots that get new connections.
    var rotation: [Int] = []
    /// The time until which, in a stop, ready children go on accepting. `nil` if they were asked to exit, or there is
    /// no stop.
    var closing: Int64?
    var hasFinished = false
    /// How often a suspension gave the stopped children their time again.
    var extensions = 0
    var failure = Failure.nothing
    var firstInterrupt: Int64?
    /// When the supervisor was, or should have been, called.
    var expectedBy: Int64?

    var hasBeenUp = false
    /// The value of `hasBeenUp` when the stop began. A child may still come up during the stop.
    var hadBeenUp = false
    var startFailures = 0
    var shortages = 0
    var firstStartFailure: Int64 = 0
    var exits: [Prefork.ChildExit] = []
    /// Exits and failed starts that were not expected.
    var unexpected = 0
    var strictTimes: [Int64] = []
    var spawnTimes: [Int64] = []
    var poison = Bucket(perMille: 1)
    var broken = Bucket(perMille: 1)
    var crashTimes: [Int64] = []
    var isQuiet = false

    init(_ limits: Limits, now: Int64) {
        self.limits = limits
        reset(limits, now: now)
    }

    mutating func reset(_ limits: Limits, now: Int64) {
        self.limits = limits
        slots.removeAll(keepingCapacity: true)
        for _ in 0..<limits.children { slots.append(Slot()) }
        exits.removeAll(keepingCapacity: true)
        strictTimes.removeAll(keepingCapacity: true)
        spawnTimes.removeAll(keepingCapacity: true)
        crashTimes.removeAll(keepingCapacity: true)
        (asked, filled, isFilling, hasAnnouncedMaster, stop) = (nil, 0, true, false, nil)
        (firstInterrupt, hasClosed, hasFinished, extensions, failure, expectedBy) = (
            nil, false, false, 0, .nothing, nil
        )
        (rotation, closing) = (Array(slots.indices), nil)
        (target, queuedTarget, renewal, isRenewalQueued) = (limits.children, nil, nil, false)
        (serving, previous, latest, planned) = (1, nil, 1, 0)
        (isUpgradeQueued, handingOver) = (false, nil)
        (hasBeenUp, startFailures, shortages, isQuiet, unexpected) = (false, 0, 0, false, 0)
        poison = Bucket(perMille: Int64(limits.processors) * 250)
        broken = Bucket(perMille: 80)
    }

    /// Judges one input and the supervisor's actions, before any action is carried out.
    mutating func judge(
        _ input: Supervisor.Input,
        _ actions: [Supervisor.Action],
        at now: Int64,
        _ supervisor: Supervisor,
        away: Int64,
        _ coverage: inout Coverage
    ) throws(Violation) {
        batch = Batch()
        batches += 1
        batch.now = now
        let wasDue = dueTimes.map { $0 <= now } ?? false
        mayBeSilent = false
        noticeSuspension()
        confirm(&coverage)
        expect(input, &coverage)
        if batch.isTimer { expectJudgements(&coverage) }
        expectTelling(&coverage)
        expectOperations(&coverage)
        let before = batch
        for (index, action) in actions.enumerated() {
            try check(
                action, isFirst: index == 0, isLast: index == actions.count - 1, away: away, supervisor, &coverage)
        }
        try checkCompleteness(before)
        if batch.isTimer, wasDue, before.judged.isEmpty, before.replaced.isEmpty, !mayBeSilent, !batch.asked {
            try require(!actions.isEmpty, "a timer that was due led to nothing")
        }
        try checkState(supervisor)
        if slots.contains(where: { $0.current != nil && !$0.outgoing.isEmpty }) { coverage.note(.twoInSlot) }
        if slots.contains(where: { $0.successor != nil && !$0.outgoing.isEmpty }) { coverage.note(.threeInSlot) }
        expectedBy = dueTimes.map { max($0, now) }
    }

    /// The timer of a child that is up now, or that gets its time again, leads to no action.
    var mayBeSilent = false

    // MARK: Looking up

    func slotWithCurrent(_ pid: Int32) -> Int? { slots.firstIndex { $0.current?.pid == pid } }
    func slotWithSuccessor(_ pid: Int32) -> Int? { slots.firstIndex { $0.successor?.pid == pid } }

    func kid(_ pid: Int32) -> Kid? {
        for slot in slots { for kid in slot.kids where kid.pid == pid { return kid } }
        return nil
    }

    func hasBeenReady(_ pid: Int32) -> Bool { kid(pid)?.readyAt != nil }
    func hasWithdrawn(_ pid: Int32) -> Bool { kid(pid).map { $0.isWithdrawn || $0.cause != nil } ?? false }

    var acceptingSlots: [Int] { slots.indices.filter { slots[$0].isAccepting } }

    /// The times at which something is due. An earlier deadline keeps the master busy, and a later one lets a child
    /// wait.
    var dueTimes: Int64? {
        if isFilling { return .min }
        var due = closing ?? .max
        for slot in slots {
            due = min(due, slot.nextTry ?? .max)
            if case .accepting(let until) = slot.retirement { due = min(due, until) }
            for kid in [slot.current, slot.successor].compactMap({ $0 }) {
                if kid.readyAt == nil {
                    due = min(due, kid.readyBy)
                } else if !kid.isWithdrawn {
                    if kid.upAt != .min { due = min(due, kid.upAt) }
                    if kid.provenAt != .min { due = min(due, kid.provenAt) }
                    due = min(due, kid.recycleAt ?? .max, kid.beatBy ?? .max)
                }
                due = min(due, kid.exitDue ?? .max)
            }
            for kid in slot.outgoing where !kid.isKilled { due = min(due, kid.killDue) }
        }
        if case .baking(let until?) = renewal?.stage { due = min(due, until) }
        return due == .max && !hasEndlessTimer ? nil : due
    }

    /// A time that a clock cannot reach is a deadline, too.
    private var hasEndlessTimer: Bool {
        closing == .max
            || slots.contains { slot in
                slot.nextTry == .max || slot.outgoing.contains { !$0.isKilled && $0.killDue == .max }
                    || [slot.current, slot.successor].contains { kid in
                        kid.map { $0.readyAt == nil && $0.readyBy == .max } == true
                    }
                    || slot.retirement == .accepting(until: .max)
            }
    }

    func sum(_ time: Int64, _ duration: Int64) -> Int64 {
        let (sum, overflow) = time.addingReportingOverflow(duration)
        return overflow ? .max : sum
    }

    /// A bucket of processor time, refilled at this many thousandths of a processor.
    struct Bucket {
        let perMille: Int64
        var level: Int64
        var updated: Int64?

        init(perMille: Int64) {
            self.perMille = perMille
            level = 10_000_000 * perMille
        }

        /// - Returns: how long the next start must wait.
        mutating func spend(_ cost: Int64, at now: Int64) -> Int64 {
            let full = 10_000_000 * perMille
            if let updated {
                level = now - updated > 40_000_000_000 ? full : min(full, level + (now - updated) / 1000 * perMille)
            }
            updated = now
            level = max(-3 * full, level - min(3 * full, cost))
            return level >= 0 ? 0 : -level / perMille * 1000
        }
    }
}
