import PreforkLibc
import Testing

@testable import Prefork
@testable import preforkctl

/// Every parser of data that others have written, with random changes of good examples. A parser must not trap.
///
/// Each runs for a second, or for PREFORK_FUZZ_SECONDS. PREFORK_SEED chooses other changes.
@Suite("Fuzzing") struct FuzzTests {
    private static let seconds = System.environmentValue("PREFORK_FUZZ_SECONDS").flatMap { Double($0) } ?? 1
    private static let seed = System.environmentValue("PREFORK_SEED").flatMap { UInt64($0) } ?? 1

    /// Calls `body` with changed examples until the time is over.
    private static func fuzz(_ examples: [[UInt8]], _ body: ([UInt8]) -> Void) {
        var random = SplitMix64(seed: seed)
        let end = System.now() + .seconds(seconds)
        var count = 0
        repeat {
            for _ in 0..<100 {
                body(changed(examples.randomElement(using: &random) ?? [], &random))
                count += 1
            }
        } while System.now() < end
        #expect(count >= 100)
    }

    private static let interesting: [[UInt8]] = [
        [0], [255], Array("-1".utf8), Array("99999999999999999999".utf8), Array("%".utf8), Array("%zz".utf8), [0xC3],
        Array(" ".utf8), Array(":".utf8), Array("\n".utf8), Array("(".utf8), Array(")".utf8), Array("é".utf8),
        [255, 255, 255, 255], [0, 0, 0, 0], Array("9223372036854775807".utf8), Array("/../".utf8), Array("[".utf8),
    ]

    private static func changed(_ example: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
        var bytes = example
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            let place = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &random)
            let length = Int.random(in: 0...min(8, bytes.count - place), using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: if !bytes.isEmpty { bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
            case 1: bytes.removeSubrange(place..<(place + length))
            case 2: bytes.insert(contentsOf: interesting.randomElement(using: &random) ?? [], at: place)
            case 3:
                bytes.replaceSubrange(place..<(place + length), with: interesting.randomElement(using: &random) ?? [])
            case 4: bytes.insert(contentsOf: bytes[place..<(place + length)], at: place)
            default: bytes.removeLast(min(bytes.count, length))
            }
        }
        return bytes
    }

    private static func texts(_ examples: [String], _ body: (String) -> Void) {
        fuzz(examples.map { Array($0.utf8) }) { body(String(decoding: $0, as: UTF8.self)) }
    }

    @Test("Addresses read back as they are written")
    func addresses() {
        Self.texts([
            "127.0.0.1:8080", ":8080", "[::1]:8080", "localhost:0", "unix:/run/app.sock", "unix:@app",
            "tcp6://[fe80::1%25lo]:1",
            "tcp://:8080",
        ]) { text in
            guard let address = try? Prefork.Address(text) else { return }
            #expect((try? Prefork.Address(address.description)) == address, "\(text)")
        }
    }

    @Test("A handshake is complete, broken or absent")
    func handshakes() {
        let handshake = Handshake(
            slot: 3, launch: 7, earlierRuns: "rt", masterPID: 4711,
            addresses: [.tcp("127.0.0.1", port: 80, name: "a b"), .unix("/run/app%.sock")],
            channel: FileIdentity(device: 9, inode: 12345))
        let variables = handshake.variables
        Self.texts([variables.map { "\($0.name)=\($0.value)" }.joined(separator: "\n")]) { text in
            var values: [Substring: String] = [:]
            for line in text.split(separator: "\n") {
                let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                if parts.count == 2 { values[parts[0]] = String(parts[1]) }
            }
            if case .complete(let decoded) = Handshake.decode({ values[$0[...]] }) {
                #expect(decoded.slot >= 0 && decoded.masterPID > 0)
                #expect(decoded.channelDescriptor == 3 + CInt(decoded.addresses.count))
            }
        }
    }

    @Test("LISTEN_* describe sockets or a fault")
    func activation() {
        Self.texts(["7 2 http:admin", "7 1 ", "7 3 a::b"]) { text in
            let words = text.split(separator: " ", omittingEmptySubsequences: false).map { String($0) }
            let values = ["LISTEN_PID": words.first, "LISTEN_FDS": words.dropFirst().first]
            let names = words.count > 2 ? words[2] : nil
            let (sockets, fault) = ActivatedSockets.decode(pid: 7) {
                $0 == "LISTEN_FDNAMES" ? names : values[$0] ?? nil
            }
            #expect((sockets == nil) == !fault.isEmpty)
            if let sockets { #expect(sockets.names.count == sockets.descriptors.count) }
        }
    }

    @Test("Control groups and mounts are found or not")
    func cgroups() {
        let cgroup = "0::/a/b\n5:cpu,cpuacct:/docker/1\n7:memory:/docker/1\n"
        let mounts = """
            30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
            31 23 0:27 /docker/1 /sys/fs/cgroup/memory\\040x rw,nosuid shared:9 - cgroup cgroup rw,memory
            32 23 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
            """
        Self.texts(["\(cgroup)\0\(mounts)\0max 100000\0oom_kill 3\n"]) { text in
            let parts = text.split(separator: "\0", omittingEmptySubsequences: false).map { String($0) }
            let read: (String) -> String? = { path in
                if path == "/proc/self/cgroup" { return parts[0] }
                if path == "/proc/self/mountinfo" { return parts.count > 1 ? parts[1] : nil }
                return parts.count > 3 && path.contains("memory") ? parts[3] : parts.count > 2 ? parts[2] : nil
            }
            if let quota = CgroupQuota.find(read) { #expect(quota > 0) }
            _ = OutOfMemoryCount(read)
        }
    }

    @Test("Lines of /proc/PID/stat are processes or not")
    func processes() {
        let line = "4711 (a (b) c) Z 1 2 3 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 98765 1 2 3\n"
        Self.fuzz([Array(line.utf8)]) { _ = ProcessStat($0) }
    }

    @Test("Lines of /proc/PID/maps have a path or not")
    func maps() {
        Self.texts(["55d0-55ff r-xp 0000 fe:00 12 /usr/bin/app\n7f00-7fff r--p 0 00:00 0 \n"]) {
            _ = ProgramFile.path(mappedAt: 0x55e0, in: $0)
        }
    }

    @Test("Messages of a child are messages or a fault")
    func messages() {
        let request = BindRequest(address: [2, 0, 31, 144, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
        let examples: [ChildMessage] = [
            .ready(startCost: .milliseconds(3), handover: 1), .draining(.program),
            .draining(.signal(sender: 1, user: 2)),
            .cancelling(after: .seconds(1)), .bind(request),
        ]
        Self.fuzz(examples.map(\.frame) + [examples.flatMap(\.frame)]) { bytes in
            var reader = ChildMessageReader()
            var rest = bytes[...]
            while !rest.isEmpty {
                guard let messages = try? reader.read(Array(rest.prefix(7)), at: Instant(nanoseconds: 0)) else {
                    return
                }
                for case .bind(let request) in messages { _ = SocketAddress(bytes: request.address)?.port }
                rest = rest.dropFirst(7)
            }
        }
        Self.fuzz([BindAnswer.failed(98).bytes]) { _ = BindAnswer(bytes: $0) }
    }

    /// The bounds hold whatever clients send, and however slowly they read. Every request is answered once.
    @Test("Clients of the control socket stay within their bounds")
    func controlClients() {
        var random = SplitMix64(seed: Self.seed)
        let line = "status\nwatch\nresize 3\nrecycle 1\nstop\r\nx\n"
        Self.fuzz([Array(line.utf8), [UInt8](repeating: 120, count: 1500)]) { bytes in
            var clients = ControlClients()
            var now = Instant(nanoseconds: 0)
            var rests: [Int: ArraySlice<UInt8>] = [:]
            for _ in 0..<40 {
                now = now + .milliseconds(Int64.random(in: 0...9000, using: &random))
                if let id = try? clients.admit(user: 0, owner: 0, at: now) { rests[id] = bytes[...] }
                #expect(clients.ids.count <= ControlClients.most)
                for id in clients.ids where clients.wantsInput(id) {
                    let count = min(Int.random(in: 0...512, using: &random), rests[id]?.count ?? 0)
                    clients.receive(Array(rests[id]?.prefix(count) ?? []), from: id)
                    rests[id] = rests[id]?.dropFirst(count)
                    if rests[id]?.isEmpty == true, Bool.random(using: &random) { clients.receiveEnd(from: id) }
                }
                if let id = clients.takeRequest(at: now)?.client {
                    #expect(!clients.wantsInput(id) && clients.unsent(id).isEmpty)
                    clients.answer(id, [UInt8](repeating: 65, count: 300), at: now)
                    clients.answer(id, [66], at: now)
                    #expect(clients.unsent(id).count == 300)
                }
                for id in clients.watchers(at: now) { clients.watch(id, [67, 10], state: .null, at: now) }
                clients.expire(at: now)
                for id in clients.ids {
                    let unsent = clients.unsent(id)
                    #expect(unsent.count <= 300)
                    clients.sent(Int.random(in: 0...unsent.count, using: &random), to: id, at: now)
                    if clients.isOver(id) { clients.remove(id) }
                }
                if let next = clients.nextDeadline(at: now) { #expect(next >= now || clients.ids.isEmpty == false) }
            }
        }
        Self.fuzz([Array("resize 12".utf8), Array("recycle 3".utf8)]) { bytes in
            if case .resize(let count)? = try? ControlRequest(bytes) { #expect((1...4096).contains(count)) }
        }
    }

    @Test("JSON is read or refused")
    func json() {
        let value = JSON.object([
            .init(
                "a\"\u{1}",
                .array([.null, .bool(true), .integer(-7), .seconds(.milliseconds(1500)), .string("ü\n")]))
        ])
        Self.fuzz([value.bytes, Array("[{\"\\ud83d\\ude00\":[1e9,{}]}]".utf8)]) { bytes in
            guard let read = JSONValue(bytes) else { return }
            // Whatever is accepted has a status that a table can show.
            _ = Fleet(read).map { FleetTable(columns: 80).lines($0, .total) }
        }
        Self.texts(["a\u{0}\\\"\n😀"]) { text in #expect(JSONValue(JSON.string(text).bytes) == .string(text)) }
    }

    #if os(Linux)
        @Test("Answers of sock_diag are sockets or not")
        func diagnosis() {
            func message(_ type: UInt16, _ body: [UInt8]) -> [UInt8] {
                let length = UInt32(16 + body.count)
                return (0..<4).map { UInt8(truncatingIfNeeded: length >> ($0 * 8)) }
                    + [UInt8(truncatingIfNeeded: type), UInt8(type >> 8)] + [UInt8](repeating: 0, count: 10) + body
            }
            let socket = [UInt8](repeating: 7, count: 72)
            let queue = [UInt8](repeating: 0, count: 16) + [12, 0, 4, 0, 1, 0, 0, 0, 5, 0, 0, 0]
            let answers = [
                message(20, socket) + message(20, socket) + message(3, [0, 0, 0, 0]), message(20, queue),
                message(2, [255, 255, 255, 255]), message(2, [0, 0, 0, 128]),
            ]
            for all in [true, false] {
                Self.fuzz(answers) { bytes in
                    _ = try? Netlink.read(bytes[...], all: all) { answer in
                        _ = InternetSockets.decode(answer)
                        _ = UnixQueue.decodeLimit(answer)
                        return false
                    }
                }
            }
        }
    #endif

    @Test("The journal's variable is compared or ignored")
    func journal() throws {
        let file = try #require(System.identity(of: 2))
        Self.texts(["\(file.device):\(file.inode)"]) { _ = Journal.receives(2, stream: $0) }
    }
}
