import PreforkLibc
import Testing

@testable import Prefork

private func decode(_ values: [String: String], pid: Int32 = 7) -> ServiceVariables {
    ServiceVariables.decode(pid: pid) { values[$0] }
}

@Suite("The variables of a service manager") struct ServiceVariablesTests {
    @Test("A path and an abstract name are addresses") func sockets() {
        #expect(decode(["NOTIFY_SOCKET": "/run/systemd/notify"]).path == "/run/systemd/notify")
        #expect(decode([:]) == decode(["NOTIFY_SOCKET": ""]))
        #expect(decode([:]).path == nil)
        #if os(Linux)
            #expect(decode(["NOTIFY_SOCKET": "@/org/x"]).path == "\0/org/x")
        #endif
    }

    @Test(
        "Another value is a fault that names the variable",
        arguments: [
            ("run/notify", "neither an absolute path nor a name that begins with @"),
            ("@", "neither an absolute path nor a name that begins with @"),
            ("vsock:2:1234", "vsock addresses are not supported"),
            ("vsock-stream:2:1234", "vsock addresses are not supported"),
            ("/" + String(repeating: "x", count: 107), "too long"),
        ])
    func faults(value: String, reason: String) {
        let decoded = decode(["NOTIFY_SOCKET": value, "WATCHDOG_USEC": "x"])
        #expect(decoded.path == nil)
        #expect(decoded.faults.count == 1)
        #expect(decoded.faults.first?.hasPrefix("NOTIFY_SOCKET is \"\(value)\"") == true)
        #expect(decoded.faults.first?.contains(reason) == true)
    }

    @Test("The longest path is accepted") func longestPath() {
        let path = "/" + String(repeating: "x", count: PlatformListener.longestPath - 1)
        #expect(decode(["NOTIFY_SOCKET": path]).path == path)
    }

    @Test("The watchdog is this process's if it has no number, or this one") func watchdog() {
        let socket = ["NOTIFY_SOCKET": "/run/x"]
        func watchdog(_ time: String, pid: String? = nil) -> ServiceVariables {
            decode(socket.merging(["WATCHDOG_USEC": time, "WATCHDOG_PID": pid].compactMapValues { $0 }) { $1 })
        }
        #expect(watchdog("1500000").watchdog == .milliseconds(1500))
        #expect(watchdog("1500000", pid: "7").watchdog == .milliseconds(1500))
        #expect(watchdog("1500000", pid: "").watchdog == .milliseconds(1500))
        #expect(watchdog("18446744073709551614").watchdog == .microseconds(UInt64.max - 1))
        #expect(watchdog("1500000", pid: "8") == decode(socket), "another process")
        #expect(watchdog("") == decode(socket))
        for time in ["0", "-1", "1.5", "5s", "18446744073709551615"] {
            #expect(watchdog(time).watchdog == nil)
            #expect(
                watchdog(time).faults == ["WATCHDOG_USEC is \"\(time)\", which is not a number of microseconds"])
            #expect(watchdog(time).path == "/run/x", "the rest is used")
        }
        #expect(watchdog("5", pid: "x").watchdog == nil)
        #expect(watchdog("5", pid: "x").faults == ["WATCHDOG_PID is \"x\", which is not a process id"])
        #expect(decode(["WATCHDOG_USEC": "x"]) == decode([:]), "there is no socket to send to")
    }
}

/// A datagram socket at an address.
private func bound(_ address: SocketAddress) throws -> OpenSocket {
    let socket = Descriptor(socket(AF_UNIX, SystemConstant.datagram, 0))
    try #require(socket.raw >= 0)
    try System.setCloseOnExec(socket.raw)
    try address.bind(socket.raw, context: "test")
    return OpenSocket(socket)
}

private func received(_ socket: OpenSocket) -> String? {
    var buffer = [UInt8](repeating: 0, count: 512)
    let count = recv(socket.raw, &buffer, buffer.count, CInt(MSG_DONTWAIT))
    return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
}

@Suite("The socket to a service manager") struct NotifySocketTests {
    @Test("sends to a path, also if the receiver comes late or again") func path() throws {
        try withTemporaryDirectory { directory in
            let address = SocketAddress(unixPath: "\(directory)/notify")
            let sender = try NotifySocket(address)
            #expect(failure { () throws(SystemError) in try sender.send("A=1") }?.code == ENOENT)
            for _ in 0..<2 {
                do {
                    let receiver = try bound(address)
                    try sender.send("READY=1\nA=2")
                    #expect(received(receiver) == "READY=1\nA=2")
                }
                let error = failure { () throws(SystemError) in try sender.send("A=3") }
                #expect(error?.code == ECONNREFUSED)
                #expect(error?.context == "\(directory)/notify")
                #expect(unlink("\(directory)/notify") == 0)
            }
        }
    }

    #if os(Linux)
        @Test("sends to an abstract name, which has no NUL at its end") func abstractName() throws {
            let name = "prefork-test-\(getpid())-\(System.now().nanoseconds)"
            let receiver = try bound(SocketAddress(unixPath: "\0\(name)"))
            try NotifySocket(SocketAddress(unixPath: "\0\(name)")).send("READY=1")
            #expect(received(receiver) == "READY=1")
            // The listing of the kernel shows each NUL of a name as an @.
            #expect(System.text("/proc/net/unix")?.contains("@\(name)\n") == true)
        }
    #endif

    @Test("does not wait for a receiver that does not read") func withoutWaiting() throws {
        try withTemporaryDirectory { directory in
            let address = SocketAddress(unixPath: "\(directory)/notify")
            let receiver = try bound(address)
            let sender = try NotifySocket(address)
            var sent = 0
            var error: SystemError?
            while error == nil, sent < 100_000 {
                error = failure { () throws(SystemError) in try sender.send("WATCHDOG=1") }
                sent += 1
            }
            #expect(error?.code == EAGAIN)
            #expect(received(receiver) == "WATCHDOG=1")
            try sender.send("READY=1")
        }
    }
}
