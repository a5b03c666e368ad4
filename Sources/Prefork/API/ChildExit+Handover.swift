// Exits and counters as records of a handover.

extension Prefork.ChildExit {
    func handoverRecord(_ kind: String) -> HandoverRecord {
        var record = HandoverRecord(kind)
        record.set("slot", slot)
        record.set("pid", pid)
        switch reason.payload {
        case .status(let status): record.set("status", status)
        case .signal(let number, let isCoreDumped):
            record.set("signal", number)
            record.set("core", isCoreDumped)
        case .unknown: break
        case .notSpawned(let error):
            record.set("call", error.call)
            record.set("code", error.code)
            record.set("context", error.context)
            record.set("message", error.message)
        }
        record.set("lifetime", lifetime)
        record.set("was-ready", wasReady)
        record.set("out-of-memory", isProbablyOutOfMemory)
        record.set("ready-time", readyTime)
        drainOrigin?.write(to: &record)
        return record
    }

    init(_ record: HandoverRecord) throws(HandoverRecord.Fault) {
        let reason: Reason
        if let status: Int32 = try record.optional("status") {
            reason = .status(status)
        } else if let number: Int32 = try record.optional("signal") {
            reason = .signal(number, coreDumped: record.flag("core"))
        } else if let call = try record.optionalText("call") {
            reason = .notSpawned(
                .init(
                    call: call, code: try record.number("code"), context: try record.text("context"),
                    message: try record.text("message")))
        } else {
            reason = .unknown
        }
        self.init(
            slot: try record.number("slot", in: 0 ... .max),
            pid: try record.number("pid", in: 0 ... .max),
            reason: reason,
            lifetime: try record.duration("lifetime"),
            wasReady: record.flag("was-ready"),
            isProbablyOutOfMemory: record.flag("out-of-memory"),
            readyTime: try record.optionalDuration("ready-time"),
            drainOrigin: try Prefork.DrainOrigin(record))
    }
}

extension Prefork.DrainOrigin {
    func write(to record: inout HandoverRecord) {
        switch payload {
        case .program: record.set("drain", "program")
        case .closedChannel: record.set("drain", "closed-channel")
        case .master: record.set("drain", "master")
        case .signal(let sender, let user):
            record.set("drain", "signal")
            record.set("drain-sender", sender)
            record.set("drain-user", user)
        }
    }

    /// - Returns: `nil` if the record has none.
    init?(_ record: HandoverRecord) throws(HandoverRecord.Fault) {
        switch try record.optionalText("drain") {
        case nil: return nil
        case "program": self = .program
        case "closed-channel": self = .closedChannel
        case "master": self = .master
        case "signal":
            self = .signal(sender: try record.number("drain-sender"), user: try record.number("drain-user"))
        default: throw record.fault("drain")
        }
    }
}

extension Prefork.Status.Counters {
    var handoverRecord: HandoverRecord {
        var record = HandoverRecord("counters")
        // Pairs, one number after the other.
        record.set("signals", signals.sorted { $0.key < $1.key }.flatMap { [Int($0.key), $0.value] })
        record.set("statuses", statuses.sorted { $0.key < $1.key }.flatMap { [Int($0.key), $0.value] })
        for (key, count) in others { record.set(key, count) }
        return record
    }

    private var others: [(String, Int)] {
        [
            ("unknown", unknown), ("not-spawned", notSpawned), ("out-of-memory", outOfMemory),
            ("failed-starts", failedStarts), ("lost", lostWhileReady), ("unresponsive", unresponsive),
            ("recycled", recycled),
        ]
    }

    init(_ record: HandoverRecord) throws(HandoverRecord.Fault) {
        func count(_ key: String) throws(HandoverRecord.Fault) -> Int { try record.optional(key, in: 0 ... .max) ?? 0 }
        func pairs(_ key: String) throws(HandoverRecord.Fault) -> [Int32: Int] {
            let numbers: [Int] = try record.numbers(key)
            guard numbers.count.isMultiple(of: 2), numbers.allSatisfy({ $0 >= 0 }) else { throw record.fault(key) }
            var pairs: [Int32: Int] = [:]
            for index in stride(from: 0, to: numbers.count, by: 2) {
                guard let number = Int32(exactly: numbers[index]) else { throw record.fault(key) }
                pairs[number] = numbers[index + 1]
            }
            return pairs
        }
        self.init(
            signals: try pairs("signals"), statuses: try pairs("statuses"), unknown: try count("unknown"),
            notSpawned: try count("not-spawned"), outOfMemory: try count("out-of-memory"),
            failedStarts: try count("failed-starts"), lostWhileReady: try count("lost"),
            unresponsive: try count("unresponsive"), recycled: try count("recycled"))
    }
}
