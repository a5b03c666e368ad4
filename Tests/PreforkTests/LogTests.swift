import PreforkLibc
import Testing

@testable import Prefork

@Suite struct EventLineTests {
    @Test(arguments: [
        (
            Prefork.Event.mechanisms(.init(exitNotice: .pidfd, descriptorClosing: .closefrom)),
            "using pidfd to watch children, closefrom to close descriptors"
        ),
        (
            .mechanisms(.init(exitNotice: .signalAndPolling, descriptorClosing: .enumeration)),
            "using SIGCHLD and ppid polling to watch children, enumeration to close descriptors"
        ),
        (
            .procIsMissing(program: "/bin/app"),
            "there is no /proc: children are started as /bin/app, and CPU quotas are ignored"
        ),
        (.moreChildrenThanProcessors(children: 8, allowed: 2), "8 children, but only 2 processors are allowed"),
        (.moreChildrenThanProcessors(children: 8, allowed: 1), "8 children, but only 1 processor is allowed"),
        (
            .bindRetry(
                .tcp("127.0.0.1", port: 80), .init(call: "bind", code: EADDRINUSE), attempt: 2, of: 5,
                after: .milliseconds(500)),
            "127.0.0.1:80 is in use; trying again in 0.5 s (2 of 5)"
        ),
        (
            .bindRetry(
                .tcp("192.0.2.7", port: 80), .init(call: "bind", code: EACCES, context: "192.0.2.7:80"), attempt: 2,
                of: 5, after: .milliseconds(500)),
            "192.0.2.7:80 is not there yet (bind 192.0.2.7:80: Permission denied (errno 13)); "
                + "trying again in 0.5 s (2 of 5)"
        ),
        (
            .listening([.tcp("::", port: 80, network: .tcp), .unix("/run/app.sock")]),
            "listening on tcp://[::]:80, unix:/run/app.sock"
        ),
        (
            .sharing(reason: "two sockets cannot listen"),
            "all children share one listener for each address: two sockets cannot listen"
        ),
        (
            .steeringRefused(.tcp("::1", port: 80), noMemory),
            "connections to [::1]:80 cannot be steered to ready children: "
                + "posix_spawn /bin/app: Cannot allocate memory (code 12)"
        ),
        (
            .queueFilling(.tcp("", port: 80), slot: 3, .init(waiting: 70, limit: 128)),
            "70 of 128 connections wait on :80 for slot 3"
        ),
        (
            .admissionStaysOpen(.unix("/a"), reason: "it is Unix"),
            "unix:/a accepts connections while the children drain: it is Unix"
        ),
        (.spawned(slot: 0, pid: 1239, replaces: nil), "child 1239 (slot 0) started"),
        (.spawned(slot: 1, pid: 1250, replaces: 1240), "child 1250 (slot 1) started in place of 1240"),
        (
            .spawnFailed(
                childExit(.notSpawned(noMemory), pid: 0, after: .zero), .recovering(after: .milliseconds(200))),
            "slot 1 could not be started: posix_spawn /bin/app: Cannot allocate memory (code 12); recovering in 0.2 s"
        ),
        (.ready(slot: 1, pid: 1240, after: .milliseconds(31)), "child 1240 (slot 1) ready after 0.031 s"),
        (
            .fleetReady(children: 4, after: .milliseconds(1120)),
            "the fleet of 4 is ready, 1.1 s after its start"
        ),
        (.ignoredVariable(reason: "A is \"x\", which is no y"), "A is \"x\", which is no y; it is ignored"),
        (
            .notReady(slot: 1, pid: 1240, after: .seconds(60)),
            "child 1240 (slot 1) not ready after 60 s; stopping it (readiness.timeout)"
        ),
        (
            .exited(childExit(.signal(9, coreDumped: false)), .recovering(after: .milliseconds(100))),
            "child 1240 (slot 1) exited: signal 9 (KILL) after 12.4 s; recovering in 0.1 s"
        ),
        (
            .exited(childExit(.signal(9, coreDumped: false), isOutOfMemory: true), .recovering(after: .zero)),
            "child 1240 (slot 1) exited: signal 9 (KILL), probably by the kernel's out-of-memory killer, after 12.4 s; "
                + "recovering at once"
        ),
        (
            .exited(childExit(.signal(6, coreDumped: true)), .recovering(after: .zero)),
            "child 1240 (slot 1) exited: signal 6 (ABRT), core dumped after 12.4 s; recovering at once"
        ),
        (
            .exited(childExit(.signal(40, coreDumped: false), after: .zero, wasReady: false), .givingUp),
            "child 1240 (slot 1) exited: signal 40 after 0 s, never ready; giving up"
        ),
        (
            .exited(childExit(.status(0)), .recovering(after: .zero)),
            "child 1240 (slot 1) exited: status 0 after 12.4 s, as when serve returns; recovering at once"
        ),
        (.exited(childExit(.status(0)), .expected), "child 1240 (slot 1) exited: status 0 after 12.4 s"),
        // An earlier event has reported why it drains.
        (
            .exited(childExit(.status(0)), .replaced),
            "child 1240 (slot 1) exited: status 0 after 12.4 s; already replaced"
        ),
        (
            .exited(childExit(.status(1)), .replaced),
            "child 1240 (slot 1) exited: status 1 after 12.4 s; already replaced"
        ),
        (
            .draining(slot: 1, pid: 1240, .signal(sender: 4711, user: 1000)),
            "child 1240 (slot 1) drains unasked and gets no new connections: SIGTERM from process 4711 (user 1000)"
        ),
        (
            .draining(slot: 1, pid: 1240, .program),
            "child 1240 (slot 1) drains unasked and gets no new connections: its program began to drain"
        ),
        (
            .draining(slot: 1, pid: 1240, .closedChannel),
            "child 1240 (slot 1) drains unasked and gets no new connections: it closed its channel to the master"
        ),
        (
            .channelFault(slot: 1, pid: 1240, reason: "a message of 1025 bytes"),
            "child 1240 (slot 1) broke the channel's protocol, and is no longer heard: a message of 1025 bytes"
        ),
        (
            .backtracesSuppressed,
            "too many crashes: new children print no backtraces until a minute passes without one"
        ),
        (.backtracesResumed, "a minute without a crash: new children print backtraces again"),
        (
            .killing(slot: 1, pid: 1240, .secondInterrupt, after: .milliseconds(1300)),
            "child 1240 (slot 1) has drained for 1.3 s; a second SIGINT kills it"
        ),
        (
            .alreadyStopping(.signal(15), remaining: .milliseconds(3500)),
            "already stopping (signal 15 (TERM)); children have up to 3.5 s left"
        ),
        (
            .cancelling(slot: 1, pid: 1240, after: .milliseconds(4500)),
            "child 1240 (slot 1) has drained for 4.5 s; it cancels what is left"
        ),
        (
            .exited(childExit(.unknown), .expected),
            "child 1240 (slot 1) exited: status unknown (other code waited for it) after 12.4 s"
        ),
        (.suspended(.seconds(90)), "the master did not run for 90 s; restarting its timers"),
        (.stopping(.signal(15), grace: .seconds(5)), "stopping: signal 15 (TERM); children have 5 s"),
        (.stopping(.request, grace: .milliseconds(2500)), "stopping: requested by the program; children have 2.5 s"),
        (.stopping(.failure("a hook failed"), grace: .zero), "stopping: a hook failed; children have 0 s"),
        (
            .killing(slot: 1, pid: 1240, .notDrained, after: .seconds(5)),
            "child 1240 (slot 1) has not exited after 5 s; killing it"
        ),
        (
            .exited(
                childExit(.status(1), after: .milliseconds(40), readyTime: .milliseconds(4)),
                .recovering(after: .zero)),
            "child 1240 (slot 1) exited: status 1 after 0.040 s, ready for 0.004 s; recovering at once"
        ),
        (
            .exited(childExit(.status(1), readyTime: .seconds(1)), .recovering(after: .zero)),
            "child 1240 (slot 1) exited: status 1 after 12.4 s; recovering at once"
        ),
        (
            .exited(
                childExit(.status(0), drained: .signal(sender: 4711, user: 1000)), .recovering(after: .zero)),
            "child 1240 (slot 1) exited: status 0 after 12.4 s, drained after SIGTERM from process 4711 (user 1000); "
                + "recovering at once"
        ),
        (
            .exited(childExit(.status(0), drained: .program), .replaced),
            "child 1240 (slot 1) exited: status 0 after 12.4 s; already replaced"
        ),
        (
            .exited(childExit(.status(0), drained: .master), .expected),
            "child 1240 (slot 1) exited: status 0 after 12.4 s, asked to exit"
        ),
        (
            .exited(childExit(.signal(15, coreDumped: false), wasReady: false, drained: .master), .expected),
            "child 1240 (slot 1) exited: signal 15 (TERM) after 12.4 s, asked to exit before it was ready"
        ),
        (
            .stopping(.signal(15, from: SignalSender(pid: 4711, user: 0)), grace: .seconds(5)),
            "stopping: signal 15 (TERM) from process 4711 (user 0); children have 5 s"
        ),
        (
            .stopping(.signal(2, from: SignalSender(pid: 0, user: 1000)), grace: .seconds(5)),
            "stopping: signal 2 (INT) from outside this pid namespace (user 1000); children have 5 s"
        ),
        (.stopped, "stopped"),
        (.systemError(noMemory), "posix_spawn /bin/app: Cannot allocate memory (code 12)"),
    ])
    func line(event: Prefork.Event, text: String) {
        #expect(event.description == text)
    }

    @Test func statusIsATable() {
        var counters = Prefork.Status.Counters()
        counters.note(childExit(.status(3)))
        counters.note(childExit(.notSpawned(noMemory), wasReady: false))
        let status = Prefork.Status(
            masterPID: 1200,
            addresses: [.tcp("127.0.0.1", port: 8080)],
            isStopping: true,
            slots: [
                .init(
                    slot: 0, state: .ready(pid: 1239), since: .seconds(61), spawns: 1, lastExit: nil,
                    isInRotation: true, waiting: 12),
                .init(
                    slot: 1,
                    state: .backingOff(.milliseconds(400)),
                    since: .zero,
                    spawns: 3,
                    lastExit: childExit(.status(3)),
                    isInRotation: false,
                    waiting: 3
                ),
                .init(
                    slot: 2, state: .starting(pid: 1250), since: .milliseconds(5), spawns: 1, lastExit: nil,
                    isInRotation: false, waiting: nil),
                .init(
                    slot: 3, state: .stopping(pid: 1_234_567_890), since: .seconds(2), spawns: 1, lastExit: nil,
                    isInRotation: false, waiting: nil),
                .init(
                    slot: 4, state: .empty, since: .zero, spawns: 0, lastExit: childExit(.notSpawned(noMemory)),
                    isInRotation: false, waiting: nil),
            ],
            listeners: [
                .init(address: .tcp("127.0.0.1", port: 8080), mode: .sharded, ownership: .bound, queues: [nil, nil]),
                .init(address: .unix("/a"), mode: .shared, ownership: .bound, queues: [nil]),
                .init(
                    address: .tcp("::1", port: 1), mode: .shared, ownership: .adopted,
                    queues: [.init(waiting: 2, limit: 128)]),
            ],
            counters: counters
        )
        let expected = """
            status: master 1200 on 127.0.0.1:8080, stopping
              slot  state        pid       since     spawns  queue  last exit
              0     ready        1239      61 s      1       12     -
              1     backing off  in 0.4 s  0 s       3       3 out  status 3 after 12.4 s
              2     starting     1250      0.005 s   1       -      -
              3     stopping     1234567890 2 s       1       -      -
              4     empty        -         0 s       0       -      posix_spawn /bin/app: \
            Cannot allocate memory (code 12) after 12.4 s
              shared unix:/a: queue unknown
              shared, adopted [::1]:1: 2 of 128 waiting
              unexpected exits: 1 with status 3, 1 not started; 1 failed start
            """
        #expect(status.description == expected)
        #expect(Prefork.Event.status(status).description == expected)
    }

    @Test func runningStatusDoesNotSayStopping() {
        let status = Prefork.Status(
            masterPID: 7, addresses: [.tcp("", port: 1)], isStopping: false, slots: [], listeners: [])
        #expect(status.description.hasPrefix("status: master 7 on :1\n"))
    }

    @Test(arguments: [
        (1, "1 (HUP)"), (2, "2 (INT)"), (3, "3 (QUIT)"), (6, "6 (ABRT)"), (9, "9 (KILL)"), (11, "11 (SEGV)"),
        (15, "15 (TERM)"), (0, "0"), (64, "64"),
    ])
    func signalNames(number: Int, text: String) {
        #expect(Signal(number: CInt(number)).description == text)
    }
}

@Suite("The parts of a text in the log") struct LogPartTests {
    @Test("have whole lines, as many as fit, each with its prefix") func parts() {
        func parts(_ text: String, _ most: Int) -> [String] {
            EventLog.parts(of: text, prefix: "p: ", most: most).map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(parts("one\ntwo\n\nthree", 100) == ["p: one\np: two\np: three\n"])
        #expect(parts("one\ntwo\nthree", 14) == ["p: one\np: two\n", "p: three\n"])
        #expect(parts("one\ntwo\nthree", 13) == ["p: one\n", "p: two\n", "p: three\n"])
        #expect(parts("a long line\ntwo", 5) == ["p: a long line\n", "p: two\n"])
    }
}
