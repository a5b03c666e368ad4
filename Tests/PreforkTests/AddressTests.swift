import Testing

@testable import Prefork

@Suite struct AddressTests {
    @Test(arguments: [
        ("127.0.0.1:8080", Prefork.Address.tcp("127.0.0.1", port: 8080), Prefork.Address.Network.tcp4),
        (":8080", .tcp("", port: 8080), .tcp4),
        ("[::1]:8080", .tcp("::1", port: 8080), .tcp6),
        ("[fe80::1%eth0]:8080", .tcp("fe80::1%eth0", port: 8080), .tcp6),
        ("localhost:8080", .tcp("localhost", port: 8080), .tcp4),
        ("tcp://:8080", .tcp("", port: 8080, network: .tcp), .tcp),
        ("tcp://[::]:0", .tcp("::", port: 0, network: .tcp), .tcp),
        ("tcp4://localhost:65535", .tcp("localhost", port: 65535, network: .tcp4), .tcp4),
        ("tcp6://localhost:1", .tcp("localhost", port: 1, network: .tcp6), .tcp6),
        ("tcp6://[::1]:80", .tcp("::1", port: 80, network: .tcp6), .tcp6),
    ])
    func readsTCP(text: String, expected: Prefork.Address, effective: Prefork.Address.Network) throws {
        let address = try Prefork.Address(text)
        #expect(address == expected)
        #expect(address.effectiveNetwork == effective)
        #expect(address.description == text)
        #expect(address.path == nil)
        #expect(!address.isUnix)
    }

    @Test(arguments: [
        "/run/app.sock", "relative.sock", "/with space", "/with:colon:80", "tcp://:80", "/ümlaut/🙂", "\u{301}combining",
        "/two\nlines",
    ])
    func readsUnix(path: String) throws {
        let address = try Prefork.Address("unix:\(path)")
        #expect(address == .unix(path))
        #expect(address.path == path)
        #expect(address.isUnix)
        #expect(address.host == nil)
        #expect(address.port == nil)
        #expect(address.network == nil)
        #expect(address.description == "unix:\(path)")
    }

    @Test func partsOfATCPAddress() throws {
        let address = try Prefork.Address("tcp6://[::1]:8080")
        #expect(address.host == "::1")
        #expect(address.port == 8080)
        #expect(address.network == .tcp6)
    }

    @Test func leadingZerosOfAPortDoNotMatter() throws {
        #expect(try Prefork.Address(":0080") == .tcp("", port: 80))
    }

    @Test func whatIsPrintedIsReadBack() throws {
        var generator = SplitMix64(seed: 20)
        for _ in 0..<5000 {
            let address = randomAddress(&generator)
            try #require(address.fault == nil, "\(address)")
            #expect(try Prefork.Address(address.description) == address)
        }
    }

    private func randomAddress(_ generator: inout SplitMix64) -> Prefork.Address {
        func text(_ alphabet: String, _ lengths: ClosedRange<Int>) -> String {
            let characters = Array(alphabet.unicodeScalars)
            var scalars = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: lengths, using: &generator) {
                scalars.append(characters[Int.random(in: characters.indices, using: &generator)])
            }
            return String(scalars)
        }
        let port = Int.random(in: 0...65535, using: &generator)
        let networks: [Prefork.Address.Network?] = [nil, .tcp, .tcp4, .tcp6]
        let network = networks.randomElement(using: &generator) ?? nil
        switch Int.random(in: 0..<4, using: &generator) {
        case 0:
            let path = text("/ab.:% \n\u{301}é€🙂[]@=\"\\", 1...20)
            return .unix(path == "@" ? "./@" : path)  // An abstract name without a name is none.
        case 1: return .tcp(text("0123456789abcdef", 1...4) + "::" + text("0123456789abcdef", 0...4), port: port)
        case 2:
            let bytes = (0..<4).map { _ in "\(UInt8.random(in: 0...255, using: &generator))" }
            return .tcp(bytes.joined(separator: "."), port: port, network: network == .tcp6 ? nil : network)
        default: return .tcp(text("abcxyz-_.", 0...12), port: port, network: network)
        }
    }

    @Test(arguments: [
        ("", "no port; expected HOST:PORT, :PORT or unix:PATH"),
        ("8080", "no port; expected HOST:PORT, :PORT or unix:PATH"),
        ("localhost", "no port; expected HOST:PORT, :PORT or unix:PATH"),
        ("tcp://", "no port; expected HOST:PORT, :PORT or unix:PATH"),
        ("/run/app.sock", "no port; expected HOST:PORT, :PORT or unix:PATH"),
        ("localhost:", #"the port "" is not a number"#),
        (":http", #"the port "http" is not a number"#),
        (":-1", #"the port "-1" is not a number"#),
        (":+80", #"the port "+80" is not a number"#),
        (":٣", #"the port "٣" is not a number"#),
        (":0x50", #"the port "0x50" is not a number"#),
        (":80 ", #"the port "80 " is not a number"#),
        (": 80", #"the port " 80" is not a number"#),
        (":8080/", #"the port "8080/" is not a number"#),
        ("[::1]", #"the port "1]" is not a number"#),
        (":99999999999999999999", #"the port "99999999999999999999" is not a number"#),
        (":80\n", #"the port "80\n" is not a number"#),
        ("tcp4://unix:/run/app.sock", #"the port "/run/app.sock" is not a number"#),
        (":65536", "the port 65536 is not in 0...65535"),
        ("::1:8080", "an IPv6 address belongs in brackets, as in [::1]:8080"),
        (":::80", "an IPv6 address belongs in brackets, as in [::1]:8080"),
        ("[::1:8080", "brackets belong around an IPv6 address"),
        ("::1]:8080", "brackets belong around an IPv6 address"),
        ("[]:80", "brackets belong around an IPv6 address"),
        ("[localhost]:80", "brackets belong around an IPv6 address"),
        ("[127.0.0.1]:80", "brackets belong around an IPv6 address"),
        ("[[::1]]:80", #"the host "[::1]" contains a character that no host has"#),
        ("udp://:80", #""udp" is none of tcp, tcp4 and tcp6"#),
        ("TCP://:80", #""TCP" is none of tcp, tcp4 and tcp6"#),
        ("http://localhost:80", #""http" is none of tcp, tcp4 and tcp6"#),
        ("://:80", #""" is none of tcp, tcp4 and tcp6"#),
        ("tcp4://[::1]:80", "the host is an IPv6 address, the network tcp4"),
        ("tcp6://127.0.0.1:80", "the host is an IPv4 address, the network tcp6"),
        (" :80", "the host contains a space or a control"),
        ("a b:80", "the host contains a space or a control"),
        ("a\tb:80", "the host contains a space or a control"),
        ("a\u{7f}:80", "the host contains a space or a control"),
        ("user@host:80", #"the host "user@host" contains a character that no host has"#),
        ("host/path:80", #"the host "host/path" contains a character that no host has"#),
        ("unix:", "the path is empty"),
        ("unix:@", "the abstract name is empty"),
        ("unix:/a\0b", "the path contains a NUL"),
    ])
    func refuses(text: String, reason: String) throws {
        let error = try #require(failure { () throws(PreforkError) in try Prefork.Address(text) })
        guard case .invalidAddress(let given, let why) = error.payload else {
            Issue.record("\(error)")
            return
        }
        #expect(given == text)
        #expect(why == reason)
        #expect(error.description == "invalid address \(text.debugDescription): \(reason)")
        #expect(!error.description.contains { $0.isNewline }, "the error must be one line")
        #expect(error.exitStatus == 64)
    }

    @Test(arguments: [
        (Prefork.Address.tcp("127.0.0.1", port: 65536), "the port 65536 is not in 0...65535"),
        (.tcp("127.0.0.1", port: -1), "the port -1 is not in 0...65535"),
        (.tcp("a b", port: 80), "the host contains a space or a control"),
        (.tcp("a\nb", port: 80), "the host contains a space or a control"),
        (.tcp("[::1]", port: 80), #"the host "[::1]" contains a character that no host has"#),
        (.tcp("tcp://x", port: 80), #"the host "tcp://x" contains a character that no host has"#),
        (.tcp("::1", port: 80, network: .tcp4), "the host is an IPv6 address, the network tcp4"),
        (.tcp("0.0.0.0", port: 80, network: .tcp6), "the host is an IPv4 address, the network tcp6"),
        // Without a network it prints as the path of a Unix-domain socket.
        (.tcp("unix", port: 80), "a host called unix needs a network in front, as in tcp4://unix:80"),
        (.tcp("*", port: 80), #"all interfaces are written without a host: ":80""#),
        (.unix(""), "the path is empty"),
        (.unix("/a\0"), "the path contains a NUL"),
    ])
    func findsTheFault(address: Prefork.Address, fault: String) {
        #expect(address.fault == fault)
    }

    @Test(arguments: [
        Prefork.Address.tcp("", port: 0), .tcp("::", port: 65535, network: .tcp),
        .tcp("1.2.3", port: 1, network: .tcp6),
        .tcp("unix", port: 80, network: .tcp4), .tcp("::1", port: 80, network: .tcp6), .unix("/a"),
        .unix(String(repeating: "x", count: 500)),
    ])
    func hasNoFault(address: Prefork.Address) {
        #expect(address.fault == nil)
    }

    @Test func networksAreThoseOfGo() {
        #expect(Prefork.Address.Network.allCases.map(\.rawValue) == ["tcp", "tcp4", "tcp6"])
    }
}
