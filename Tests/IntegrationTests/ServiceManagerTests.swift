// A master whose service manager is the test.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork
    import Testing

    extension Integration {
        @Suite final class ServiceManagerTests {
            private let directory: String
            private var path: String { "\(directory)/notify" }

            init() throws { directory = try makeDirectory() }
            deinit { removeTree(directory) }

            // MARK: Its messages

            @Test(arguments: [true, false]) func aWholeLife(isAbstract: Bool) throws {
                let name = isAbstract ? "@prefork-test-\(getpid())-\(System.now().nanoseconds)" : path
                let receiver = try NotifyReceiver(name)
                let subject = try Subject.start(FleetRole(), environment: ["NOTIFY_SOCKET": name])
                try receiver.wait(for: "READY=1", from: subject)
                #expect(receiver.count("MAINPID=\(subject.pid)") == 1, subject.log)
                #expect(!receiver.lines.contains { $0.hasPrefix("WATCHDOG") }, subject.log)
                // Ready comes after the fleet has said the same to its own program.
                #expect(subject.reports("onFleetReady").count == 1, subject.log)
                let statuses = receiver.lines.filter { $0.hasPrefix("STATUS=") }
                #expect(statuses.first == "STATUS=0 of 2 children ready", subject.log)
                #expect(statuses.last == "STATUS=2 of 2 children ready", subject.log)

                let victim = try #require(subject.waitForReady(2).first)
                let earlier = receiver.datagrams.count
                kill(victim, SIGKILL)
                try subject.waitForLog("started in place of \(victim)")
                try receiver.wait(for: statuses.last ?? "", count: 2, from: subject)
                #expect(
                    receiver.datagrams.dropFirst(earlier) == [
                        "STATUS=1 of 2 children ready", "STATUS=2 of 2 children ready",
                    ], subject.log)

                let beforeStop = receiver.datagrams.count
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                let stop = receiver.datagrams.dropFirst(beforeStop)
                let first = stop.first?.split(separator: "\n") ?? []
                #expect(first.first == "STOPPING=1", "\(stop)")
                let time = first.last.flatMap { Int($0.dropFirst("EXTEND_TIMEOUT_USEC=".count)) } ?? 0
                // queueDrainPeriod, gracePeriod and two seconds more, counted from a moment after the stop began.
                #expect((7_500_000...8_000_000).contains(time), "\(stop)")
                #expect(stop.dropFirst().allSatisfy { $0.hasPrefix("STATUS=stopping, ") }, "\(stop)")
                #expect(receiver.count("STOPPING=1") == 1 && receiver.count("READY=1") == 1, "\(receiver.datagrams)")
            }

            /// A program may run another fleet after the one that it stops. The end of `Prefork.main` ends the process.
            @Test func stopping() throws {
                let receiver = try NotifyReceiver(path)
                let subject = try Subject.start(
                    FleetRole(runs: 2, observer: .stopsWhenReady), environment: ["NOTIFY_SOCKET": path])
                try subject.expectExit(0)
                #expect(subject.reports("returned").count == 2, subject.log)
                #expect(subject.reports("clean").count == 2, subject.log("the socket is closed"))
                #expect(receiver.lines.contains { $0.hasPrefix("EXTEND_TIMEOUT_USEC=") }, subject.log)
                #expect(receiver.count("STOPPING=1") == 0, subject.log)

                let hello = try Subject.hello(["--children", "1"], environment: ["NOTIFY_SOCKET": path])
                try receiver.wait(for: "MAINPID=\(hello.pid)", from: hello)
                _ = try get("/exit?code=78", port: hello.port())
                try hello.expectExit(78)
                #expect(receiver.count("STOPPING=1") == 1, hello.log)
            }

            /// systemd waits for both after it has sent HUP (Type=notify-reload of systemd.service(5)).
            @Test(arguments: [true, false]) func restart(isRefused: Bool) throws {
                let receiver = try NotifyReceiver(path)
                let program = "\(directory)/server"
                try Subject("/bin/cp", ["cp", "--", product("hello-prefork"), program]).expectExit(0)
                let subject = try Subject.hello(
                    ["--children", "2"], program: program, environment: ["NOTIFY_SOCKET": path])
                try receiver.wait(for: "READY=1", from: subject)
                let earlier = receiver.datagrams.count
                if isRefused { unlink(program) }
                let begin = System.now().nanoseconds / 1000
                subject.signal(SIGHUP)
                try receiver.wait(for: "READY=1", count: 2, from: subject)
                let end = System.now().nanoseconds / 1000
                #expect(subject.logLines("generation 2 failed").count == (isRefused ? 1 : 0), subject.log)
                #expect(subject.readyPIDs.count == (isRefused ? 2 : 4), subject.log)
                let messages = receiver.datagrams.dropFirst(earlier).filter { !$0.hasPrefix("STATUS=") }
                try #require(messages.count == 2, "\(receiver.datagrams)")
                let prefix = "RELOADING=1\nMONOTONIC_USEC="
                #expect(messages[0].hasPrefix(prefix), "\(messages)")
                let time = try #require(Int64(messages[0].dropFirst(prefix.count)))
                #expect((begin...end).contains(time), "\(messages)")
                #expect(messages[1] == "READY=1", "\(messages)")
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func watchdog() throws {
                let receiver = try NotifyReceiver(path)
                let subject = try Subject.start(
                    FleetRole(
                        children: 1, recoverInterval: .seconds(60), readinessTimeout: .seconds(20),
                        firstServe: .answerWhenReady, serve: .exit(3)),
                    environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"])
                let begin = ContinuousClock.now
                try receiver.wait(for: "WATCHDOG=1", count: 6, from: subject)
                // One at once, then one in each 100 ms.
                #expect(ContinuousClock.now - begin >= .milliseconds(500), subject.log)
                kill(try subject.waitForReady(1)[0], SIGKILL)
                try subject.waitForLog("recovering in 60 s")
                try receiver.wait(for: "STATUS=0 of 1 child ready", count: 2, from: subject)
                let count = receiver.count("WATCHDOG=1")
                poll(nil, 0, 500)
                #expect(receiver.count("WATCHDOG=1") == count, subject.log("no child is ready"))
            }

            @Test func watchdogOfAnotherProcess() throws {
                let receiver = try NotifyReceiver(path)
                let subject = try Subject.start(
                    FleetRole(),
                    environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"])
                try receiver.wait(for: "READY=1", from: subject)
                #expect(receiver.count("WATCHDOG=1") == 0, subject.log)
                #expect(subject.logLines("WATCHDOG").isEmpty, subject.log)
            }

            // MARK: A service manager that is not there

            @Test func comesLateAndAgain() throws {
                let subject = try Subject.start(FleetRole(children: 1), environment: ["NOTIFY_SOCKET": path])
                try subject.waitForLog("NOTIFY_SOCKET \(path): ")
                try subject.waitForReport("onFleetReady \(subject.waitForReady(1)[0])")
                do {
                    let receiver = try NotifyReceiver(path)
                    try receiver.wait(for: "READY=1", from: subject)
                    #expect(receiver.datagrams.count == 1, "\(receiver.datagrams)")
                }
                #expect(subject.logLines("NOTIFY_SOCKET").count == 1, subject.log)
                #expect(subject.logLines("sendto NOTIFY_SOCKET \(path): ").count == 1, subject.log)
                unlink(path)
                kill(try subject.waitForReady(1)[0], SIGKILL)
                try subject.eventually("a second outage") { subject.logLines("NOTIFY_SOCKET").count == 2 }
                let receiver = try NotifyReceiver(path)
                kill(try subject.waitForReady(1)[0], SIGKILL)
                try receiver.wait(for: "STATUS=0 of 1 child ready", from: subject)
                try receiver.wait(for: "STATUS=1 of 1 child ready", from: subject)
                #expect(subject.logLines("NOTIFY_SOCKET").count == 2, subject.log("once for each outage"))
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(receiver.count("STOPPING=1") == 1, subject.log)
            }

            @Test(
                arguments: [
                    (["NOTIFY_SOCKET": "vsock:2:1234"], "NOTIFY_SOCKET is \"vsock:2:1234\", and vsock addresses are"),
                    (["NOTIFY_SOCKET": "notify"], "NOTIFY_SOCKET is \"notify\", which is neither"),
                    (["WATCHDOG_USEC": "often"], "WATCHDOG_USEC is \"often\", which is not a number of microseconds"),
                    (["WATCHDOG_USEC": "5", "WATCHDOG_PID": "me"], "WATCHDOG_PID is \"me\", which is not a"),
                ])
            func badValues(_ variables: [String: String], text: String) throws {
                let receiver = try NotifyReceiver(path)
                let subject = try Subject.start(
                    FleetRole(), environment: ["NOTIFY_SOCKET": path].merging(variables) { $1 })
                try subject.eventually("the fleet is ready") { !subject.reports("onFleetReady").isEmpty }
                #expect(try get("/", port: subject.port()).pid != nil, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.logLines(text).count == 1, subject.log)
                #expect(subject.logLines("it is ignored").count == 1, subject.log)
                #expect(receiver.count("READY=1") == (variables["NOTIFY_SOCKET"] == nil ? 1 : 0), subject.log)
                #expect(receiver.count("WATCHDOG=1") == 0, subject.log)
            }

            /// Without a service manager the master has no socket for one.
            @Test func descriptors() throws {
                let receiver = try NotifyReceiver(path)
                let without = try Subject.start(FleetRole())
                let with = try Subject.start(FleetRole(), environment: ["NOTIFY_SOCKET": receiver.name])
                let counts = try [without, with].map { subject in
                    try subject.eventually("the fleet is ready") { !subject.reports("onFleetReady").isEmpty }
                    return listDirectory("/proc/\(subject.pid)/fd").count
                }
                #expect(counts[1] == counts[0] + 1, with.log)
            }

            // MARK: The event and the hook

            @Test(arguments: [MechanismChoice.best, .polling]) func fleetReady(mechanisms: MechanismChoice) throws {
                let subject = try Subject.start(FleetRole(children: 3, mechanisms: mechanisms))
                try subject.eventually("the fleet is ready") { !subject.reports("onFleetReady").isEmpty }
                let pids = try subject.waitForReady(3)
                let spawned = subject.reports("onChildSpawn")
                #expect(subject.reports("onFleetReady") == [spawned.joined(separator: " ")], subject.log)
                let line = try subject.logLine(": the fleet of 3 is ready, ")
                // Children are up a second after they are ready.
                let seconds = try #require(
                    line.firstRange(of: " is ready, ").flatMap { Double(line[$0.upperBound...].prefix { $0 != " " }) })
                #expect(seconds >= 1, subject.log)
                kill(pids[0], SIGKILL)
                try subject.waitForLog("started in place of \(pids[0])")
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.reports("onFleetReady").count == 1, subject.log)
                #expect(subject.logLines(" is ready, ").count == 1, subject.log)
            }

            @Test func aSlotThatWasNeverUp() throws {
                let subject = try Subject.start(
                    FleetRole(
                        recoverInterval: .milliseconds(50), readinessTimeout: .seconds(20), serve: .exitInFirstSlot))
                try subject.eventually("several exits") { subject.logLines("recovering in").count >= 5 }
                subject.signal(SIGTERM)
                try subject.expectExit(0)
                #expect(subject.reports("onFleetReady") == [], subject.log)
                #expect(subject.logLines(" is ready, ").isEmpty, subject.log)
            }

            @Test func failingHook() throws {
                let subject = try Subject.start(FleetRole(failingHook: .call(1, of: .onFleetReady)))
                #expect(try subject.thrownError() == "Deliberate onFleetReady failed on purpose", subject.log)
                #expect(subject.reports("onFleetReady").count == 1, subject.log)
                #expect(subject.reports.contains("clean") && subject.reports.contains("childless"), subject.log)
                try subject.wait()
                try subject.waitUntilAlone()
            }
        }
    }
#endif
