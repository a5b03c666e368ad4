import PreforkLibc
import Testing

@testable import Prefork

@Suite struct InheritedListenerTests {
    @Test func listenerHasNoFault() throws {
        try withTemporaryDirectory { directory in
            let tcp = try openListener(.tcp("127.0.0.1", port: 0))
            let unix = try openListener(.unix("\(directory)/a.sock"))
            let tcpNumber = try #require(tcp.raw)
            let unixNumber = try #require(unix.raw)
            #expect(Listener.fault(of: tcpNumber, unix: false) == nil)
            #expect(Listener.fault(of: unixNumber, unix: true) == nil)
            #expect(
                Listener.fault(of: tcpNumber, unix: true)
                    == "descriptor \(tcpNumber) listens on an address of another family"
            )
            #expect(
                Listener.fault(of: unixNumber, unix: false)
                    == "descriptor \(unixNumber) listens on an address of another family"
            )
            tcp.close()
            unix.close()
        }
    }

    @Test(.enabled(if: hasIPv6, "no IPv6 here")) func listenerOnIPv6HasNoFault() throws {
        let listener = try openListener(.tcp("::1", port: 0))
        #expect(Listener.fault(of: try #require(listener.raw), unix: false) == nil)
        listener.close()
    }

    @Test func whatDoesNotListenIsAFault() throws {
        let pair = try Channel.makePair()
        let end = pair.first.raw
        #expect(Listener.fault(of: end, unix: true) == "descriptor \(end) is a socket that does not listen")
        pair.close()
        let client = Descriptor(socket(AF_INET, SystemConstant.stream, 0))
        let raw = client.raw
        #expect(Listener.fault(of: raw, unix: false) == "descriptor \(raw) is a socket that does not listen")
        client.close()
    }

    @Test func whatIsNoSocketIsAFault() throws {
        let file = Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC))
        let raw = file.raw
        #expect(Listener.fault(of: raw, unix: false) == "descriptor \(raw) is not a socket")
        #expect(Listener.fault(of: -1, unix: false) == "descriptor -1 is not a socket")
        file.close()
    }
}
