import Testing

@testable import Prefork

/// A notifier with a clock of its own, and a service manager that hears it or not.
private final class Service {
    var notifier: ServiceNotifier
    var fleet: ServiceNotifier.Fleet
    var now = Instant(nanoseconds: 5_000_000_000)
    /// Whether datagrams arrive.
    var isThere = true

    init(pid: Int32 = 7, watchdog: Duration? = nil, slots: Int = 2) {
        notifier = ServiceNotifier(pid: pid, watchdog: watchdog)
        fleet = .init(slots: slots)
    }

    /// Changes the fleet, and returns the datagrams that arrive.
    func update(_ change: (inout ServiceNotifier.Fleet) -> Void = { _ in }) -> [String] {
        change(&fleet)
        notifier.update(fleet, at: now)
        return send()
    }

    func restarting() -> [String] {
        notifier.restarting(at: now)
        return send()
    }

    func restarted() -> [String] {
        notifier.restarted(at: now)
        return send()
    }

    /// Ready, with every child up.
    func start() -> [String] {
        update {
            ($0.ready, $0.children) = ($0.slots, $0.slots)
            $0.hasBeenReady = true
        }
    }

    /// Lets time pass until the next datagram is due.
    func wait() -> [String] {
        guard let next = notifier.next else { return ["never"] }
        now = max(now, next)
        return update()
    }

    private func send() -> [String] {
        var sent: [String] = []
        while let datagram = notifier.datagram(at: now) {
            if isThere {
                sent.append(datagram.text)
                notifier.sent(datagram, at: now)
            } else {
                notifier.failed(at: now)
            }
        }
        return sent
    }
}

@Suite("A fleet") struct FleetReadinessTests {
    @Test("is ready once, when every slot has had a child up, whether or not it still has") func ready() {
        var readiness = FleetReadiness()
        let looks: [SlotSet] = [[], [1], [1], [0], [0, 1]]
        #expect(looks.map { note($0, &readiness) } == [false, false, false, true, false])
        #expect(readiness.isReached)
    }

    @Test("of other slots is not ready") func otherSlots() {
        var readiness = FleetReadiness()
        #expect(note([2, 3], &readiness) == false)
        #expect(!readiness.isReached)
    }

    private func note(_ slots: SlotSet, _ readiness: inout FleetReadiness) -> Bool {
        readiness.note(up: slots, of: 2)
    }
}

@Suite("Messages to a service manager") struct ServiceNotifierTests {
    @Test("The status is sent when its numbers change") func status() {
        let service = Service(slots: 3)
        #expect(service.update() == ["STATUS=0 of 3 children ready"])
        #expect(service.update() == [])
        #expect(service.update { $0.children = 2 } == [], "children that are not ready are not in it")
        #expect(service.update { $0.ready = 1 } == ["STATUS=1 of 3 children ready"])
        #expect(service.notifier.next == nil, "nothing wakes the master")
        service.now = service.now + .seconds(3600)
        #expect(service.update() == [])
        #expect(service.update { $0.ready = 0 } == ["STATUS=0 of 3 children ready"])
        #expect(Service(slots: 1).update() == ["STATUS=0 of 1 child ready"])
    }

    @Test("A fleet is ready once, when every slot has had a child up") func ready() {
        let service = Service()
        #expect(service.update { $0.ready = 2 } == ["STATUS=2 of 2 children ready"])
        #expect(service.update { $0.hasBeenReady = true } == ["READY=1\nMAINPID=7"])
        #expect(service.update { $0.ready = 1 } == ["STATUS=1 of 2 children ready"])
        #expect(service.update { $0.ready = 2 } == ["STATUS=2 of 2 children ready"])
        #expect(service.notifier.next == nil)
    }

    @Test("Process 1 does not say its number, because it has another one outside") func processOne() {
        #expect(Service(pid: 1).start() == ["READY=1\nSTATUS=2 of 2 children ready"])
    }

    // MARK: Restart

    @Test("A restart begins and ends with a message") func restart() {
        let service = Service()
        _ = service.start()
        service.now = Instant(nanoseconds: 6_123_456_789)
        #expect(service.restarting() == ["RELOADING=1\nMONOTONIC_USEC=6123456"])
        #expect(service.update { $0.children = 3 } == [])
        #expect(service.restarted() == ["READY=1"])
        #expect(service.restarted() == [])
        #expect(service.update() == [])
        service.now = service.now + .seconds(1)
        #expect(service.restarting() == ["RELOADING=1\nMONOTONIC_USEC=7123456"])
        service.now = service.now + .seconds(1)
        #expect(service.restarting() == ["RELOADING=1\nMONOTONIC_USEC=8123456"], "another one follows at once")
        #expect(service.restarted() == ["READY=1"])
        #expect(service.restarted() == [])
    }

    @Test("A restart before the fleet is ready says nothing") func earlyRestart() {
        let service = Service()
        #expect(service.restarted() == [], "nothing is known of the fleet")
        #expect(service.notifier.next == nil)
        _ = service.update()
        #expect(service.restarting() == [])
        #expect(service.restarted() == [])
        #expect(service.restarting() == [])
        #expect(service.start() == ["READY=1\nMAINPID=7\nSTATUS=2 of 2 children ready"])
        #expect(service.restarted() == [], "its beginning was not sent")
    }

    @Test("A stop ends a restart") func stopDuringRestart() {
        let service = Service()
        _ = service.start()
        _ = service.restarting()
        _ = service.update { $0.stop = .init(endsProcess: true, killAt: nil) }
        #expect(service.restarted() == [])
        #expect(service.restarting() == [])
    }

    // MARK: Stop

    @Test("A stop is announced with the time that it takes, and its status says what is left") func stop() {
        let service = Service()
        _ = service.start()
        let killAt = service.now + .seconds(6)
        let first = service.update { $0.stop = .init(endsProcess: true, killAt: killAt) }
        #expect(first == ["STOPPING=1\nSTATUS=stopping, 2 children left\nEXTEND_TIMEOUT_USEC=8000000"])
        #expect(service.notifier.next == nil, "the time of the whole stop is known")
        service.now = service.now + .seconds(6)
        let last = service.update {
            $0.children = 1
            $0.stop = .init(endsProcess: true, killAt: nil)
        }
        #expect(last == ["STATUS=stopping, 1 child left"])
        #expect(service.notifier.next == nil)
    }

    @Test("A long stop is extended step by step, so that a master that hangs in it is killed") func longStop() {
        let service = Service()
        _ = service.start()
        let begin = service.now
        let first = service.update { $0.stop = .init(endsProcess: true, killAt: begin + .seconds(16)) }
        #expect(first.last?.hasSuffix("EXTEND_TIMEOUT_USEC=10000000") == true)
        #expect(service.wait() == ["EXTEND_TIMEOUT_USEC=10000000"])
        #expect(service.now - begin == .seconds(5), "before the extension ends")
        #expect(service.wait() == ["EXTEND_TIMEOUT_USEC=8000000"])
        #expect(service.now - begin == .seconds(10))
        #expect(service.notifier.next == nil, "the time is over 2 s after the kill")
        // A master that was suspended starts the time over.
        service.now = begin + .seconds(14)
        let again = service.update { $0.stop = .init(endsProcess: true, killAt: begin + .seconds(30)) }
        #expect(again == [])
        #expect(service.wait() == ["EXTEND_TIMEOUT_USEC=10000000"])
        #expect(service.now - begin == .seconds(15))
        _ = service.update { $0.stop = .init(endsProcess: true, killAt: nil) }
        #expect(service.notifier.next == nil, "all were killed")
    }

    @Test("A stop that the program asked for is announced only if the process is known to end") func otherFleets() {
        let service = Service()
        _ = service.start()
        let killAt = service.now + .seconds(1)
        let first = service.update { $0.stop = .init(endsProcess: false, killAt: killAt) }
        #expect(first == ["STATUS=stopping, 2 children left\nEXTEND_TIMEOUT_USEC=3000000"])
        #expect(service.update { $0.stop = .init(endsProcess: true, killAt: killAt) } == ["STOPPING=1"])
        #expect(service.update() == [])
    }

    @Test("A fleet that stops is no longer ready for the first time") func stopBeforeReady() {
        let service = Service()
        _ = service.update { $0.stop = .init(endsProcess: true, killAt: nil) }
        #expect(service.update { $0.hasBeenReady = true } == [])
    }

    // MARK: Watchdog

    @Test("The watchdog hears of a fleet twice in its time, while a child is ready") func watchdog() {
        let service = Service(watchdog: .seconds(3))
        #expect(service.update() == ["STATUS=0 of 2 children ready"])
        #expect(service.notifier.next == nil, "no child is ready")
        #expect(service.update { $0.ready = 1 } == ["STATUS=1 of 2 children ready\nWATCHDOG=1"])
        #expect(service.update() == [])
        let first = service.now
        #expect(service.wait() == ["WATCHDOG=1"])
        #expect(service.now - first == .milliseconds(1500))
        #expect(service.notifier.next == service.now + .milliseconds(1500))
        #expect(service.update { $0.ready = 0 } == ["STATUS=0 of 2 children ready"])
        #expect(service.notifier.next == nil)
        service.now = service.now + .seconds(60)
        #expect(service.update() == [], "the service manager acts")
        #expect(service.update { $0.ready = 1 } == ["STATUS=1 of 2 children ready\nWATCHDOG=1"], "overdue")
        #expect(service.update { $0.ready = 0 } == ["STATUS=0 of 2 children ready"])
        #expect(service.update { $0.ready = 1 } == ["STATUS=1 of 2 children ready"], "the last one was just sent")
    }

    // MARK: Failures

    @Test("A datagram that is lost is due again, later each time") func retries() {
        let service = Service()
        service.isThere = false
        #expect(service.start() == [])
        var delays: [Duration] = []
        for _ in 0..<4 {
            let before = service.now
            #expect(service.wait() == [])
            delays.append(service.now - before)
        }
        #expect(delays == [100, 200, 400, 800].map { .milliseconds($0) })
        #expect(service.update() == [], "not before its time")
        service.isThere = true
        #expect(service.update() == [], "not before its time")
        #expect(service.wait() == ["READY=1\nMAINPID=7\nSTATUS=2 of 2 children ready"])
        #expect(service.notifier.next == nil)
        service.isThere = false
        _ = service.update { $0.ready = 1 }
        #expect(service.notifier.next == service.now + .milliseconds(100), "the delays start over")
    }

    @Test("News does not wait for the next try") func newsAfterFailure() {
        let service = Service()
        _ = service.start()
        service.isThere = false
        for _ in 0..<5 { _ = service.wait() }
        _ = service.restarting()
        for _ in 0..<5 { _ = service.wait() }
        service.isThere = true
        #expect(service.restarted() == ["RELOADING=1\nMONOTONIC_USEC=5000000", "READY=1"], "in order")
        service.isThere = false
        _ = service.update { $0.ready = 1 }
        for _ in 0..<5 { _ = service.wait() }
        service.isThere = true
        #expect(service.update { $0.ready = 0 } == ["STATUS=0 of 2 children ready"])
    }

    @Test("An outage leaves the last restart, and a stop leaves nothing else") func noticesOfAnOutage() {
        let service = Service()
        service.isThere = false
        _ = service.start()
        for _ in 0..<100 {
            service.now = service.now + .seconds(1)
            _ = service.restarting()
            _ = service.restarted()
        }
        service.isThere = true
        #expect(
            service.restarting() == [
                "READY=1\nMAINPID=7\nSTATUS=2 of 2 children ready", "RELOADING=1\nMONOTONIC_USEC=105000000",
            ])
        service.isThere = false
        _ = service.restarted()
        _ = service.restarting()
        service.isThere = true
        #expect(
            service.update { $0.stop = .init(endsProcess: true, killAt: nil) } == [
                "STOPPING=1\nSTATUS=stopping, 2 children left"
            ])
    }

    @Test("A watchdog is tried at least as often as it must hear") func watchdogRetries() {
        let service = Service(watchdog: .milliseconds(600))
        _ = service.start()
        service.isThere = false
        _ = service.wait()
        for delay in [100, 200, 300, 300] {
            let before = service.now
            _ = service.wait()
            #expect(service.now - before == .milliseconds(delay))
        }
        service.isThere = true
        #expect(service.wait() == ["WATCHDOG=1"])
        #expect(service.notifier.next == service.now + .milliseconds(300))
    }

    @Test("Many failures do not overflow") func manyFailures() {
        let service = Service()
        service.isThere = false
        _ = service.start()
        for _ in 0..<1000 { _ = service.wait() }
        let before = service.now
        _ = service.wait()
        #expect(service.now - before == .milliseconds(100) * (1 << 20), "about a day")
    }
}
