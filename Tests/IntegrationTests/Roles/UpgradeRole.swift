// A program whose next build behaves in another way.
#if os(Linux)
    import Foundation
    import PreforkLibc
    @testable import Prefork

    /// Each process of it looks at a file when it starts. If the file exists, it has the settings of the new build.
    struct UpgradeRole: Role {
        var file: String
        var first = FleetRole()
        /// Runs of other fleets before this one.
        var earlierRuns = 0
        var isAsync = false
        /// Opens a descriptor in each master, at the lowest free number from 300 on, that execve(2) would pass on.
        var opensDescriptor = false

        enum Build: Codable, Sendable {
            case fleet(FleetRole)
            /// Its children speak the protocol as it was before there were handovers.
            case older
            /// Its master ends before it runs the fleet.
            case exits(Int32)
        }

        static func write(_ build: Build, to file: String) throws {
            let data = try JSONEncoder().encode(build)
            try writeBytes(Array(data), to: "\(file).new")
            rename("\(file).new", file)
        }

        func run() async throws {
            // A program that comes back is the old build.
            let isBack = (currentEnvironment()["PREFORK_HANDOVER"] ?? "").split(separator: " ").count > 4
            let data = isBack ? nil : readText(file).map { Data($0.utf8) }
            switch try data.map({ try JSONDecoder().decode(Build.self, from: $0) }) {
            case nil: try await run(first)
            case .fleet(let fleet): try await run(fleet)
            case .exits(let status): if isMaster { exit(status) } else { try await run(first) }
            case .older:
                if currentEnvironment()["PREFORK_CHANNEL"] == nil { try await run(first) } else { serveAsOlder() }
            }
        }

        private func run(_ role: FleetRole) async throws {
            if opensDescriptor, isMaster {
                let null = open("/dev/null", O_RDONLY)
                _ = fcntl(null, F_DUPFD, 300)
                close(null)
            }
            for _ in 0..<earlierRuns {
                let earlier = Prefork(configuration: Prefork.Configuration(children: 1))
                let error = Result { try runBlocking(earlier) { _ in } }
                if isMaster { report("earlier \(error)") }
            }
            if isAsync {
                let fleet = Prefork(role.addresses, configuration: role.configuration)
                try await fleet.run { child in await child.stopRequested() }
                if isMaster { report("returned") }
            } else {
                try await role.run()
            }
        }

        /// Says that it is ready, by hand, and leaves the rest to SIGTERM.
        private func serveAsOlder() {
            let channel =
                currentEnvironment()["PREFORK_CHANNEL"]?.split(separator: ":").first.flatMap { CInt($0) } ?? -1
            let ready: [UInt8] = [1, 8, 0] + [UInt8](repeating: 0, count: 8)
            _ = PreforkLibc.write(channel, ready, ready.count)
            while true { pause() }
        }
    }
#endif
