extension Prefork.Configuration {
    /// The largest number of children that a fleet may have.
    static let mostChildren = 4096
    static let concurrencyVariable = "WEB_CONCURRENCY"

    /// The number of children. `exceeds` is the number of allowed processors if an explicit number is larger.
    /// - Parameters:
    ///   - variable: the value of WEB_CONCURRENCY. It replaces the default only; an explicit number wins, as in Puma.
    ///   - allowed: the number of processors that affinity and quota allow.
    func resolvedChildren(variable: String?, allowed: Int) throws(PreforkError) -> (count: Int, exceeds: Int?) {
        if let children {
            try require("children", (1...Self.mostChildren).contains(children), "\(children) is not in 1...4096")
            return (children, children > allowed ? allowed : nil)
        }
        guard let variable, variable != "", variable != "auto" else { return (allowed, nil) }
        guard let number: Int = plainNumber(variable), (1...Self.mostChildren).contains(number) else {
            // Puma and others serve without children then. A fleet has at least one.
            let hint = variable == "0" ? "; set 1 for a single child, or unset it for one per processor" : ""
            throw .invalidConfiguration(
                Self.concurrencyVariable,
                reason: "\(quoted(variable)) is neither a number in 1...4096 nor \"auto\"\(hint)"
            )
        }
        return (number, nil)
    }

    /// - Throws: the first fault, with the path of its property.
    func check() throws(PreforkError) {
        try sockets.check()
        try program.check()
        try recovery.check()
        try requirePositive("readiness.timeout", readiness.timeout)
        if let settleTime = readiness.settleTime { try requireNotNegative("readiness.settleTime", settleTime) }
        try require(
            "restart.concurrency", (1...Self.mostChildren).contains(restart.concurrency),
            "\(restart.concurrency) is not in 1...4096")
        if let timeout = health.heartbeatTimeout { try requirePositive("health.heartbeatTimeout", timeout) }
        if let timeout = health.queueStallTimeout { try requirePositive("health.queueStallTimeout", timeout) }
        try requireNotNegative("health.abortGrace", health.abortGrace)
        if let age = recycling.after { try requirePositive("recycling.after", age) }
        if let bytes = recycling.above { try require("recycling.above", bytes > 0, "\(bytes) is not positive") }
        try requirePositive("recycling.interval", recycling.interval)
        if let bake = restart.bake { try requirePositive("restart.bake", bake) }
        try requireNotNegative("shutdown.gracePeriod", shutdown.gracePeriod)
        try requireNotNegative("shutdown.queueDrainPeriod", shutdown.queueDrainPeriod)
        try requirePositive("masterDeath.pollInterval", masterDeath.pollInterval)
        if let controlSocket { try checkControlSocket(controlSocket) }
        if let orphanReapDelay { try requireNotNegative("orphanReapDelay", orphanReapDelay) }
    }
}

extension Prefork.Configuration {
    private func checkControlSocket(_ path: String) throws(PreforkError) {
        let address = Prefork.Address.unix(path)
        if let fault = address.fault { throw .invalidConfiguration("controlSocket", reason: fault) }
        try require("controlSocket", !address.isAbstract, "an abstract name has no permissions")
        let (length, longest) = (path.utf8.count, PlatformListener.longestPath)
        try require("controlSocket", length <= longest, "the path has \(length) bytes, at most \(longest)")
    }
}

extension Prefork.Configuration.Sockets {
    fileprivate func check() throws(PreforkError) {
        try require(
            "sockets.backlog", (1...Int(Int32.max)).contains(backlog), "\(backlog) is not a positive 32-bit number")
        if let attempts = bindRetry.attempts {
            try require("sockets.bindRetry.attempts", attempts >= 0, "\(attempts) is negative")
        }
        try requirePositive("sockets.bindRetry.interval", bindRetry.interval)
        if let deferAccept { try requirePositive("sockets.deferAccept", deferAccept) }
        if let fastOpen {
            try require(
                "sockets.fastOpen", (1...Int(Int32.max)).contains(fastOpen),
                "\(fastOpen) is not a positive 32-bit number")
        }
        if let queueAlarm {
            let share = queueAlarm.share
            try require(
                "sockets.queueAlarm.share", share > 0 && share <= 1, "\(share) is not greater than 0 and at most 1")
            try requirePositive("sockets.queueAlarm.interval", queueAlarm.interval)
        }
    }
}

extension Prefork.Configuration.Program {
    fileprivate func check() throws(PreforkError) {
        if let executable {
            try require(
                "program.executable",
                !executable.isEmpty && !executable.utf8.contains(0),
                "\(quoted(executable)) is not a path"
            )
        }
        for argument in arguments ?? [] {
            try require("program.arguments", !argument.utf8.contains(0), "\(quoted(argument)) contains a NUL")
        }
        for (name, value) in environment {
            let valid = !name.isEmpty && !name.utf8.contains { $0 == 0 || $0 == UInt8(ascii: "=") }
            try require("program.environment", valid, "\(quoted(name)) is not the name of a variable")
            try require("program.environment", !value.utf8.contains(0), "the value of \(name) contains a NUL")
            try require("program.environment", !Handshake.names.contains(name), "\(name) is set by Prefork")
        }
    }
}

extension Prefork.Configuration.Recovery {
    fileprivate func check() throws(PreforkError) {
        if case .exits(let count) = threshold { try require("recovery.threshold", count >= 0, "\(count) is negative") }
        if let window { try requirePositive("recovery.window", window) }
        if let limitPerSlot { try require("recovery.limitPerSlot", limitPerSlot >= 0, "\(limitPerSlot) is negative") }
        let all = [delays.first, delays.next, delays.maximum]
        try require("recovery.delays", all.allSatisfy { $0 >= .zero }, "a delay is negative")
        try require(
            "recovery.delays", all.allSatisfy { $0 <= delays.maximum }, "a delay is longer than the maximum")
        try require(
            "recovery.fatalExitStatuses", fatalExitStatuses.allSatisfy { (0...255).contains($0) },
            "a status is not in 0...255")
    }
}

private func requirePositive(_ path: String, _ duration: Duration) throws(PreforkError) {
    try require(path, duration > .zero, "\(duration.inSeconds) is not positive")
}

private func requireNotNegative(_ path: String, _ duration: Duration) throws(PreforkError) {
    try require(path, duration >= .zero, "\(duration.inSeconds) is negative")
}

private func require(
    _ path: String, _ condition: Bool, _ reason: @autoclosure () -> String
) throws(PreforkError) {
    if !condition { throw .invalidConfiguration(path, reason: reason()) }
}
