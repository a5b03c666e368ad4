import Foundation
import PreforkMetrics
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

extension ObservabilityTests {
    @Suite struct MetricsEndpointTests {
        let port: UInt16

        init() throws { port = try Self.freePort() }

        @Test func answersGetRequests() async throws {
            let endpoint = try MetricsEndpoint(port: port) { path in
                path == "/metrics" ? .prometheus("up 1\n") : nil
            }
            defer { endpoint.close() }
            let (body, response) = try await get("/metrics?name=up")
            #expect(body == "up 1\n")
            #expect(response.statusCode == 200)
            #expect(response.value(forHTTPHeaderField: "Content-Type") == "text/plain; version=0.0.4; charset=utf-8")
            #expect(try await get("/").1.statusCode == 404)
        }

        /// As in a restart: the new child of a slot waits for the old one.
        @Test func waitsForThePort() async throws {
            let old = try MetricsEndpoint(port: port) { _ in .prometheus("old") }
            let new = try MetricsEndpoint(port: port) { _ in .prometheus("new") }
            defer { new.close() }
            #expect(try await get("/metrics").0 == "old")
            old.close()
            old.close()
            let deadline = ContinuousClock.now + .seconds(20)
            while await (try? get("/metrics"))?.0 != "new" {
                try #require(ContinuousClock.now < deadline, "the new endpoint does not listen")
                try await Task.sleep(for: .milliseconds(10))
            }
        }

        @Test func aSilentClientHoldsItUpForTwoSecondsOnly() async throws {
            let endpoint = try MetricsEndpoint(port: port) { _ in .prometheus("up 1\n") }
            defer { endpoint.close() }
            let silent = try connect()
            defer { close(silent) }
            #expect(try await get("/metrics").0 == "up 1\n")
        }

        @Test func anAddressThatIsNoneIsAnError() throws {
            #expect(throws: POSIXError.self) { try MetricsEndpoint(host: "localhost", port: port) { _ in nil } }
            #expect(throws: POSIXError.self) { try MetricsEndpoint(host: "192.0.2.1", port: port) { _ in nil } }
        }

        private func get(_ path: String) async throws -> (String, HTTPURLResponse) {
            let url = try #require(URL(string: "http://127.0.0.1:\(port)\(path)"))
            let (data, response) = try await URLSession.shared.data(from: url)
            return (String(decoding: data, as: UTF8.self), try #require(response as? HTTPURLResponse))
        }

        private func connect() throws -> Int32 {
            let connection = Self.streamSocket()
            var address = Self.loopback(port)
            let status = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Foundation.connect(connection, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            try #require(status == 0)
            return connection
        }

        private static func freePort() throws -> UInt16 {
            let probe = streamSocket()
            defer { close(probe) }
            var address = loopback(0)
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(probe, $0, length) == 0 && getsockname(probe, $0, &length) == 0
                }
            }
            try #require(status)
            return UInt16(bigEndian: address.sin_port)
        }

        private static func loopback(_ port: UInt16) -> sockaddr_in {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
            return address
        }

        private static func streamSocket() -> Int32 {
            #if canImport(Darwin)
                socket(AF_INET, SOCK_STREAM, 0)
            #else
                socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            #endif
        }
    }
}
