extension Prefork {
    /// An address that a fleet listens on: a TCP host and port, or the path of a Unix-domain socket.
    ///
    /// As text: `127.0.0.1:8080`, `:8080` (all interfaces, IPv4), `[::1]:8080`, `localhost:8080`, `unix:/run/app.sock`,
    /// `unix:@app` (Linux's abstract namespace).
    /// A prefix names the network if the host implies another one: `tcp://:8080`, `tcp6://localhost:8080`. ``init(_:)``
    /// reads the text of ``description`` back as an equal address, but without its ``name``.
    public struct Address: Sendable, Hashable, CustomStringConvertible {
        /// The address families of a TCP listener, with the names of Go's `net.Listen` and of fasthttp.
        public enum Network: String, Sendable, CaseIterable {
            /// IPv4 and IPv6 on one socket (IPV6_V6ONLY off), if the host allows both.
            case tcp
            /// IPv4 only.
            case tcp4
            /// IPv6 only (IPV6_V6ONLY on).
            case tcp6
        }

        enum Endpoint: Hashable, Sendable {
            case tcp(host: String, port: Int)
            case unix(path: String)
        }

        let endpoint: Endpoint
        /// The network. `nil` leaves it to the host: `tcp6` for a numeric IPv6 address, otherwise `tcp4`.
        public let network: Network?
        /// The listener's name for ``Child/takeListener(named:)``. It is not part of the text.
        public let name: String?

        /// A TCP address.
        ///
        /// `run` checks host and port, and throws ``PreforkError/Code/invalidAddress``.
        /// - Parameters:
        ///   - host: A numeric address or a name to resolve. Empty for all interfaces.
        ///   - port: 0...65535. With 0 the kernel chooses one, which ``Event/addresses`` and ``Child/addresses``
        ///     contain.
        ///   - network: `nil` stands for `tcp6` if the host is a numeric IPv6 address, and for `tcp4` otherwise.
        ///   - name: The listener's name for ``Child/takeListener(named:)``.
        public static func tcp(
            _ host: String,
            port: Int,
            network: Network? = nil,
            name: String? = nil
        ) -> Address {
            Address(endpoint: .tcp(host: host, port: port), network: network, name: name)
        }

        /// A Unix-domain stream socket (unix(7)).
        /// - Parameters:
        ///   - path: The path of the socket's file, at most 107 bytes on Linux and 103 on Darwin. A path that begins
        ///     with `@` is a name in Linux's abstract namespace (unix(7)). Such a name has no file and no permissions,
        ///     so every process in the network namespace can connect. Begin the path of a file with `./@`.
        ///   - name: The listener's name for ``Child/takeListener(named:)``.
        public static func unix(_ path: String, name: String? = nil) -> Address {
            Address(endpoint: .unix(path: path), network: nil, name: name)
        }

        private init(endpoint: Endpoint, network: Network?, name: String?) {
            self.endpoint = endpoint
            self.network = network
            self.name = name
        }

        /// The same address with a name.
        public func named(_ name: String) -> Address {
            Address(endpoint: endpoint, network: network, name: name)
        }

        /// Reads an address.
        /// - Throws: ``PreforkError/Code/invalidAddress`` with the text that was given.
        public init(_ text: String) throws(PreforkError) {
            // Compares bytes, because a path that begins with a combining mark forms one character with the colon.
            if text.utf8.starts(with: "unix:".utf8) {
                self = .unix(String(Substring(text.utf8.dropFirst("unix:".utf8.count))))
            } else {
                var rest = Substring(text)
                var network: Network?
                if let separator = Self.schemeSeparator(in: text) {
                    let name = text[..<separator.lowerBound]
                    guard let known = Network(rawValue: String(name)) else {
                        throw .invalidAddress(text, reason: "\(quoted(name)) is none of tcp, tcp4 and tcp6")
                    }
                    network = known
                    rest = text[separator.upperBound...]
                }
                guard let colon = rest.utf8.lastIndex(of: UInt8(ascii: ":")) else {
                    throw .invalidAddress(text, reason: "no port; expected HOST:PORT, :PORT or unix:PATH")
                }
                let digits = rest[rest.utf8.index(after: colon)...]
                guard let port: Int = plainNumber(digits) else {
                    throw .invalidAddress(text, reason: "the port \(quoted(digits)) is not a number")
                }
                var host = rest[..<colon]
                let isOpened = host.utf8.first == UInt8(ascii: "[")
                let isClosed = host.utf8.last == UInt8(ascii: "]")
                if isOpened || isClosed {
                    guard isOpened, isClosed, hasColon(host) else {
                        throw .invalidAddress(text, reason: "brackets belong around an IPv6 address")
                    }
                    host = Substring(host.utf8.dropFirst().dropLast())
                } else if hasColon(host) {
                    throw .invalidAddress(text, reason: "an IPv6 address belongs in brackets, as in [::1]:8080")
                }
                self = .tcp(String(host), port: port, network: network)
            }
            if let fault { throw .invalidAddress(text, reason: fault) }
        }

        /// The first `://`. `firstRange(of:)` is unspecialised code of another library, which each child would have to
        /// map and bind at its start.
        private static func schemeSeparator(in text: String) -> Range<String.Index>? {
            let bytes = text.utf8
            return bytes.indices.lazy
                .filter { bytes[$0...].starts(with: "://".utf8) }
                .map { $0..<bytes.index($0, offsetBy: 3) }
                .first
        }

        /// The text that ``init(_:)`` reads back.
        public var description: String {
            switch endpoint {
            case .unix(let path): return "unix:\(path)"
            case .tcp(let host, let port):
                let text = hasColon(host) ? "[\(host)]:\(port)" : "\(host):\(port)"
                return network.map { "\($0.rawValue)://\(text)" } ?? text
            }
        }

        // Not inlined: Swift 6.3.1's optimizer crashes on a program that is built for testing in release mode and reads
        // host and port one after the other.

        /// The port of a TCP address. `nil` for a Unix-domain one.
        @inline(never)
        public var port: Int? {
            if case .tcp(_, let port) = endpoint { port } else { nil }
        }

        /// The host of a TCP address. `nil` for a Unix-domain one.
        @inline(never)
        public var host: String? {
            if case .tcp(let host, _) = endpoint { host } else { nil }
        }

        /// The path of a Unix-domain address. `nil` for a TCP one.
        @inline(never)
        public var path: String? {
            if case .unix(let path) = endpoint { path } else { nil }
        }

        var isUnix: Bool { path != nil }

        /// A Unix-domain address without a file.
        var isAbstract: Bool { path?.utf8.first == UInt8(ascii: "@") }

        var effectiveNetwork: Network { network ?? (host.map { hasColon($0) } == true ? .tcp6 : .tcp4) }

        /// The reason why no system can bind a socket to this address. `nil` if there is none.
        var fault: String? {
            if let name, name.isEmpty || name.utf8.contains(0) { return "the name \(quoted(name)) is none" }
            switch endpoint {
            case .unix(let path):
                if path.isEmpty { return "the path is empty" }
                if isAbstract {
                    if path.utf8.count == 1 { return "the abstract name is empty" }
                    if !PlatformListener.hasAbstractNames {
                        return "only Linux has abstract names; a file is written as ./\(path)"
                    }
                }
                return path.utf8.contains(0) ? "the path contains a NUL" : nil
            case .tcp(let host, let port):
                if !(0...65535).contains(port) { return "the port \(port) is not in 0...65535" }
                if host.utf8.contains(where: { $0 <= 32 || $0 == 127 }) {
                    return "the host contains a space or a control"
                }
                if host.utf8.contains(where: { "/[]@".utf8.contains($0) }) {
                    return "the host \(quoted(host)) contains a character that no host has"
                }
                if network == nil, host == "unix" {
                    return "a host called unix needs a network in front, as in tcp4://unix:\(port)"
                }
                if host == "*" { return "all interfaces are written without a host: \(quoted(":\(port)"))" }
                if network == .tcp4, hasColon(host) { return "the host is an IPv6 address, the network tcp4" }
                if network == .tcp6, isNumericIPv4(host) { return "the host is an IPv4 address, the network tcp6" }
                return nil
            }
        }
    }
}

/// A text that a user gave, as messages show it: on one line, in quotes, with control characters escaped.
func quoted(_ text: some StringProtocol) -> String { String(text).debugDescription }

/// Compares bytes, so that the start of a child does not map the tables that comparing characters needs.
private func hasColon(_ host: some StringProtocol) -> Bool { host.utf8.contains(UInt8(ascii: ":")) }

private func isNumericIPv4(_ host: String) -> Bool {
    let parts = host.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { !$0.isEmpty && isAllDigits($0) }
}
