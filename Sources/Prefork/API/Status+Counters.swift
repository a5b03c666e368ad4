extension Prefork.Status {
    /// Unexpected exits since the fleet started, by reason. The numbers only grow.
    ///
    /// Exits while the fleet stops do not count.
    public struct Counters: Sendable, Hashable, CustomStringConvertible {
        /// Children that a signal killed, by the signal's number.
        public private(set) var signals: [Int32: Int] = [:]
        /// Children that exited by themselves, by their exit status.
        public private(set) var statuses: [Int32: Int] = [:]
        /// Children whose status is lost, because other code in the master's process waited for them.
        public private(set) var unknown = 0
        /// Starts that failed because the operating system or the program's `spawn` closure refused them.
        public private(set) var notSpawned = 0
        /// Children that the kernel's out-of-memory killer has probably killed. They count in ``signals``, too.
        public private(set) var outOfMemory = 0
        /// Starts that did not lead to a ready child: those of ``notSpawned``, and children that exited before they
        /// were ready, or were not ready in time. The children count by signal or status, too.
        public private(set) var failedStarts = 0
        /// Children that were ready when they exited without being asked to.
        public private(set) var lostWhileReady = 0
        /// Children that did not respond, and were replaced. They count by signal when they exit, too.
        public private(set) var unresponsive = 0
        /// Children that were replaced because of their age, their memory or a request. Not a part of ``total``.
        public private(set) var recycled = 0

        init() {}

        init(
            signals: [Int32: Int], statuses: [Int32: Int], unknown: Int, notSpawned: Int, outOfMemory: Int,
            failedStarts: Int, lostWhileReady: Int, unresponsive: Int, recycled: Int
        ) {
            (self.signals, self.statuses, self.unknown, self.notSpawned) = (signals, statuses, unknown, notSpawned)
            (self.outOfMemory, self.failedStarts, self.lostWhileReady) = (outOfMemory, failedStarts, lostWhileReady)
            (self.unresponsive, self.recycled) = (unresponsive, recycled)
        }

        /// All of them: every child that ended unexpectedly, and every start that was refused.
        public var total: Int {
            signals.values.reduce(0, +) + statuses.values.reduce(0, +) + unknown + notSpawned
        }

        /// For example `12 by signal 4 (ILL), 1 with status 70; 2 failed starts`. `none` if nothing happened.
        public var description: String {
            if total == 0 { return "none" }
            var causes = signals.sorted { $0.key < $1.key }.map { "\($0.value) by signal \(Signal(number: $0.key))" }
            causes += statuses.sorted { $0.key < $1.key }.map { "\($0.value) with status \($0.key)" }
            if unknown > 0 { causes.append("\(unknown) with a lost status") }
            if notSpawned > 0 { causes.append("\(notSpawned) not started") }
            var text = causes.concatenated(separator: ", ")
            if outOfMemory > 0 { text += "; \(outOfMemory) probably out of memory" }
            if unresponsive > 0 { text += "; \(unresponsive) did not respond" }
            if failedStarts > 0 { text += "; \(failedStarts) failed start\(failedStarts == 1 ? "" : "s")" }
            return text
        }

        mutating func noteUnresponsive() { unresponsive += 1 }
        mutating func noteRecycled() { recycled += 1 }

        mutating func note(_ exit: Prefork.ChildExit) {
            switch exit.reason.payload {
            case .signal(let number, _): signals[number, default: 0] += 1
            case .status(let status): statuses[status, default: 0] += 1
            case .unknown: unknown += 1
            case .notSpawned: notSpawned += 1
            }
            if exit.isProbablyOutOfMemory { outOfMemory += 1 }
            if exit.wasReady { lostWhileReady += 1 } else { failedStarts += 1 }
        }
    }
}
