// Types of settings that several roles have.
#if os(Linux)
    @testable import Prefork

    /// Encoded by parts and not as text, because a test also sends addresses that Prefork refuses to parse.
    extension Prefork.Address: Codable {
        private enum Part: String, CodingKey { case host, port, network, path, name }

        /// Reads what `encode(to:)` writes.
        public init(from decoder: any Decoder) throws {
            let parts = try decoder.container(keyedBy: Part.self)
            let name = try parts.decodeIfPresent(String.self, forKey: .name)
            if let path = try parts.decodeIfPresent(String.self, forKey: .path) {
                self = .unix(path, name: name)
            } else {
                self = .tcp(
                    try parts.decode(String.self, forKey: .host),
                    port: try parts.decode(Int.self, forKey: .port),
                    network: try parts.decodeIfPresent(String.self, forKey: .network).flatMap(Network.init),
                    name: name
                )
            }
        }

        /// Writes host, port and network, or the path, and the name.
        public func encode(to encoder: any Encoder) throws {
            var parts = encoder.container(keyedBy: Part.self)
            try parts.encodeIfPresent(host, forKey: .host)
            try parts.encodeIfPresent(port, forKey: .port)
            try parts.encodeIfPresent(network?.rawValue, forKey: .network)
            try parts.encodeIfPresent(path, forKey: .path)
            try parts.encodeIfPresent(name, forKey: .name)
        }
    }

    extension Prefork.Address {
        /// The IPv4 loopback interface. Port 0: one that the kernel chooses.
        static func loopback(port: Int = 0) -> Prefork.Address { .tcp("127.0.0.1", port: port) }
    }

    /// Which of the kernel's and the C library's mechanisms a master uses.
    enum MechanismChoice: Codable, Sendable {
        /// The best mechanism of this machine.
        case best
        /// SIGCHLD and polling of the parent's number; descriptors closed by closefrom(3).
        case polling
        /// SIGCHLD and polling; descriptors closed one by one.
        case portable

        var mechanisms: Prefork.Mechanisms? {
            switch self {
            case .best: nil
            case .polling: .init(exitNotice: .signalAndPolling, descriptorClosing: .closefrom)
            case .portable: .init(exitNotice: .signalAndPolling, descriptorClosing: .enumeration)
            }
        }
    }
#endif
