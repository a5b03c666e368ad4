import Testing

@testable import Prefork

/// One bad value and its error.
private struct BadValue: Sendable, CustomTestStringConvertible {
    let name: String
    let reason: String
    let change: @Sendable (inout Prefork.Configuration) -> Void

    init(_ name: String, _ reason: String, _ change: @escaping @Sendable (inout Prefork.Configuration) -> Void) {
        self.name = name
        self.reason = reason
        self.change = change
    }

    var testDescription: String { "\(name): \(reason)" }
}

private let badValues: [BadValue] = [
    BadValue("sockets.backlog", "0 is not a positive 32-bit number") { $0.sockets.backlog = 0 },
    BadValue("sockets.backlog", "-1 is not a positive 32-bit number") { $0.sockets.backlog = -1 },
    BadValue("sockets.backlog", "2147483648 is not a positive 32-bit number") { $0.sockets.backlog = 1 << 31 },
    BadValue("sockets.bindRetry.attempts", "-1 is negative") { $0.sockets.bindRetry.attempts = -1 },
    BadValue("sockets.bindRetry.interval", "0 s is not positive") { $0.sockets.bindRetry.interval = .zero },
    BadValue("sockets.bindRetry.interval", "-0.5 s is not positive") {
        $0.sockets.bindRetry.interval = .milliseconds(-500)
    },
    BadValue("sockets.deferAccept", "0 s is not positive") { $0.sockets.deferAccept = .zero },
    BadValue("sockets.fastOpen", "0 is not a positive 32-bit number") { $0.sockets.fastOpen = 0 },
    BadValue("sockets.fastOpen", "2147483648 is not a positive 32-bit number") { $0.sockets.fastOpen = 1 << 31 },
    BadValue("sockets.queueAlarm.share", "0.0 is not greater than 0 and at most 1") {
        $0.sockets.queueAlarm = .init(share: 0)
    },
    BadValue("sockets.queueAlarm.share", "1.01 is not greater than 0 and at most 1") {
        $0.sockets.queueAlarm = .init(share: 1.01)
    },
    BadValue("sockets.queueAlarm.share", "nan is not greater than 0 and at most 1") {
        $0.sockets.queueAlarm = .init(share: .nan)
    },
    BadValue("sockets.queueAlarm.interval", "0 s is not positive") { $0.sockets.queueAlarm = .init(interval: .zero) },
    BadValue("shutdown.queueDrainPeriod", "-1 s is negative") { $0.shutdown.queueDrainPeriod = .seconds(-1) },
    BadValue("program.executable", "\"\" is not a path") { $0.program.executable = "" },
    BadValue("program.executable", #""/bin/a\0b" is not a path"#) { $0.program.executable = "/bin/a\0b" },
    BadValue("program.arguments", #""a\0" contains a NUL"#) { $0.program.arguments = ["fine", "a\0"] },
    BadValue("program.environment", "\"\" is not the name of a variable") { $0.program.environment = ["": "1"] },
    BadValue("program.environment", "\"A=B\" is not the name of a variable") { $0.program.environment = ["A=B": "1"] },
    BadValue("program.environment", #""A\0" is not the name of a variable"#) { $0.program.environment = ["A\0": "1"] },
    BadValue("program.environment", "the value of A contains a NUL") { $0.program.environment = ["A": "\0"] },
    BadValue("program.environment", "PREFORK_SLOT is set by Prefork") {
        $0.program.environment = ["PREFORK_SLOT": "1"]
    },
    BadValue("program.environment", "PREFORK_CHANNEL is set by Prefork") {
        $0.program.environment = ["PREFORK_CHANNEL": "1"]
    },
    BadValue("recovery.threshold", "-2 is negative") { $0.recovery.threshold = .exits(-2) },
    BadValue("recovery.window", "0 s is not positive") { $0.recovery.window = .zero },
    BadValue("recovery.window", "-60 s is not positive") { $0.recovery.window = .seconds(-60) },
    BadValue("recovery.limitPerSlot", "-1 is negative") { $0.recovery.limitPerSlot = -1 },
    BadValue("recovery.delays", "a delay is negative") { $0.recovery.delays.first = .seconds(-1) },
    BadValue("recovery.delays", "a delay is negative") { $0.recovery.delays.next = .seconds(-1) },
    BadValue("recovery.delays", "a delay is negative") { $0.recovery.delays = .constant(.seconds(-1)) },
    BadValue("recovery.delays", "a delay is longer than the maximum") { $0.recovery.delays.first = .seconds(26) },
    BadValue("recovery.delays", "a delay is longer than the maximum") { $0.recovery.delays.next = .seconds(26) },
    BadValue("readiness.settleTime", "-0.5 s is negative") { $0.readiness.settleTime = .milliseconds(-500) },
    BadValue("shutdown.gracePeriod", "-1.5 s is negative") { $0.shutdown.gracePeriod = .milliseconds(-1500) },
    BadValue("readiness.timeout", "0 s is not positive") { $0.readiness.timeout = .zero },
    BadValue("masterDeath.pollInterval", "0 s is not positive") { $0.masterDeath.pollInterval = .zero },
    BadValue("recovery.fatalExitStatuses", "a status is not in 0...255") { $0.recovery.fatalExitStatuses = [78, 256] },
    BadValue("recovery.fatalExitStatuses", "a status is not in 0...255") { $0.recovery.fatalExitStatuses = [-1] },
]

private let goodChanges: [@Sendable (inout Prefork.Configuration) -> Void] = [
    { _ in },
    { $0.sockets.backlog = 1 },
    { $0.sockets.backlog = Int(Int32.max) },
    { $0.sockets.bindRetry = .never },
    { $0.program.executable = "/bin/true" },
    { $0.sockets.mode = .sharded },
    { $0.shutdown.queueDrainPeriod = .zero },
    { $0.sockets.deferAccept = .nanoseconds(1) },
    { $0.sockets.fastOpen = 1 },
    { $0.sockets.queueAlarm = .init(share: 1) },
    { $0.program.arguments = [] },
    { $0.program.arguments = ["", "ü"] },
    { $0.program.environment = ["A": "", "PREFORK_FOO": "1", "LISTEN_FDS": "3"] },
    { $0.recovery.threshold = .exits(0) },
    { $0.recovery.threshold = .automatic },
    {
        $0.recovery.threshold = .unlimited
        $0.recovery.delays = .constant(.zero)
    },
    { $0.recovery.threshold = .unlimited },
    { $0.recovery.threshold = .never },
    {
        $0.recovery.threshold = .never
        $0.recovery.delays = .constant(.zero)
    },
    { $0.recovery.delays = .constant(.zero) },
    { $0.recovery.delays = .constant(.seconds(3)) },
    { $0.recovery.window = nil },
    { $0.recovery.limitPerSlot = 0 },
    { $0.recovery.delays.first = .seconds(25) },
    { $0.readiness.settleTime = .zero },
    { $0.readiness.settleTime = .seconds(60) },
    { $0.shutdown.gracePeriod = .zero },
    { $0.shutdown.gracePeriod = .seconds(Int64.max) },
    { $0.recovery.fatalExitStatuses = [] },
    { $0.recovery.fatalExitStatuses = [0, 255] },
]

@Suite struct ConfigurationTests {
    @Test func defaults() {
        let configuration = Prefork.Configuration()
        #expect(configuration.children == nil)
        #expect(configuration.sockets.backlog == 4096)
        #expect(configuration.sockets.bindRetry.attempts == nil)
        #expect(configuration.sockets.bindRetry.interval == .milliseconds(500))
        #expect(configuration.tlsIdentity == nil)
        #expect(configuration.sockets.mode == .automatic)
        #expect(configuration.shutdown.queueDrainPeriod == .seconds(1))
        #expect(configuration.sockets.deferAccept == nil)
        #expect(configuration.sockets.fastOpen == nil)
        #expect(configuration.sockets.queueAlarm == nil)
        #expect(Prefork.Configuration.Sockets.QueueAlarm() == .init(share: 0.5, interval: .seconds(1)))
        #expect(configuration.program.executable == nil)
        #expect(configuration.program.arguments == nil)
        #expect(configuration.program.environment.isEmpty)
        #expect(configuration.program.spawn == nil)
        #expect(configuration.recovery.threshold == .automatic)
        #expect(configuration.recovery.window == .seconds(60))
        #expect(configuration.recovery.delays.first == .zero)
        #expect(configuration.recovery.delays.next == .milliseconds(100))
        #expect(configuration.recovery.delays.maximum == .seconds(25))
        #expect(configuration.recovery.limitPerSlot == nil)
        #expect(configuration.readiness.settleTime == nil)
        #expect(configuration.recovery.fatalExitStatuses == [78])
        #expect(configuration.readiness.mode == .implicit)
        #expect(configuration.readiness.timeout == .seconds(60))
        #expect(configuration.shutdown.gracePeriod == .seconds(5))
        #expect(configuration.signals.master == .handled)
        #expect(configuration.signals.children == .handled)
        #expect(configuration.masterDeath.pollInterval == .milliseconds(500))
        #expect(configuration.hooks.onChildSpawn == nil)
        #expect(configuration.hooks.onMasterReady == nil)
        #expect(configuration.hooks.onChildRecover == nil)
        #expect(configuration.hooks.onFleetReady == nil)
        #expect(configuration.observe == nil)
        guard case .waitForServe = configuration.shutdown.drainPolicy else {
            Issue.record("a drain is no cancellation")
            return
        }
        guard case .drain = configuration.masterDeath.policy else {
            Issue.record("a child without a master drains")
            return
        }
    }

    @Test func shortForms() {
        #expect(Prefork.Configuration(children: 3).children == 3)
        #expect(Prefork.Configuration { _ in }.observe != nil)
        #expect(Prefork.Configuration.Sockets.BindRetry.never.attempts == 0)
        let constant = Prefork.Configuration.Recovery.Delays.constant(.seconds(2))
        #expect([constant.first, constant.next, constant.maximum] == [.seconds(2), .seconds(2), .seconds(2)])
    }

    @Test(arguments: badValues)
    private func namesWhatIsWrong(bad: BadValue) {
        var configuration = Prefork.Configuration()
        bad.change(&configuration)
        let error = failure { () throws(PreforkError) in try configuration.check() }
        guard case .invalidConfiguration(let name, let reason) = error?.payload else {
            Issue.record("nothing was found wrong")
            return
        }
        #expect(name == bad.name)
        #expect(reason == bad.reason)
        #expect(error?.description == "invalid \(name): \(reason)")
        #expect(error?.exitStatus == 78)
    }

    @Test(arguments: goodChanges.indices)
    func findsNothingWrong(index: Int) throws {
        var configuration = Prefork.Configuration()
        goodChanges[index](&configuration)
        try configuration.check()
    }

    @Test func firstOfSeveralIsNamed() {
        var configuration = Prefork.Configuration()
        configuration.readiness.timeout = .zero
        configuration.sockets.backlog = 0
        let error = failure { () throws(PreforkError) in try configuration.check() }
        #expect(error?.description.hasPrefix("invalid sockets.backlog: ") == true)
    }
}

@Suite struct SpawnRequestTests {
    private let plan = SpawnPlan(
        executable: CString("/bin/app"),
        arguments: [CString("app"), CString("--port")],
        environment: [CString("A=1"), CString(bytes: Array("B=".utf8) + [0xff])],
        descriptors: [70, 71],
        ignoredSignals: []
    )

    @Test func showsThePlan() {
        let request = Prefork.SpawnRequest(plan: plan, closing: .enumeration, slot: 3)
        #expect(request.slot == 3)
        #expect(request.executable == "/bin/app")
        #expect(request.arguments == ["app", "--port"])
        #expect(request.environment == ["A=1", "B=\u{fffd}"])
        #expect(request.descriptors == [70, 71])
    }

    @Test func takesChanges() {
        var request = Prefork.SpawnRequest(plan: plan, closing: .enumeration, slot: 3)
        request.executable = "/usr/bin/nice"
        request.arguments.insert("nice", at: 0)
        request.environment.append("C=3")
        #expect(request.executable == "/usr/bin/nice")
        #expect(request.arguments == ["nice", "app", "--port"])
        #expect(request.environment.last == "C=3")
        #expect(request.descriptors == [70, 71])
    }
}
