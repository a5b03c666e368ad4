/// The slots of a fleet, and the answers to what the rules ask about all of them. A change of one slot updates the
/// answers, so that no question takes longer in a larger fleet.
struct Slots: RandomAccessCollection {
    /// Whether a slot is of a kind that the rules look for.
    struct Trait: OptionSet {
        let rawValue: UInt16

        /// The slot has a child, or is about to get one.
        static let occupied = Trait(rawValue: 1 << 0)
        /// A child of it accepts connections.
        static let accepting = Trait(rawValue: 1 << 1)
        /// Its current child is up.
        static let up = Trait(rawValue: 1 << 2)
        /// Its current child is up and accepts connections.
        static let serving = Trait(rawValue: 1 << 3)
        static let proven = Trait(rawValue: 1 << 4)
        /// Its next successor has a delay, which begins when the last one has exited.
        static let retrying = Trait(rawValue: 1 << 5)
        /// It leaves the fleet and waits for its queue, but its child accepts nothing.
        static let deserted = Trait(rawValue: 1 << 6)
        /// It leaves the fleet, and the next step is to ask its child to exit.
        static let leaving = Trait(rawValue: 1 << 7)
        /// The child that was to be recycled is gone.
        static let recycled = Trait(rawValue: 1 << 8)
        /// The successor of a child that is recycled is there, or on its way.
        static let beingRecycled = Trait(rawValue: 1 << 9)

        // What a restart asks, about the build that it leads to.

        /// No child of that build is up, or another one is on its way.
        static let unsettled = Trait(rawValue: 1 << 10)
        /// It has got its turn, and is unsettled.
        static let turning = Trait(rawValue: 1 << 11)
        /// It has a child of another build, beside those that exit, or the next one is.
        static let mixed = Trait(rawValue: 1 << 12)
        /// It can get its turn.
        static let replaceable = Trait(rawValue: 1 << 13)
        /// It can get its turn, and has no child that would serve meanwhile.
        static let vacant = Trait(rawValue: 1 << 14)

        fileprivate static let count = 15
    }

    /// What a restart wants.
    struct Aim: Equatable {
        /// The build that all slots are to have.
        let generation: Int
        /// Whether that build has served before.
        let goesBack: Bool
    }

    private var slots: [Supervisor.Slot]
    private var traits: [Trait]
    /// For each trait, the slots that have it.
    private var sets = Array(repeating: SlotSet(), count: Trait.count)
    /// When a child of a slot counts as up or proven, or a slot that leaves the fleet no longer waits for its queue.
    /// The rules act at these times, whatever input comes.
    private(set) var passages = SlotTimes()
    /// When the timer must act on a child.
    private(set) var judgements = SlotTimes()
    /// When the next try of a slot is due.
    private(set) var tries = SlotTimes()
    /// Since when a child waits to be recycled, if it can be.
    private(set) var recyclings = SlotTimes()
    /// The slots that have changed since they were taken the last time.
    private var changed: SlotSet

    init(count: Int) {
        slots = Array(repeating: Supervisor.Slot(), count: count)
        traits = Array(repeating: [], count: count)
        changed = SlotSet(0..<count)
    }

    var startIndex: Int { 0 }
    var endIndex: Int { slots.count }

    subscript(index: Int) -> Supervisor.Slot {
        _read { yield slots[index] }
        _modify {
            defer { note(index) }
            yield &slots[index]
        }
    }

    mutating func append(_ slot: Supervisor.Slot) {
        slots.append(slot)
        traits.append([])
        note(slots.count - 1)
    }

    /// `nil` without a restart.
    var aim: Aim? {
        didSet {
            if aim == oldValue { return }
            for index in slots.indices { note(index) }
        }
    }

    // MARK: Answers

    /// The slots with this trait.
    func all(_ trait: Trait) -> SlotSet { sets[trait.rawValue.trailingZeroBitCount] }

    /// When the first of the slots has something to do.
    var nextDeadline: Instant? {
        SlotTimes.earlier(tries.earliest, SlotTimes.earlier(passages.earliest, judgements.earliest))
    }

    /// The slots that have changed since the last call, and at first all of them.
    mutating func takeChanged() -> SlotSet {
        defer { changed = [] }
        return changed
    }

    private mutating func note(_ index: Int) {
        let (before, now) = (traits[index], slots[index].traits(aim))
        traits[index] = now
        var different = before.symmetricDifference(now).rawValue
        while different != 0 {
            let bit = different.trailingZeroBitCount
            different &= different - 1
            if now.rawValue & 1 << UInt16(bit) != 0 { sets[bit].insert(index) } else { sets[bit].remove(index) }
        }
        passages.set(index, slots[index].nextPassage)
        judgements.set(index, slots[index].nextJudgement)
        tries.set(index, slots[index].nextTry)
        recyclings.set(index, slots[index].mayRecycle ? slots[index].recycling?.since : nil)
        changed.insert(index)
    }
}

extension Supervisor.Slot {
    fileprivate func traits(_ aim: Slots.Aim?) -> Slots.Trait {
        var traits: Slots.Trait = []
        if !isEmpty { traits.insert(.occupied) }
        if isAccepting { traits.insert(.accepting) }
        if let current {
            if current.isUp { traits.insert(.up) }
            if current.isUp, current.isAccepting { traits.insert(.serving) }
            if current.isProven { traits.insert(.proven) }
        }
        if retryDelay != nil { traits.insert(.retrying) }
        switch retirement {
        case .none: break
        case .accepting: if current?.isAccepting != true { traits.insert(.deserted) }
        // One that an earlier resize has asked to exit goes first.
        case .accepted: if !isExiting(because: .resize) { traits.insert(.leaving) }
        }
        if let recycling {
            if current?.pid != recycling.pid { traits.insert(.recycled) }
            if !isIdle { traits.insert(.beingRecycled) }
        }
        guard let aim else { return traits }
        if !isSettled(aim.generation) { traits.insert(.unsettled) }
        if generation == aim.generation, !isSettled(aim.generation) { traits.insert(.turning) }
        if !hasOnly(aim.generation) { traits.insert(.mixed) }
        if mayReplace(aim) { traits.insert(current == nil ? [.replaceable, .vacant] : .replaceable) }
        return traits
    }

    /// Whether its child waits to be replaced, and nothing keeps a successor from being started.
    fileprivate var mayRecycle: Bool {
        recycling != nil && current?.isAccepting == true && isIdle && outgoing.isEmpty
    }
}
