import Testing

@testable import Prefork
@testable import preforkctl

/// The status of a fleet, from the master's value to the table that preforkctl prints.
@Suite struct ControlStatusTests {
    private func slot(
        _ slot: Int, _ state: Prefork.Status.State, since: Duration = .milliseconds(1940),
        exit: Prefork.ChildExit? = nil, isInRotation: Bool = true, waiting: Int? = 0
    ) -> Prefork.Status.Slot {
        Prefork.Status.Slot(
            slot: slot, state: state, since: since, spawns: 2, lastExit: exit, isInRotation: isInRotation,
            waiting: waiting)
    }

    private var status: Prefork.Status {
        var counters = Prefork.Status.Counters()
        let exit = childExit(.signal(4, coreDumped: false), slot: 0, pid: 8, after: .milliseconds(4700))
        counters.note(exit)
        counters.note(childExit(.status(3), wasReady: false))
        return Prefork.Status(
            masterPID: 20954, addresses: [.tcp("127.0.0.1", port: 8080), .unix("/run/\"a\n.sock")], isStopping: false,
            slots: [
                slot(0, .ready(pid: 22315), exit: exit),
                slot(1, .backingOff(.milliseconds(400)), since: .zero, isInRotation: false, waiting: 3),
                slot(2, .empty, since: .zero, waiting: nil),
            ],
            listeners: [
                .init(
                    address: .tcp("127.0.0.1", port: 8080), mode: .sharded, ownership: .bound,
                    queues: [.init(waiting: 0, limit: 4096), .init(waiting: 3, limit: 4096), nil]),
                .init(address: .unix("/run/\"a\n.sock"), mode: .shared, ownership: .adopted, queues: [nil]),
            ],
            counters: counters)
    }

    private func answer(_ used: ProcessUsage?) throws -> JSONValue {
        let value = ControlStatus(
            status: status, uptime: .seconds(3725), usage: used.map { [22315: $0] } ?? [:])
        return try #require(JSONValue(ControlAnswer.success(value.members)))
    }

    private let used = ProcessUsage(
        ProcessStat(Array("22315 (a) S 1 2 3 0 -1 4 5 6 7 8 150 25 11 12 20 0 1 0 98765 1 3072 3\n".utf8))!, ticks: 100,
        page: 4096)

    @Test func everyFieldIsOneValue() throws {
        let fields = try answer(used)["status"]
        #expect(
            fields.members.keys.sorted() == [
                "addresses", "counters", "generation", "isRestarting", "isStopping", "listeners", "pid", "slots",
                "uptime",
            ])
        #expect(fields["pid"].integer == 20954)
        #expect(fields["uptime"].number == 3725)
        #expect(fields["addresses"].items.first == .string("127.0.0.1:8080"))
        let slots = fields["slots"].items
        #expect(
            slots[0]
                == .object([
                    "slot": .number(0), "state": .string("ready"), "pid": .number(22315), "generation": .null,
                    "replacement": .null, "since": .number(1.94), "retryIn": .null, "launches": .number(2),
                    "isInRotation": .bool(true), "queue": .number(0),
                    "memory": .number(12_582_912), "cpu": .number(1.75),
                    "lastExit": .object([
                        "pid": .number(8), "reason": .string("signal"), "signal": .number(4), "status": .null,
                        "lifetime": .number(4.7), "wasReady": .bool(true), "isProbablyOutOfMemory": .bool(false),
                        "text": .string("signal 4 (ILL) after 4.7 s"),
                    ]),
                ]))
        #expect(slots[1]["state"] == .string("backingOff"))
        #expect(slots[1]["retryIn"] == .number(0.4))
        #expect(slots[1]["since"] == .null)
        #expect(slots[1]["pid"] == .null)
        #expect(slots[2]["queue"] == .null)
        #expect(fields["listeners"].items[0]["queues"].items[1]["waiting"] == .number(3))
        #expect(fields["counters"]["signals"] == .object(["4": .number(1)]))
        #expect(fields["counters"]["statuses"] == .object(["3": .number(1)]))
        #expect(fields["counters"]["total"] == .number(2))
        let hidden = try answer(nil)["status"]["slots"].items[0]
        #expect(hidden["memory"] == .null && hidden["cpu"] == .null)
    }

    @Test func theStateOfAWatcherIsFreeOfTime() throws {
        let (early, late) = (
            ControlStatus(status: status, uptime: .seconds(1), usage: [:]),
            ControlStatus(status: status, uptime: .seconds(2), usage: [:])
        )
        #expect(early.state == late.state)
        #expect(early.members != late.members)
        let busy = ControlStatus(status: status, uptime: .seconds(1), usage: used.map { [22315: $0] } ?? [:])
        #expect(busy.state != early.state)
    }

    @Test func aTableForPeople() throws {
        let fleet = try #require(Fleet(answer(used)))
        let expected = """
            master 20954 on 127.0.0.1:8080, unix:/run/"a?.sock, up 1h02m, generation 1
            SLOT     PID GEN UPTIME STATE        QUEUE   CPU   MEM LAUNCHES LAST EXIT
               0   22315   -   1.9s ready            0  1.7s 12.0M        2 signal 4 (ILL) after 4.7 s
               1       -   - in 0.4s backing off  3 out     -     -        2 -
               2       -   -      - empty            -     -     -        2 -
            unix:/run/"a?.sock (shared, adopted): queue unknown
            unexpected exits: 2 (1 while ready, 1 failed starts)
            """
        #expect(FleetTable().lines(fleet, .total).joined(separator: "\n") == expected)
        let shares = FleetTable().lines(fleet, .shares([22315: 0.123]))
        #expect(shares[2].contains("   12% 12.0M"))
    }

    @Test func aTableIsCutToTheTerminal() throws {
        let fleet = try #require(Fleet(answer(used)))
        let lines = FleetTable(columns: 80).lines(fleet, .total)
        #expect(lines.allSatisfy { $0.count <= 80 })
        #expect(lines[2].hasSuffix("        2 signal 4 (ILL)"))
        let short = FleetTable(columns: 40, rows: 6).lines(fleet, .total)
        #expect(short.count == 6)
        #expect(short[3] == "and 2 more slots")
        #expect(short.allSatisfy { $0.count <= 40 })
        let colored = FleetTable(isColored: true, columns: 80).lines(fleet, .total)
        #expect(colored[2].contains("\u{1B}[32mready\u{1B}[0m"))
        #expect(!lines.contains { $0.contains("\u{1B}") })
    }

    @Test(arguments: [
        (0, "0.0s"), (0.449, "0.4s"), (59.99, "59.9s"), (60, "1m00s"), (3599.9, "59m59s"), (3600, "1h00m"),
        (86_399, "23h59m"), (86_400, "1d00h"), (8_639_999, "99d23h"), (8_640_000, "100d"), (-1, "0.0s"),
        (.infinity, "11574d"), (.nan, "0.0s"),
    ])
    func timesAreShort(seconds: Double, text: String) { #expect(FleetTable.time(seconds) == text) }

    @Test(arguments: [
        (0, "0K"), (524_288, "512K"), (1_048_576, "1.0M"), (12_582_912, "12.0M"), (129_000_000, "123M"),
        (1_200_000_000, "1.1G"), (2e15, "1818.9T"), (-5, "0K"),
    ])
    func sizesAreShort(bytes: Double, text: String) { #expect(FleetTable.size(bytes) == text) }

    @Test func changesAreLines() throws {
        let fleet = try #require(Fleet(answer(used)))
        var next = fleet
        #expect(Watch.changes(from: nil, to: fleet).count == 3)
        next.uptime += 5
        next.slots[0].cpu = 9
        next.slots[0].since = 7
        #expect(Watch.changes(from: fleet, to: next).isEmpty)
        next.slots[0].launches = 3
        next.isStopping = true
        next.slots.removeLast()
        #expect(
            Watch.changes(from: fleet, to: next) == [
                "the fleet is stopping", "slot 0: ready 22315, launches 3, last exit: signal 4 (ILL) after 4.7 s",
                "slot 2: gone",
            ])
    }

    @Test func sharesAreOfTheSameChild() throws {
        let fleet = try #require(Fleet(answer(used)))
        var next = fleet
        next.uptime += 2
        next.slots[0].cpu = 2.75
        #expect(Watch.shares(from: fleet, to: next) == [22315: 0.5])
        next.slots[0].pid = 7
        #expect(Watch.shares(from: fleet, to: next) == [:])
        #expect(Watch.shares(from: fleet, to: fleet) == [:])
        let later = Watch.advanced(fleet, by: 1)
        #expect(later.slots[0].since == 2.94)
        #expect(later.slots[1].retryIn == 0)
    }

    // MARK: The command line

    @Test func commandsAreLines() throws {
        #expect(try Command(["/c", "status"]).request == "status")
        #expect(try Command(["--json", "/c", "resize", "8"]).request == "resize 8")
        #expect(try Command(["/c", "status", "--json"]).isRaw)
        for words in [
            [], ["/c"], ["/c", "reload"], ["/c", "resize"], ["/c", "resize", "-1"], ["/c", "resize", "x"],
            ["/c", "resize", "1", "2"], ["/c", "stop", "now"], ["/c", "status", "--yaml"],
        ] {
            #expect(failure { () throws(Command.Fault) in try Command(words) } != nil, "\(words)")
        }
    }
}
