import Testing

@testable import Prefork

private let rules = Supervisor.Rules()

/// A supervisor that knows only the text of the handover of another one.
func passedOn(_ supervisor: Supervisor) throws(HandoverRecord.Fault) -> Supervisor {
    var records: [HandoverRecord] = []
    for record in supervisor.handoverRecords { records.append(try HandoverRecord(line: record.line[...])) }
    return try Supervisor(supervisor.rules, records)
}

/// What a master says to the program that takes its place.
@Suite struct HandoverTests {
    // MARK: Records

    @Test func fieldsComeBack() throws {
        var record = HandoverRecord("kind")
        record.set("number", -7)
        record.set("none", Int?.none)
        record.set("text", "two words, 100 %, ünï\n")
        record.set("empty", "")
        record.set("path", CString(bytes: [0x2f, 0xff, 0x20]))
        record.set("flag", true)
        record.set("unset", false)
        record.set("list", [1, -2, 3])
        record.set("far", Instant(nanoseconds: .max))
        record.set("span", Duration.milliseconds(-1))
        let read = try HandoverRecord(line: record.line[...])
        #expect(read == record)
        #expect(try read.number("number") as Int8 == -7)
        #expect(try read.optional("none") as Int? == nil)
        #expect(try read.text("text") == "two words, 100 %, ünï\n")
        #expect(try read.text("empty") == "")
        #expect(try read.path("path") == CString(bytes: [0x2f, 0xff, 0x20]))
        #expect(read.flag("flag") && !read.flag("unset"))
        #expect(try read.numbers("list") == [1, -2, 3])
        #expect(try read.instant("far") == Instant(nanoseconds: .max))
        #expect(try read.duration("span") == .milliseconds(-1))
    }

    @Test(arguments: [
        ("kind number=", "number of a line of kind kind is \"\""), ("kind number=+1", "number of a line of kind kind"),
        ("kind number=--1", "is \"--1\""), ("kind number=300", "is \"300\""), ("kind", "has no number"),
        ("kind number=1x", "is \"1x\""), ("kind number=-", "is \"-\""),
    ])
    func badNumbers(line: String, fault: String) throws {
        let record = try HandoverRecord(line: line[...])
        let error = #expect(throws: HandoverRecord.Fault.self) { try record.number("number") as Int8 }
        #expect(error?.description.contains(fault) == true, "\(String(describing: error))")
    }

    @Test(arguments: ["", "   ", "kind word", "kind =x y"])
    func badLines(line: String) {
        #expect(throws: HandoverRecord.Fault.self) { try HandoverRecord(line: line[...]) }
    }

    // MARK: The rules' state

    @Test func stateComesBack() throws {
        var bench = Bench.proven(children: 3) { $0.recycleAfter = .seconds(100) }
        bench.feed(.exited(pid: 100, .signaled(9, coreDumped: true)))
        bench.feed(.draining(pid: 101, .signal(sender: 5, user: 6)))
        bench.feed(.resize(to: 5))
        bench.feed(.recycle(pid: 102, .memory(1 << 30)))
        bench.feed(.resize(to: 2))
        let other = try passedOn(bench.supervisor)
        #expect(other.handoverRecords == bench.supervisor.handoverRecords)
        #expect(other.nextDeadline == bench.supervisor.nextDeadline)
        #expect(other.counters == bench.supervisor.counters)
        #expect(other.slots.map(\.lastExit) == bench.supervisor.slots.map(\.lastExit))
        #expect(other.slots.map(\.outgoing) == bench.supervisor.slots.map(\.outgoing))
        #expect(other.slots.map(\.current) == bench.supervisor.slots.map(\.current))
    }

    /// A child of a program that expects no beats is not judged by them.
    @Test func beatsAreExpectedByTheNewRules() throws {
        let bench = Bench.ready(children: 1) { $0.heartbeatTimeout = .seconds(1) }
        let records = bench.supervisor.handoverRecords
        #expect(try Supervisor(Supervisor.Rules(), records).slots[0].current?.beatBy == nil)
        #expect(try passedOn(bench.supervisor).slots[0].current?.beatBy != nil)
    }

    /// Each line with one field that is missing, or is nonsense, is a fault or means the same. It never traps.
    @Test func anyFieldMayBeBroken() throws {
        var bench = Bench.proven(children: 2)
        bench.feed(.exited(pid: 100, .signaled(9, coreDumped: false)))
        let lines = bench.supervisor.handoverRecords.map(\.line)
        var faults = 0
        for (position, line) in lines.enumerated() {
            let words = line.split(separator: " ")
            for index in words.indices.dropFirst() {
                let key = words[index].split(separator: "=")[0]
                for value in [nil, "x", "-1", "99999999999999999999", "0", "5000", "%zz"] {
                    var changed = words
                    changed[index] = Substring(value.map { "\(key)=\($0)" } ?? "unknown=1")
                    var broken = lines
                    broken[position] = changed.joined(separator: " ")
                    do {
                        var records: [HandoverRecord] = []
                        for line in broken { records.append(try HandoverRecord(line: line[...])) }
                        _ = try Supervisor(rules, records)
                    } catch {
                        faults += 1
                    }
                }
            }
        }
        #expect(faults > 100)
    }

    // MARK: The whole

    private let process = Handover.Process(
        pid: 7, startedAt: Instant(nanoseconds: 5), earlierRuns: "rt", children: 2, takeover: "none",
        program: CString("/srv/a b"), isReloading: true, descriptors: [4, 5], inherited: [3])

    private func read(_ text: String, pid: Int32 = 7, inode: (CInt) -> UInt64? = { UInt64($0) }) throws -> Handover {
        try Handover(text, pid: pid, inode: inode)
    }

    @Test func comesBackAsItWas() throws {
        let handover = Handover(process: process, records: [HandoverRecord("a"), HandoverRecord("b")])
        #expect(try read(handover.text { UInt64($0) }) == handover)
    }

    @Test func isRefused() throws {
        let text = Handover(process: process, records: [HandoverRecord("a")]).text { UInt64($0) }
        #expect(throws: HandoverRecord.Fault("pid of a line of kind process is \"7\"")) { try read(text, pid: 8) }
        #expect(throws: HandoverRecord.Fault("a descriptor is not what it was")) {
            try read(text) { UInt64($0 + 1) }
        }
        #expect(throws: HandoverRecord.Fault("its end is missing")) { try read(text.replacing("\na\n", with: "\n")) }
        #expect(throws: HandoverRecord.Fault("its end is missing")) { try read(String(text.dropLast(12))) }
        #expect(throws: HandoverRecord.Fault.self) { try read("") }
        #expect(throws: HandoverRecord.Fault.self) { try read(text.replacing("runs=rt", with: "runs=xy")) }
        #expect(throws: HandoverRecord.Fault.self) { try read(text.replacing("version=1", with: "version=0")) }
    }

    /// A later version adds lines and fields.
    @Test func newerOnesAreRead() throws {
        let text = Handover(process: process, records: [HandoverRecord("a")]).text { UInt64($0) }
            .replacing("version=1", with: "version=9 more=1").replacing("\na\n", with: "\na new=1\n")
        #expect(try read(text).process.version == 9)
    }

    /// An inherited descriptor that is another file by now is left to its owner.
    @Test func inheritedDescriptorsThatAreGone() throws {
        let text = Handover(process: process, records: []).text { UInt64($0) }
        #expect(try read(text) { $0 == 3 ? nil : UInt64($0) }.process.inherited == [])
    }

    @Test func noticesComeBack() throws {
        for (way, fault) in [(CString("/proc/1/fd/9"), nil), (nil, "not possible: 100 %"), (nil, nil)] {
            let notice = HandoverNotice(
                pid: 7, file: 5, identity: FileIdentity(device: 1, inode: 2), returnPath: way, fault: fault)
            #expect(HandoverNotice(notice.value) == notice)
        }
        for value in [
            "", "1", "0 7 1:2:3 -", "1 7 1:2 -", "1 7 x:2:3 -", "1 x 1:2:3 -", "1 7 1:2:3 %zz", "1 7 1:2:3 %00",
            "1 7 1:2:3 - %zz",
        ] {
            #expect(HandoverNotice(value) == nil, "\(value)")
        }
    }

    // MARK: Earlier versions

    /// The handover of the first version, as a real master wrote it. It must be read for ever.
    @Test func versionOne() throws {
        let supervisor = try Supervisor(rules, try lines(Self.versionOneText))
        #expect(supervisor.generation == 2)
        #expect(supervisor.previousGeneration == 1)
        #expect(supervisor.target == 2)
        #expect(supervisor.hasBeenUp)
        #expect(supervisor.handingOverSince == Instant(nanoseconds: 61_003_000_000_000))
        #expect(supervisor.slots.map { $0.current?.pid } == [4711, 4712])
        #expect(supervisor.slots.map { $0.current?.isProven } == [true, false])
        #expect(supervisor.slots[1].outgoing.map(\.child.pid) == [4702])
        #expect(supervisor.slots[1].outgoing.map(\.cause) == [.restart])
        #expect(supervisor.slots[1].outgoing[0].escalation.next == Instant(nanoseconds: 61_009_000_000_000))
        #expect(supervisor.slots[0].launches == 3)
        #expect(supervisor.slots[0].lastExit?.reason == .signal(9, coreDumped: false))
        #expect(supervisor.counters.signals == [9: 1])
        #expect(supervisor.counters.lostWhileReady == 1)
        let handover = try Handover(Self.versionOneHead + Self.versionOneText + "end lines=12\n", pid: 4700) {
            UInt64($0) * 100
        }
        #expect(handover.process.children == 2)
        #expect(handover.process.program == CString("/srv/app/server"))
        #expect(handover.process.descriptors == [4, 5, 6, 7])
        #expect(handover.records("slot").count == 2)
    }

    private func lines(_ text: String) throws -> [HandoverRecord] {
        try text.split(separator: "\n").map { try HandoverRecord(line: $0) }
    }

    private static let versionOneHead = """
        process version=1 pid=4700 started=61000000000000 children=2 takeover=none program=/srv/app/server \
        descriptors=4,5,6,7 inodes=400,500,600,700 inherited=3 inherited-inodes=300

        """

    private static let versionOneText = """
        fleet target=2 rotation=0,1 generation=2 previous=1 latest=2 since=61003000000000 been-up=1 \
        expected=61009000000000 start-failures=0
        counters signals=9,1 unknown=0 not-spawned=0 out-of-memory=0 failed-starts=0 lost=1 unresponsive=0 recycled=0
        strict-exits total=1 times=61001000000000
        backtraces
        poison-budget level=2500000000000 updated=61001000000000
        broken-budget level=800000000000
        slot index=0 generation=2 failures=0 shortages=0 recoveries=1 launches=3 last-pid=4711
        child slot=0 role=current pid=4711 launch=2 generation=2 spawned=61003000000000 ready=61003010000000 \
        start-cost=5000000
        last-exit slot=0 pid=4701 signal=9 lifetime=1000000000 was-ready=1 ready-time=990000000
        slot index=1 generation=2 failures=0 shortages=0 recoveries=0 launches=2 last-pid=4712
        child slot=1 role=current pid=4712 launch=1 generation=2 spawned=61004000000000 ready=61004010000000 \
        proven-at=61005010000000
        child slot=1 role=outgoing pid=4702 launch=0 generation=1 spawned=61000000000000 ready=61000010000000 \
        cause=restart since=61004000000000 signals-since=61004000000000 signals=9 signals-after=5000000000

        """
}
