/// A program may run one fleet after another. A child executes the same program from its beginning, so it meets the
/// runs that its master has behind it once more: they return or throw there as they did in the master, and it serves
/// in its own. The list grows by a character a run; a fleet that is to be started anew for ever belongs under a
/// supervisor of services.
enum EarlierRuns {
    private static let returned: Character = "r"
    private static let threw: Character = "t"
    private static let ended = LockedValueBox("")
    private static let met = LockedValueBox(0)

    /// What a run is in a child.
    enum Turn {
        /// It belongs to the master's past, where it threw or returned.
        case over(PreforkError?)
        case serve
    }

    static func isValid(_ text: String) -> Bool { text.allSatisfy { $0 == returned || $0 == threw } }

    /// In the master: one character for each run that has ended.
    static var outcomes: String { ended.withLock { $0 } }

    /// In the master: runs `body` and remembers how it ended.
    static func recording(_ body: () throws -> Void) throws {
        let result = Result { try body() }
        ended.withLock { ended in
            if case .success = result { ended.append(returned) } else { ended.append(threw) }
        }
        try result.get()
    }

    /// In a child, once for each call of `run`.
    /// - Throws: ``PreforkError/Code/childHasServed`` after its own.
    static func next(_ handshake: Handshake) throws(PreforkError) -> Turn {
        let index = met.withLock { met in
            defer { met += 1 }
            return met
        }
        let outcomes = Array(handshake.earlierRuns)
        if index == outcomes.count { return .serve }
        guard index < outcomes.count else { throw .childHasServed }
        return .over(outcomes[index] == returned ? nil : .earlierRunFailed)
    }
}
