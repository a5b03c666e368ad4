/// Remembers how earlier runs ended. A program may run one fleet after another, and a child executes the same program
/// from the start. There, earlier runs return or throw as they did in the master, and the child serves in its own run.
/// The list grows by one character for each run, so a fleet that is restarted forever belongs under a service manager.
enum EarlierRuns {
    private static let returned: Character = "r"
    private static let threw: Character = "t"
    private static let ended = LockedValueBox("")
    private static let met = LockedValueBox(0)

    /// The part that a run plays in a child.
    enum Turn {
        /// The run has already returned or thrown in the master.
        case over(PreforkError?)
        case serve
    }

    static func isValid(_ text: String) -> Bool { text.allSatisfy { $0 == returned || $0 == threw } }

    /// One character for each run that has ended in the master.
    static var outcomes: String { ended.withLock { $0 } }

    /// Continues the list of an earlier program of this process.
    static func restore(_ outcomes: String) { ended.withLock { $0 = outcomes } }

    /// Runs `body` in the master and remembers how it ended.
    static func recording(_ body: () throws -> Void) throws {
        let result = Result { try body() }
        ended.withLock { ended in
            if case .success = result { ended.append(returned) } else { ended.append(threw) }
        }
        try result.get()
    }

    /// Returns the part that a call of `run` plays in a child, or in a program that has taken the place of another one.
    /// Call it once for each such call.
    /// - Throws: ``PreforkError/Code/childHasServed`` after the child's own run.
    static func next(_ earlierRuns: String) throws(PreforkError) -> Turn {
        let index = met.withLock { met in
            defer { met += 1 }
            return met
        }
        let outcomes = Array(earlierRuns)
        if index == outcomes.count { return .serve }
        guard index < outcomes.count else { throw .childHasServed }
        return .over(outcomes[index] == returned ? nil : .earlierRunFailed)
    }
}
