// The entry of every process that a test starts from its own executable. Prefork executes the same program again for
// the children, with the same arguments and environment, so children decode the same settings.
#if os(Linux)
    import PreforkLibc
    import Foundation
    import Prefork
    import Testing

    /// The behavior of a process under test. Its properties are its settings, which the test writes in its body.
    ///
    /// Every setting has an effect: a setting that only one mode reads is an associated value of that mode.
    protocol Role: Codable, Sendable {
        /// Runs in the master and in each child.
        func run() async throws
    }

    private let roles: [any Role.Type] = [
        FleetRole.self, AsyncFleetRole.self, CancellationsRole.self, EnvironmentRole.self, ForeignProcessRole.self,
        GrandchildRole.self, HandlersRole.self, LateWaiterRole.self, MainAfterRunRole.self, PersistentRole.self,
        ReentrantRole.self, SecondRunRole.self, SignalStateRole.self, StopBeforeRunRole.self, TwoFleetsRole.self,
        UpgradeRole.self, WorkingDirectoryRole.self,
    ]

    @Suite struct Roles {
        fileprivate static let kind = "ROLE"
        fileprivate static let settings = "ROLE_SETTINGS"

        /// Runs as a role if a test asks for one. There is nothing to do in the test run itself.
        @Test(.enabled(if: currentEnvironment()[kind] != nil))
        func role() async {
            let environment = currentEnvironment()
            guard let roleType = roles.first(where: { "\($0)" == environment[Self.kind] }) else {
                fail("there is no role \(environment[Self.kind] ?? "")")
            }
            let role: any Role
            do {
                role = try JSONDecoder().decode(roleType, from: Data((environment[Self.settings] ?? "").utf8))
            } catch { fail("\(roleType): \(error)") }
            do {
                try await role.run()
            } catch {
                report("threw \(type(of: error)) \(error)")
                exit((error as? PreforkError)?.exitStatus ?? 1)
            }
            exit(0)
        }

        private func fail(_ text: String) -> Never {
            let line = Array("\(text)\n".utf8)
            _ = write(2, line, line.count)
            exit(99)
        }
    }

    extension Subject {
        /// Starts a role from this test's own executable.
        /// - Parameters:
        ///   - wrapper: a command that executes the words that follow it, here those of the role.
        ///   - ignored: names of signals that the role inherits as ignored, through a shell.
        static func start(
            _ role: some Role,
            under wrapper: [String] = [],
            environment: [String: String] = [:],
            ignored: String? = nil,
            blocked: [CInt] = []
        ) throws -> Subject {
            let settings = String(decoding: try JSONEncoder().encode(role), as: UTF8.self)
            let shell = ignored.map { ["/bin/sh", "-c", "trap '' \($0); exec \"$0\" \"$@\""] } ?? []
            let command =
                wrapper + shell + [
                    executablePath(), "--testing-library", "swift-testing", "--filter", "IntegrationTests.Roles/role",
                ]
            return try Subject(
                command[0],
                command,
                environment: environment.merging([Roles.kind: "\(type(of: role))", Roles.settings: settings]) { $1 },
                blocked: blocked
            )
        }
    }
#endif
