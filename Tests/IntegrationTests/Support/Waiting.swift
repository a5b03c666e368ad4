// How tests wait, and for how long.
#if os(Linux)
    import PreforkLibc
    import Testing

    /// A test cannot go on.
    struct Failure: Error, CustomStringConvertible {
        let description: String
        /// Whether the description includes what the process under test has said.
        var includesLog = false
    }

    /// Asks until the answer is yes.
    /// - Throws: `Failure` at the deadline.
    func eventually(
        _ what: @autoclosure () -> String,
        within seconds: Double = 20,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: () throws -> Bool
    ) throws {
        let end = ContinuousClock.now + .seconds(seconds)
        while try !condition() {
            guard ContinuousClock.now < end else {
                let place = "\(sourceLocation.fileName):\(sourceLocation.line)"
                throw Failure(description: "not within \(seconds) s: \(what()) (\(place))")
            }
            poll(nil, 0, 2)
        }
    }

    /// Whether a sanitizer makes durations and memory meaningless.
    let isSanitized = currentEnvironment()["PREFORK_SANITIZED"] != nil

    /// How often the loops of the long tests run: `count` times the factor in PREFORK_REPEAT, or a tenth of it by
    /// default.
    func repetitions(_ count: Int) -> Int {
        let factor = Double(currentEnvironment()["PREFORK_REPEAT"] ?? "") ?? 0.1
        return max(1, Int(Double(count) * factor))
    }
#endif
