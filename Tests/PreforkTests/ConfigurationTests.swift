import Testing

@testable import Prefork

/// One bad value and what is said of it.
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
    BadValue("backlog", "0 is not a positive 32-bit number") { $0.backlog = 0 },
    BadValue("backlog", "-1 is not a positive 32-bit number") { $0.backlog = -1 },
    BadValue("backlog", "2147483648 is not a positive 32-bit number") { $0.backlog = 1 << 31 },
    BadValue("bindRetry.attempts", "-1 is negative") { $0.bindRetry.attempts = -1 },
    BadValue("bindRetry.interval", "0 s is not positive") { $0.bindRetry.interval = .zero },
    BadValue("bindRetry.interval", "-0.5 s is not positive") { $0.bindRetry.interval = .milliseconds(-500) },
    BadValue("deferAccept", "0 s is not positive") { $0.deferAccept = .zero },
    BadValue("fastOpen", "0 is not a positive 32-bit number") { $0.fastOpen = 0 },
    BadValue("fastOpen", "2147483648 is not a positive 32-bit number") { $0.fastOpen = 1 << 31 },
    BadValue("queueAlarm.share", "0.0 is not above 0 and at most 1") { $0.queueAlarm = .init(share: 0) },
    BadValue("queueAlarm.share", "1.01 is not above 0 and at most 1") { $0.queueAlarm = .init(share: 1.01) },
    BadValue("queueAlarm.share", "nan is not above 0 and at most 1") { $0.queueAlarm = .init(share: .nan) },
    BadValue("queueAlarm.interval", "0 s is not positive") { $0.queueAlarm = .init(interval: .zero) },
    BadValue("queueDrainPeriod", "-1 s is negative") { $0.queueDrainPeriod = .seconds(-1) },
    BadValue("executable", "\"\" is no path") { $0.executable = "" },
    BadValue("executable", #""/bin/a\0b" is no path"#) { $0.executable = "/bin/a\0b" },
    BadValue("arguments", #""a\0" contains a NUL"#) { $0.arguments = ["fine", "a\0"] },
    BadValue("environment", "\"\" is no name of a variable") { $0.environment = ["": "1"] },
    BadValue("environment", "\"A=B\" is no name of a variable") { $0.environment = ["A=B": "1"] },
    BadValue("environment", #""A\0" is no name of a variable"#) { $0.environment = ["A\0": "1"] },
    BadValue("environment", "the value of A contains a NUL") { $0.environment = ["A": "\0"] },
    BadValue("environment", "PREFORK_SLOT is set by Prefork") { $0.environment = ["PREFORK_SLOT": "1"] },
    BadValue("environment", "PREFORK_CHANNEL is set by Prefork") { $0.environment = ["PREFORK_CHANNEL": "1"] },
    BadValue("recoverThreshold", "-1 is negative") { $0.recoverThreshold = .perChild(-1) },
    BadValue("recoverThreshold", "-2 is negative") { $0.recoverThreshold = .exits(-2) },
    BadValue("recoverInterval", "without a recoverThreshold it must not be zero") {
        $0.recoverThreshold = .unlimited
        $0.recoverInterval = .constant(.zero)
    },
    BadValue("recoverInterval", "without a recoverThreshold it must not be zero") {
        $0.recoverThreshold = .unlimited
        $0.recoverInterval.next = .zero
    },
    BadValue("recoverWindow", "0 s is not positive") { $0.recoverWindow = .zero },
    BadValue("recoverWindow", "-60 s is not positive") { $0.recoverWindow = .seconds(-60) },
    BadValue("recoverLimitPerSlot", "-1 is negative") { $0.recoverLimitPerSlot = -1 },
    BadValue("recoverInterval", "a delay is negative") { $0.recoverInterval.first = .seconds(-1) },
    BadValue("recoverInterval", "a delay is negative") { $0.recoverInterval.next = .seconds(-1) },
    BadValue("recoverInterval", "a delay is negative") { $0.recoverInterval = .constant(.seconds(-1)) },
    BadValue("recoverInterval", "a delay is above the maximum") { $0.recoverInterval.first = .seconds(31) },
    BadValue("recoverInterval", "a delay is above the maximum") { $0.recoverInterval.next = .seconds(31) },
    BadValue("healthyAfter", "-0.5 s is negative") { $0.healthyAfter = .milliseconds(-500) },
    BadValue("shutdownGracePeriod", "-1.5 s is negative") { $0.shutdownGracePeriod = .milliseconds(-1500) },
    BadValue("readinessTimeout", "0 s is not positive") { $0.readinessTimeout = .zero },
    BadValue("parentPollInterval", "0 s is not positive") { $0.parentPollInterval = .zero },
    BadValue("fatalExitStatuses", "a status is not in 0...255") { $0.fatalExitStatuses = [78, 256] },
    BadValue("fatalExitStatuses", "a status is not in 0...255") { $0.fatalExitStatuses = [-1] },
]

private let goodChanges: [@Sendable (inout Prefork.Configuration) -> Void] = [
    { _ in },
    { $0.backlog = 1 },
    { $0.backlog = Int(Int32.max) },
    { $0.bindRetry = .never },
    { $0.executable = "/bin/true" },
    { $0.listening = .sharded },
    { $0.queueDrainPeriod = .zero },
    { $0.deferAccept = .nanoseconds(1) },
    { $0.fastOpen = 1 },
    { $0.queueAlarm = .init(share: 1) },
    { $0.arguments = [] },
    { $0.arguments = ["", "ü"] },
    { $0.environment = ["A": "", "PREFORK_FOO": "1", "LISTEN_FDS": "3"] },
    { $0.recoverThreshold = .exits(0) },
    { $0.recoverThreshold = .perChild(0) },
    { $0.recoverThreshold = .unlimited },
    { $0.recoverThreshold = .never },
    {
        $0.recoverThreshold = .never
        $0.recoverInterval = .constant(.zero)
    },
    { $0.recoverInterval = .constant(.zero) },
    { $0.recoverInterval = .constant(.seconds(3)) },
    { $0.recoverWindow = nil },
    { $0.recoverLimitPerSlot = 0 },
    { $0.healthyAfter = .zero },
    { $0.shutdownGracePeriod = .zero },
    { $0.shutdownGracePeriod = .seconds(Int64.max) },
    { $0.fatalExitStatuses = [] },
    { $0.fatalExitStatuses = [0, 255] },
]

@Suite struct ConfigurationTests {
    @Test func defaults() {
        let configuration = Prefork.Configuration()
        #expect(configuration.children == nil)
        #expect(configuration.backlog == 4096)
        #expect(configuration.bindRetry.attempts == nil)
        #expect(configuration.bindRetry.interval == .milliseconds(500))
        #expect(configuration.tlsIdentity == nil)
        #expect(configuration.listening == .automatic)
        #expect(configuration.queueDrainPeriod == .seconds(1))
        #expect(configuration.deferAccept == nil)
        #expect(configuration.fastOpen == nil)
        #expect(configuration.queueAlarm == nil)
        #expect(Prefork.Configuration.QueueAlarm() == .init(share: 0.5, interval: .seconds(1)))
        #expect(configuration.executable == nil)
        #expect(configuration.arguments == nil)
        #expect(configuration.environment.isEmpty)
        #expect(configuration.spawn == nil)
        #expect(configuration.recoverThreshold == .perChild(5))
        #expect(configuration.recoverWindow == .seconds(60))
        #expect(configuration.recoverInterval.first == .zero)
        #expect(configuration.recoverInterval.next == .milliseconds(100))
        #expect(configuration.recoverInterval.maximum == .seconds(30))
        #expect(configuration.recoverLimitPerSlot == nil)
        #expect(configuration.healthyAfter == .seconds(10))
        #expect(configuration.fatalExitStatuses == [78])
        #expect(configuration.readiness == .implicit)
        #expect(configuration.readinessTimeout == .seconds(60))
        #expect(configuration.shutdownGracePeriod == .seconds(5))
        #expect(configuration.signals == .handled)
        #expect(configuration.childSignals == .handled)
        #expect(configuration.parentPollInterval == .milliseconds(500))
        #expect(configuration.onChildSpawn == nil)
        #expect(configuration.onMasterReady == nil)
        #expect(configuration.onChildRecover == nil)
        #expect(configuration.observe == nil)
        guard case .waitForServe = configuration.onDrain else {
            Issue.record("a drain is no cancellation")
            return
        }
        guard case .drain = configuration.onMasterDeath else {
            Issue.record("a child without a master drains")
            return
        }
    }

    @Test func shortForms() {
        #expect(Prefork.Configuration(children: 3).children == 3)
        #expect(Prefork.Configuration { _ in }.observe != nil)
        #expect(Prefork.Configuration.BindRetry.never.attempts == 0)
        let constant = Prefork.Configuration.RecoverInterval.constant(.seconds(2))
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
        configuration.readinessTimeout = .zero
        configuration.backlog = 0
        let error = failure { () throws(PreforkError) in try configuration.check() }
        #expect(error?.description.hasPrefix("invalid backlog: ") == true)
    }
}

@Suite struct SpawnRequestTests {
    private let plan = SpawnPlan(
        executable: CString("/bin/app"),
        arguments: [CString("app"), CString("--port")],
        environment: [CString("A=1"), CString(bytes: Array("B=".utf8) + [0xff])],
        descriptors: [70, 71]
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
