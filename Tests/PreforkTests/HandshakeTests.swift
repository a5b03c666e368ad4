import Testing

@testable import Prefork

private let sample = Handshake(
    slot: 2,
    launch: 7,
    generation: 3,
    earlierRuns: "rt",
    masterPID: 1234,
    addresses: [.tcp("127.0.0.1", port: 8080), .unix("/run/app.sock")],
    channel: FileIdentity(device: 12, inode: 3456)
)

/// Not in the arguments of a test, because the compiler of Swift 6.0.3 crashes at a closure there.
private let manyAddresses = (0..<100).map { Prefork.Address.tcp("127.0.0.1", port: 1000 + $0) }

private func dictionary(_ handshake: Handshake) -> [String: String] {
    Dictionary(uniqueKeysWithValues: handshake.variables.map { ($0.name, $0.value) })
}

private func decoded(_ values: [String: String]) -> Handshake.Decoded { Handshake.decode { values[$0] } }

@Suite struct HandshakeCodingTests {
    @Test(arguments: [
        [Prefork.Address.tcp("127.0.0.1", port: 8080)],
        [.tcp("::1", port: 1), .tcp("0.0.0.0", port: 65535, network: .tcp4), .tcp("::", port: 0, network: .tcp)],
        [.unix("/run/app.sock")],
        [.unix("/with space"), .unix("/with%20percent%"), .unix("/two\nlines\tand\u{7f}"), .unix("/ümlaut/🙂")],
        [.unix("\u{301}combining"), .tcp("fe80::1%eth0", port: 80), .unix(" "), .unix("%")],
        manyAddresses,
    ])
    func comesBackAsItWas(addresses: [Prefork.Address]) {
        for (slot, launch, generation, masterPID) in [
            (0, 0, 1, Int32(1)), (4095, Int.max, Int.max, Int32.max), (3, 12, 2, 4711),
        ] {
            let handshake = Handshake(
                slot: slot,
                launch: launch,
                generation: generation,
                masterPID: masterPID,
                addresses: addresses,
                channel: FileIdentity(device: .max, inode: .max)
            )
            #expect(decoded(dictionary(handshake)) == .complete(handshake))
        }
    }

    @Test func variablesAreTheseAndNoOthers() {
        #expect(
            sample.variables.map { "\($0.name)=\($0.value)" } == [
                "PREFORK_VERSION=1", "PREFORK_SLOT=2", "PREFORK_LAUNCH=7", "PREFORK_GENERATION=3", "PREFORK_RUNS=rt",
                "PREFORK_MASTER_PID=1234", "PREFORK_LISTENERS=2",
                "PREFORK_ADDRESSES=127.0.0.1:8080 unix:/run/app.sock", "PREFORK_NAMES== =", "PREFORK_CHANNEL=5:12:3456",
            ]
        )
        #expect(sample.variables.map(\.name) == Handshake.names)
    }

    @Test("A handshake has the current version and the first generation, unless told otherwise")
    func versionAndGeneration() {
        let handshake = Handshake(
            slot: 0, launch: 0, masterPID: 1, addresses: [], channel: FileIdentity(device: 0, inode: 0))
        #expect(handshake.version == 1)
        #expect(handshake.version == Handshake.currentVersion)
        #expect(handshake.generation == 1)
    }

    @Test("The handshake of a newer master is understood, and its version is kept", arguments: [2, 99, Int.max])
    func newerVersion(version: Int) {
        var newer = sample
        newer.version = version
        var values = dictionary(newer)
        values["PREFORK_SOMETHING_NEW"] = "1"
        #expect(decoded(values) == .complete(newer))
        #expect(values["PREFORK_VERSION"] == "\(version)")
    }

    @Test func valuesArePrintableASCII() {
        let handshake = Handshake(
            slot: 0,
            launch: 0,
            masterPID: 1,
            addresses: [.unix("/a b\n\t%é\u{7f}")],
            channel: FileIdentity(device: 0, inode: 0)
        )
        #expect(dictionary(handshake)["PREFORK_ADDRESSES"] == "unix:/a%20b%0a%09%25%c3%a9%7f")
    }

    @Test func descriptorsFollowTheStandardOnes() {
        #expect(sample.listeners == 3..<5)
        #expect(sample.channelDescriptor == 5)
    }

    @Test("fasthttp TestIsChild: the environment's mark decides")
    func testIsChild() {
        #expect(decoded([:]) == .absent)
        #expect(decoded(["PREFORK": "1", "PREFORK_FOO": "1", "FASTHTTP_PREFORK_CHILD": "1"]) == .absent)
        #expect(decoded(dictionary(sample)) == .complete(sample))
    }

    @Test(arguments: Handshake.names)
    func eachMissingVariableIsNamed(name: String) {
        var values = dictionary(sample)
        values[name] = nil
        let others = Handshake.names.filter { $0 != name }.joined(separator: ", ")
        #expect(decoded(values) == .broken("\(name) is missing beside \(others)"))
    }

    @Test(arguments: Handshake.names)
    func oneVariableAloneIsBroken(name: String) {
        guard case .broken(let reason) = decoded([name: dictionary(sample)[name] ?? ""]) else {
            Issue.record("one variable must not make a child, nor a master")
            return
        }
        #expect(reason.hasSuffix(" is missing beside \(name)"))
        #expect(!reason.hasPrefix("\(name) "))
    }

    @Test(
        arguments: [
            ("PREFORK_VERSION", "is not a version", ["0", "9223372036854775808"]),
            ("PREFORK_GENERATION", "is not a generation", ["0", "9223372036854775808"]),
            ("PREFORK_SLOT", "is no slot", ["4096", "99999999999999999999"]),
            ("PREFORK_LAUNCH", "is no number", ["9223372036854775808"]),
            ("PREFORK_MASTER_PID", "is no process id", ["0", "2147483648"]),
            (
                "PREFORK_LISTENERS", "and PREFORK_ADDRESSES do not fit",
                ["0", "1", "3", "32768", "99999999999999999999"]
            ),
            (
                "PREFORK_CHANNEL", "is no descriptor",
                [
                    "5", "5:12", "5:12:", "::", "5:12:3456:", "5:12:3456:7", "+5:12:3456", "-5:12:3456", "5:-12:3456",
                    "5:+12:3456", "5:12:-3456", "a:12:3456", "5:b:3456", "5:12:c", "2147483648:12:3456",
                    "5:18446744073709551616:3456", "5:12:18446744073709551616", " 5:12:3456",
                ]
            ),
            (
                "PREFORK_CHANNEL", "is not behind the listeners",
                ["0:12:3456", "2:12:3456", "3:12:3456", "4:12:3456", "6:12:3456"]
            ),
        ]
    )
    func eachForgedValueIsNamed(name: String, reason: String, forged: [String]) {
        let notNumbers = ["", "-1", "+1", " 1", "1 ", "x", "1x", "0x1", "1.0", "٣", "1\n"]
        for value in reason == "is not behind the listeners" ? forged : forged + notNumbers {
            var values = dictionary(sample)
            values[name] = value
            #expect(decoded(values) == .broken("\(name) \(reason)"), "\(name)=\(value)")
        }
    }

    @Test(arguments: [
        "", " ", "127.0.0.1:8080", "127.0.0.1:8080 unix:/run/app.sock :1", "127.0.0.1:8080 nonsense",
        "127.0.0.1:8080 unix:", "127.0.0.1:-1 unix:/a", "127.0.0.1:8080 unix:/a%", "127.0.0.1:8080 unix:/a%2",
        "127.0.0.1:8080 unix:/a%zz", "127.0.0.1:8080 unix:/a%+1", "127.0.0.1:8080 unix:/a%00",
        "127.0.0.1:8080 unix:/a%ff", "127.0.0.1:8080,unix:/run/app.sock",
    ])
    func forgedAddressesDoNotFit(text: String) {
        var values = dictionary(sample)
        values["PREFORK_ADDRESSES"] = text
        #expect(decoded(values) == .broken("PREFORK_LISTENERS and PREFORK_ADDRESSES do not fit"))
    }

    @Test(arguments: ["", "=", "= = =", "==", "a b", "=a b", "=a =%", "=a =%ff", "=a,=b"])
    func forgedNamesDoNotFit(text: String) {
        var values = dictionary(sample)
        values["PREFORK_NAMES"] = text
        #expect(decoded(values) == .broken("PREFORK_NAMES and PREFORK_ADDRESSES do not fit"))
    }

    @Test(arguments: [" ", "R", "r t", "rx", "1", "rt\n"])
    func forgedRunsAreNamed(text: String) {
        var values = dictionary(sample)
        values["PREFORK_RUNS"] = text
        #expect(decoded(values) == .broken("PREFORK_RUNS is no list of runs"))
    }

    @Test func namesComeThrough() {
        let addresses: [Prefork.Address] = [
            .tcp("127.0.0.1", port: 80, name: "http"), .unix("/a", name: "with a space, = and é"), .tcp("", port: 1),
        ]
        let handshake = Handshake(
            slot: 0, launch: 0, masterPID: 1, addresses: addresses, channel: FileIdentity(device: 0, inode: 0))
        #expect(decoded(dictionary(handshake)) == .complete(handshake))
        #expect(handshake.variables.allSatisfy { $0.value.utf8.allSatisfy { (32..<127).contains($0) } })
    }

    @Test func moreListenersThanAnnouncedMoveTheChannelDescriptor() {
        var values = dictionary(sample)
        values["PREFORK_LISTENERS"] = "1"
        values["PREFORK_ADDRESSES"] = "127.0.0.1:8080"
        values["PREFORK_NAMES"] = "="
        #expect(decoded(values) == .broken("PREFORK_CHANNEL is not behind the listeners"))
    }
}

@Suite struct HandshakeEnvironmentTests {
    private func environment(_ inherited: [String], extra: [String: String] = [:]) -> [String] {
        sample.environment(inherited: inherited.map { CString($0) }, extra: extra).map(\.text)
    }

    private let own = sample.variables.map { "\($0.name)=\($0.value)" }

    @Test("fasthttp TestChildEnv: exactly one mark of this fleet, even if there was another")
    func testChildEnv() {
        let result = environment(["PATH=/bin", "PREFORK_SLOT=0", "PREFORK_SLOT=9", "HOME=/", "PREFORK_SLOT=2"])
        #expect(result == ["PATH=/bin", "HOME=/"] + own)
        #expect(result.filter { $0.hasPrefix("PREFORK_SLOT=") } == ["PREFORK_SLOT=2"])
    }

    @Test("fasthttp TestChildEnv: a variable whose name only begins with the mark's is kept")
    func testChildEnvKeepsTheSamePrefix() {
        let others = ["PREFORK_SLOTS=1", "PREFORK_SLOT_EXTRA=1", "PREFORK_MASTER_PIDS=1", "XPREFORK_SLOT=1"]
        #expect(environment(others) == others + own)
    }

    @Test("fasthttp TestChildEnv: without a mark before, one is added")
    func testChildEnvAddsTheMark() {
        #expect(environment([]) == own)
    }

    @Test func eachOfOurVariablesIsThereOnce() {
        let copies = Handshake.names.flatMap { ["\($0)=1", "\($0)=", "\($0)==", $0] }
        let result = environment(copies + ["A=1"] + copies)
        #expect(result == ["A=1"] + own)
        for name in Handshake.names {
            #expect(result.filter { $0 == name || $0.hasPrefix("\(name)=") }.count == 1, "\(name)")
        }
    }

    @Test func variablesOfOthersStay() {
        let others = [
            "PREFORKED=1", "PREFORK=1", "PREFORK_=1", "PREFORK_FOO=1", "PREFORK_REPEAT=3", "PREFORK_SLOTS=1",
            "prefork_slot=1", "LISTEN=1", "LISTEN_ADDRESS=:80", "NOTIFY_SOCKETS=1", "WATCHDOG=1", "EMPTY=", "A=B=C",
            "NOEQUALS", "=odd", "",
        ]
        #expect(environment(others) == others + own)
    }

    @Test(arguments: [
        "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "NOTIFY_SOCKET", "WATCHDOG_PID",
        "WATCHDOG_USEC",
    ])
    func whatSystemdMeansForTheMasterGoes(name: String) {
        #expect(environment(["\(name)=1", "A=1", "\(name)="]) == ["A=1"] + own)
    }

    @Test func extraReplaces() {
        let inherited = ["A=old", "B=kept", "A=older", "AA=kept", "C=old"]
        let result = environment(inherited, extra: ["D": "new", "A": "new", "C": "", "LISTEN_FDS": "3", "E": "a=b"])
        #expect(result == ["B=kept", "AA=kept", "A=new", "C=", "D=new", "E=a=b", "LISTEN_FDS=3"] + own)
    }

    @Test func bytesThatAreNoTextAreKept() {
        let raw = [Array("LATIN=".utf8) + [0xe9, 0xff, 0xfe], [0xff] + Array("=1".utf8)].map { CString(bytes: $0) }
        let result = sample.environment(inherited: raw, extra: [:])
        #expect(Array(result.prefix(2)) == raw)
        #expect(result.count == 2 + own.count)
    }
}
