// What a simulation counts and draws.
/// The breach of an invariant.
struct Violation: Error {
    let text: String
}

/// SplitMix64 (Steele, Lea, Flood 2014). Our own, so that a seed is the same schedule under every version of Swift.
struct SplitMix64 {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }

    /// 0..<bound
    mutating func below(_ bound: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(bound)).high) }

    /// 0...limit
    mutating func time(upTo limit: Int64) -> Int64 { Int64(next().multipliedFullWidth(by: UInt64(limit) + 1).high) }

    mutating func chance(of perMille: Int) -> Bool { below(1000) < perMille }

    mutating func pick<Value>(_ values: [Value]) -> Value { values[below(values.count)] }
}

/// How often each thing happened. A simulation in which a thing never happens proves nothing about it.
struct Coverage {
    enum Kind: Int, CaseIterable {
        case inputs, recoveries, failedStarts, shortages, refusedStarts, readiness, notReady, kills, suspensions, strays
        case up, proven, poison, broken, throttled, startFailures, sparedFatal, retries
        case drains, hangUps, replacedBeside, notReplaced, replacedExits, twoInSlot, backtracesSuppressed,
            backtracesResumed
        case rotations, emptyQueues, fullQueues, deserted, killedWhileClosing
        case restarts, failedRestarts, refusedRestarts, queuedRestarts, returned, rollbacks, baked, abandoned
        case replacedByNew, replacedBack, promotedEarly, repeatedReturns, threeInSlot, grown, shrunk, retired
        case upgrades, failedUpgrades, adoptions, renewals
        case recycleRequests, recycled, aged, silent, stalled
        case orderlyStops, stopsWhileFilling, repeatedStops, secondInterrupts, hookFailures
        case gaveUp, overRecovery, childRefused, childExited
    }

    private(set) var counts = [Int](repeating: 0, count: Kind.allCases.count)

    subscript(kind: Kind) -> Int { counts[kind.rawValue] }

    mutating func note(_ kind: Kind) { counts[kind.rawValue] += 1 }

    mutating func add(_ other: Coverage) {
        for index in counts.indices { counts[index] += other.counts[index] }
    }
}
