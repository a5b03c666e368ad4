// A thread of the master waits for its process long after an orphan would have been reaped.
#if os(Linux)
    import PreforkLibc
    import Foundation
    @testable import Prefork
    import Synchronization
    import Testing

    struct LateWaiterRole: Role {
        var orphanReapDelay: Duration
        var way: Way

        enum Way: String, Codable, Sendable, CaseIterable { case posix, foundation }

        func run() async throws {
            var configuration = Prefork.Configuration(children: 1)
            configuration.orphanReapDelay = orphanReapDelay
            configuration.observe = { event in
                Prefork.logToStandardError(event)
                if case .reapedOrphans(let pids) = event.payload {
                    reapedOrphans.wrappingAdd(pids.count, ordering: .relaxed)
                }
            }
            let fleet = Prefork(.loopback(), configuration: configuration)
            guard isMaster else {
                try await fleet.run { child in await child.stopRequested() }
                exit(0)
            }
            let task = Task { try await fleet.run { _ in } }
            await untilReady(fleet)
            // The thread lives until it has waited: the first thread inherits the children of a thread that ends.
            do {
                try inThreadOfItsOwn {
                    let isFirst = readLinkText("/proc/thread-self") == "\(getpid())/task/\(getpid())"
                    report(isFirst ? "in the first thread" : "in another thread")
                    switch way {
                    case .posix: waitLate()
                    case .foundation: waitLateByFoundation()
                    }
                }
            } catch { report("no thread \(error)") }
            fleet.stop()
            _ = await task.result
            report("returned")
        }

        /// This process ends before the orphan does, so a master that takes it for an orphan reaps it first.
        private func waitLate() {
            guard let late = startShell("exit 3") else { return report("not started") }
            waitForZombie(late)
            guard let shell = startShell("sleep 0.05 &") else { return report("not started") }
            waitpid(shell, nil, 0)
            waitForReapedOrphan()
            var status: CInt = 0
            report(waitpid(late, &status, WNOHANG) == late ? "status \((status >> 8) & 0xff)" : "status lost")
        }

        /// Foundation waits for a process only after its descendants have closed the socket that they inherit.
        private func waitLateByFoundation() {
            let process = Foundation.Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", "sleep 1 & exit 3"]
            do { try process.run() } catch { report("not started \(error)") }
            process.waitUntilExit()
            report("status \(process.terminationStatus)")
            waitForReapedOrphan()
        }

        private func waitForReapedOrphan() {
            do {
                try eventually("an orphan is reaped") { reapedOrphans.load(ordering: .relaxed) > 0 }
            } catch { report("\(error)") }
        }

        private func startShell(_ command: String) -> pid_t? {
            let words = ["sh", "-c", command]
            let arguments = words.map { strdup($0) } + [nil]
            defer { for argument in arguments { free(argument) } }
            var pid: pid_t = 0
            return posix_spawn(&pid, "/bin/sh", nil, nil, arguments, environ) == 0 ? pid : nil
        }
    }

    private let reapedOrphans = Atomic<Int>(0)
#endif
