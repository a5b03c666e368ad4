/// Carries out the decisions of the `OrphanReaper`. Only the master's thread uses it, and only if the master is process
/// 1.
struct OrphanWatch {
    /// `nil` once orphans can no longer be told from other processes.
    private var reaper: OrphanReaper?

    /// The kernel gives orphans to process 1 of their namespace (pid_namespaces(7)).
    static func isNeeded(_ configuration: Prefork.Configuration) -> Bool {
        System.pid == 1 && configuration.orphanReapDelay != nil
    }

    /// Returns `nil` if it is not needed.
    init?(_ configuration: Prefork.Configuration) {
        guard Self.isNeeded(configuration), let delay = configuration.orphanReapDelay else { return nil }
        reaper = OrphanReaper(delay: delay)
    }

    /// The time of the next look. `nil` means never.
    var next: Instant? { reaper?.next }

    /// Notes that SIGCHLD has arrived.
    mutating func childHasEnded(at now: Instant) { reaper?.childHasEnded(at: now) }

    /// Looks for orphans if it is time, and reaps them.
    ///
    /// Between the look and the wait, the number cannot become another process's. For that, another thread would have
    /// to wait for the zombie, and then start and lose as many processes as there are numbers, within microseconds.
    /// - Parameter own: the fleet's children. A child is added before the thread that started it calls this.
    /// - Returns: the event to report, if any.
    mutating func reap(except own: Set<Int32>, at now: Instant) -> Prefork.Event? {
        guard let next, next <= now else { return nil }
        do throws(SystemError) {
            let zombies = try Orphans.zombies(except: own, seen: reaper?.pids ?? [])
            let due = reaper?.look(zombies, at: now) ?? []
            // Another thread may have waited for it first.
            let reaped = due.map(\.pid).filter { pid in
                switch ExitWatch.reap(pid)?.status {
                case .exited, .signaled: true
                case .lost, nil: false
                }
            }
            return reaped.isEmpty ? nil : .reapedOrphans(reaped)
        } catch {
            if error.isShortage {
                reaper?.couldNotLook(at: now)
                return nil
            }
            // Without /proc, orphans cannot be told from processes that other libraries wait for.
            reaper = nil
            return .systemError(
                SystemError(call: error.call, code: error.code, context: "\(error.context): orphans are not reaped"))
        }
    }
}
