extension Prefork.Configuration {
    /// The most children that a fleet may have.
    static let mostChildren = 4096
    static let concurrencyVariable = "WEB_CONCURRENCY"

    /// The number of children, and what was allowed where an explicit number is above that.
    /// - Parameters:
    ///   - variable: the value of WEB_CONCURRENCY; it replaces the default only, an explicit number wins (as in Puma).
    ///   - allowed: what affinity and quota allow.
    func resolvedChildren(variable: String?, allowed: Int) throws(PreforkError) -> (count: Int, exceeds: Int?) {
        if let children {
            try require("children", (1...Self.mostChildren).contains(children), "\(children) is not in 1...4096")
            return (children, children > allowed ? allowed : nil)
        }
        guard let variable, variable != "", variable != "auto" else { return (allowed, nil) }
        guard variable.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(variable),
            (1...Self.mostChildren).contains(number)
        else {
            throw .invalidConfiguration(
                Self.concurrencyVariable,
                reason: "\(quoted(variable)) is not a number in 1...4096, nor \"auto\""
            )
        }
        return (number, nil)
    }

    /// - Throws: the first thing that is wrong, by its name.
    func check() throws(PreforkError) {
        try require("backlog", (1...Int(Int32.max)).contains(backlog), "\(backlog) is not a positive 32-bit number")
        try require("bindRetry.attempts", (bindRetry.attempts ?? 0) >= 0, "\(bindRetry.attempts ?? 0) is negative")
        try requirePositive("bindRetry.interval", bindRetry.interval)
        if let deferAccept { try requirePositive("deferAccept", deferAccept) }
        if let fastOpen {
            try require(
                "fastOpen", (1...Int(Int32.max)).contains(fastOpen), "\(fastOpen) is not a positive 32-bit number")
        }
        if let queueAlarm {
            let share = queueAlarm.share
            try require("queueAlarm.share", share > 0 && share <= 1, "\(share) is not above 0 and at most 1")
            try requirePositive("queueAlarm.interval", queueAlarm.interval)
        }
        try checkProgram()
        switch recoverThreshold {
        case .perChild(let count), .exits(let count):
            try require("recoverThreshold", count >= 0, "\(count) is negative")
        case .unlimited:
            // Without a limit the delays are all that stands between a crash loop and a busy machine.
            let positive = recoverInterval.next > .zero && recoverInterval.maximum > .zero
            try require("recoverInterval", positive, "without a recoverThreshold it must not be zero")
            try require("healthyAfter", healthyAfter > .zero, "without a recoverThreshold it must not be zero")
        case .never: break
        }
        if let recoverWindow { try requirePositive("recoverWindow", recoverWindow) }
        try require("recoverLimitPerSlot", (recoverLimitPerSlot ?? 0) >= 0, "\(recoverLimitPerSlot ?? 0) is negative")
        let intervals = [recoverInterval.first, recoverInterval.next, recoverInterval.maximum]
        try require("recoverInterval", intervals.allSatisfy { $0 >= .zero }, "a delay is negative")
        try require(
            "recoverInterval",
            intervals.allSatisfy { $0 <= recoverInterval.maximum },
            "a delay is above the maximum"
        )
        try require("healthyAfter", healthyAfter >= .zero, "\(healthyAfter.inSeconds) is negative")
        try require("shutdownGracePeriod", shutdownGracePeriod >= .zero, "\(shutdownGracePeriod.inSeconds) is negative")
        try require("queueDrainPeriod", queueDrainPeriod >= .zero, "\(queueDrainPeriod.inSeconds) is negative")
        try requirePositive("readinessTimeout", readinessTimeout)
        try requirePositive("parentPollInterval", parentPollInterval)
        if let orphanReapDelay {
            try require("orphanReapDelay", orphanReapDelay >= .zero, "\(orphanReapDelay.inSeconds) is negative")
        }
        try require(
            "fatalExitStatuses", fatalExitStatuses.allSatisfy { (0...255).contains($0) }, "a status is not in 0...255")
    }

    private func checkProgram() throws(PreforkError) {
        if let executable {
            try require(
                "executable",
                !executable.isEmpty && !executable.utf8.contains(0),
                "\(quoted(executable)) is no path"
            )
        }
        for argument in arguments ?? [] {
            try require("arguments", !argument.utf8.contains(0), "\(quoted(argument)) contains a NUL")
        }
        for (name, value) in environment {
            let valid = !name.isEmpty && !name.utf8.contains { $0 == 0 || $0 == UInt8(ascii: "=") }
            try require("environment", valid, "\(quoted(name)) is no name of a variable")
            try require("environment", !value.utf8.contains(0), "the value of \(name) contains a NUL")
            try require("environment", !Handshake.names.contains(name), "\(name) is set by Prefork")
        }
    }

    private func requirePositive(_ name: String, _ duration: Duration) throws(PreforkError) {
        try require(name, duration > .zero, "\(duration.inSeconds) is not positive")
    }

    private func require(
        _ name: String,
        _ condition: Bool,
        _ reason: @autoclosure () -> String
    ) throws(PreforkError) {
        if !condition { throw .invalidConfiguration(name, reason: reason()) }
    }
}
