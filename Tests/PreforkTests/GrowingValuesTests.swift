import Testing

@testable import Prefork

private let address = Prefork.Address.tcp("127.0.0.1", port: 80)
private let systemError = Prefork.SystemError(call: "bind", code: 13)
private let exit = Prefork.ChildExit(
    slot: 1, pid: 7, reason: .status(3), lifetime: .seconds(2), wasReady: true)
private let status = Prefork.Status(masterPID: 7, addresses: [], isStopping: false, slots: [], listeners: [])

/// Each event's code and the details that its documentation promises.
private let events: [(Prefork.Event, code: String, details: Set<String>)] = [
    (.mechanisms(.init(exitNotice: .pidfd, descriptorClosing: .closefrom)), "mechanisms", ["mechanisms"]),
    (.procIsMissing(program: "/bin/app"), "procIsMissing", ["path"]),
    (.moreChildrenThanProcessors(children: 8, allowed: 2), "moreChildrenThanProcessors", ["count", "limit"]),
    (.notAdopted(2), "notAdopted", ["count"]),
    (.ignoredVariable(reason: "A is x"), "ignoredVariable", ["reason"]),
    (
        .bindRetry(address, systemError, attempt: 1, of: 5, after: .seconds(1)), "bindRetry",
        ["address", "count", "limit", "duration", "systemError"]
    ),
    (.listening([address]), "listening", ["addresses"]),
    (.sharing(reason: "old"), "sharing", ["reason"]),
    (.spawned(slot: 1, pid: 7, replaces: 6), "spawned", ["slot", "pid", "replacedPID"]),
    (.spawned(slot: 1, pid: 7, replaces: nil), "spawned", ["slot", "pid"]),
    (.spawnFailed(exit, .givingUp), "spawnFailed", ["slot", "exit", "consequence"]),
    (.ready(slot: 1, pid: 7, after: .seconds(1)), "ready", ["slot", "pid", "duration"]),
    (.fleetReady(children: 4, after: .seconds(1)), "fleetReady", ["count", "duration"]),
    (.upgraded(generation: 2, after: .seconds(3)), "upgraded", ["duration"]),
    (.upgradeFailed(generation: 2, reason: "execve"), "upgradeFailed", ["reason"]),
    (.draining(slot: 1, pid: 7, .program), "draining", ["slot", "pid", "drainOrigin"]),
    (.notReady(slot: 1, pid: 7, after: .seconds(1)), "notReady", ["slot", "pid", "duration"]),
    (.exited(exit, .expected), "exited", ["slot", "pid", "exit", "consequence"]),
    (
        .killing(slot: 1, pid: 7, .notDrained, after: .seconds(5)), "killing",
        ["slot", "pid", "killReason", "duration"]
    ),
    (.backtracesSuppressed, "backtracesSuppressed", []),
    (.backtracesResumed, "backtracesResumed", []),
    (.steeringRefused(address, systemError), "steeringRefused", ["address", "systemError"]),
    (
        .queueFilling(address, slot: 1, .init(waiting: 3, limit: 4)), "queueFilling",
        ["address", "slot", "queue"]
    ),
    (
        .listenerStopped(address, by: .init(slot: 1, pid: 7, isCertain: true), .listens), "listenerStopped",
        ["address", "slot", "pid", "reason"]
    ),
    (
        .listenerStopped(address, by: nil, .failed(systemError)), "listenerStopped",
        ["address", "reason", "systemError"]
    ),
    (.socketFileRemoved(address, .replaced), "socketFileRemoved", ["address", "reason"]),
    (.stopping(.request, grace: .seconds(5)), "stopping", ["stopReason", "duration"]),
    (.alreadyStopping(.request, remaining: .seconds(5)), "alreadyStopping", ["stopReason", "duration"]),
    (.admissionStaysOpen(address, reason: "unix"), "admissionStaysOpen", ["address", "reason"]),
    (.stopped, "stopped", []),
    (.suspended(.seconds(9)), "suspended", ["duration"]),
    (.reapedOrphans([7]), "reapedOrphans", ["pids"]),
    (.status(status), "status", ["status"]),
    (.systemError(systemError), "systemError", ["systemError"]),
]

private let errors: [(PreforkError, code: String, details: Set<String>)] = [
    (.invalidAddress("x", reason: "no port"), "invalidAddress", ["subject", "reason"]),
    (.invalidConfiguration("recovery.window", reason: "0 s"), "invalidConfiguration", ["subject", "reason"]),
    (.invalidTLSIdentity("no key"), "invalidTLSIdentity", ["reason"]),
    (.invalidHandshake(reason: "x"), "invalidHandshake", ["reason"]),
    (.invalidHandover(reason: "x"), "invalidHandover", ["reason"]),
    (.alreadyRunning, "alreadyRunning", []),
    (.cannotListen(address, systemError), "cannotListen", ["address", "systemError"]),
    (.cannotAdopt(7, reason: "x"), "cannotAdopt", ["descriptor", "reason"]),
    (.noActivatedSockets(reason: "x"), "noActivatedSockets", ["reason"]),
    (.overRecovery([exit]), "overRecovery", ["exits"]),
    (.childExited(exit), "childExited", ["exits"]),
    (.childRefused(exit), "childRefused", ["exits"]),
    (.spawnClosureFailed(slot: 1, Plain(text: "x")), "spawnClosureFailed", ["slot", "underlyingError"]),
    (.spawnedStranger(slot: 1, pid: 7), "spawnedStranger", ["slot", "pid"]),
    (.masterIsGone(pid: 7), "masterIsGone", ["pid"]),
    (.earlierRunFailed, "earlierRunFailed", []),
    (.childHasServed, "childHasServed", []),
    (.listenerTaken(index: 1), "listenerTaken", ["index"]),
    (.noSuchListener(index: 1, count: 1), "noSuchListener", ["index", "count"]),
    (.noListenerNamed("web"), "noListenerNamed", ["subject"]),
    (.system(systemError), "system", ["systemError"]),
]

/// An error that is not `Equatable`.
private struct Plain: Error { var text: String }
private struct Comparable: Error, Hashable { var text: String }

@Suite("Values that can grow") struct GrowingValuesTests {
    @Test("Each event has its code, and the details that the code names")
    func eventDetails() {
        for (event, code, details) in events {
            #expect(event.code.description == code)
            let found: [(String, Any?)] = [
                ("slot", event.slot), ("pid", event.pid), ("replacedPID", event.replacedPID), ("exit", event.exit),
                ("consequence", event.consequence), ("drainOrigin", event.drainOrigin),
                ("killReason", event.killReason), ("address", event.address),
                ("addresses", event.addresses.isEmpty ? nil : event.addresses), ("queue", event.queue),
                ("stopReason", event.stopReason), ("systemError", event.systemError), ("duration", event.duration),
                ("count", event.count), ("limit", event.limit), ("reason", event.reason), ("path", event.path),
                ("pids", event.pids.isEmpty ? nil : event.pids), ("mechanisms", event.mechanisms),
                ("status", event.status),
            ]
            #expect(Set(found.filter { $0.1 != nil }.map(\.0)) == details, "\(code)")
        }
        #expect(Set(events.map(\.0)).count == events.count)
    }

    @Test("Each error has its code, and the details that the code names")
    func errorDetails() {
        for (error, code, details) in errors {
            #expect(error.code.description == code)
            let found: [(String, Any?)] = [
                ("systemError", error.systemError), ("exits", error.exits.isEmpty ? nil : error.exits),
                ("underlyingError", error.underlyingError), ("reason", error.reason), ("subject", error.subject),
                ("address", error.address), ("descriptor", error.descriptor), ("slot", error.slot),
                ("pid", error.pid), ("index", error.index), ("count", error.count),
            ]
            #expect(Set(found.filter { $0.1 != nil }.map(\.0)) == details, "\(code)")
        }
        #expect(Set(errors.map(\.0)).count == errors.count)
        #expect(Set(errors.map(\.0.code)).count == errors.count)
    }

    @Test("The smaller values have their codes and details, too")
    func details() {
        let reason = Prefork.ChildExit.Reason.signal(9, coreDumped: true)
        #expect((reason.code, reason.signal, reason.isCoreDumped) == (.signal, 9, true))
        #expect(exit.reason.code == .status && exit.reason.status == 3 && exit.reason.signal == nil)
        #expect(Prefork.ChildExit.Reason.notSpawned(systemError).systemError == systemError)
        #expect(Prefork.ChildExit.Reason.unknown.code == .unknown)
        let stop = Prefork.StopReason.signal(15)
        #expect((stop.code, stop.signal, stop.message) == (.signal, 15, nil))
        #expect(Prefork.StopReason.failure("x").message == "x")
        let recovering = Prefork.Event.Consequence.recovering(after: .seconds(1))
        #expect((recovering.code, recovering.delay) == (.recovering, .seconds(1)))
        #expect(Prefork.Event.Consequence.expected.delay == nil)
        let origin = Prefork.DrainOrigin.signal(sender: 9, user: 1)
        #expect((origin.code, origin.sender, origin.user) == (.signal, 9, 1))
        let states: [(Prefork.Status.State, Prefork.Status.State.Code, Int32?, Duration?, String)] = [
            (.empty, .empty, nil, nil, "empty"), (.starting(pid: 7), .starting, 7, nil, "starting 7"),
            (.ready(pid: 7), .ready, 7, nil, "ready 7"), (.stopping(pid: 7), .stopping, 7, nil, "stopping 7"),
            (.backingOff(.seconds(1)), .backingOff, nil, .seconds(1), "backing off 1 s"),
        ]
        for (state, code, pid, delay, text) in states {
            #expect((state.code, state.pid, state.delay) == (code, pid, delay))
            #expect(state.description == text)
        }
    }

    /// As a client writes it. The compiler rejects it without the `default`.
    @Test("A switch over a code handles codes that it does not know")
    func switching() {
        func name(_ code: Prefork.Event.Code) -> String {
            switch code {
            case .exited: "exited"
            case .spawned, .ready: "started"
            default: "other"
            }
        }
        #expect(events.map { name($0.0.code) }.filter { $0 == "other" }.count == events.count - 4)
    }

    @Test("Errors of the program are equal if they are Hashable and equal, or the same")
    func foreignErrors() {
        func failed(_ error: any Error) -> PreforkError { .spawnClosureFailed(slot: 0, error) }
        let same = failed(Plain(text: "x"))
        let copy = same
        #expect(same == copy && same.hashValue == copy.hashValue)
        #expect(same != failed(Plain(text: "x")), "nothing says that these are equal")
        let left = failed(Comparable(text: "x"))
        let right = failed(Comparable(text: "x"))
        #expect(left == right && left.hashValue == right.hashValue)
        #expect(left != failed(Comparable(text: "y")) && left != same)
    }
}
