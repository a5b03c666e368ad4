/// Carries out what the `OrphanReaper` decides. Used by the master's thread only, where the master is process 1.
struct OrphanWatch {
    /// nil once nobody can be told apart.
    private var reaper: OrphanReaper?

    /// The kernel gives orphans to process 1 of their namespace (pid_namespaces(7)).
    static func isNeeded(_ configuration: Prefork.Configuration) -> Bool {
        System.pid == 1 && configuration.orphanReapDelay != nil
    }

    /// nil where it is not needed.
    init?(_ configuration: Prefork.Configuration) {
        guard Self.isNeeded(configuration), let delay = configuration.orphanReapDelay else { return nil }
        reaper = OrphanReaper(delay: delay)
    }

    /// When to look next; nil: never.
    var next: Instant? { reaper?.next }

    /// SIGCHLD has come.
    mutating func childHasEnded(at now: Instant) { reaper?.childHasEnded(at: now) }

    /// Looks, where it is time to.
    ///
    /// Between the look and the wait nobody else can have become the zombie of that number, unless another thread of
    /// this process waits for it and starts and loses as many processes as there are numbers, in microseconds.
    /// - Parameter own: the fleet's children. Whoever is started is among them before the thread that starts him
    ///   comes here.
    /// - Returns: what is to be reported.
    mutating func reap(except own: Set<Int32>, at now: Instant) -> Prefork.Event? {
        guard let next, next <= now else { return nil }
        do throws(SystemError) {
            let zombies = try Orphans.zombies(except: own, seen: reaper?.pids ?? [])
            let due = reaper?.look(zombies, at: now) ?? []
            // Somebody else may have been quicker.
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
            // Without /proc nobody can be told apart from what other libraries wait for.
            reaper = nil
            return .systemError(
                SystemError(call: error.call, code: error.code, context: "\(error.context): orphans are not reaped"))
        }
    }
}
