/// The service manager that has started this process, if it wants to be told about the fleet (sd_notify(3)). Carries
/// out what the `ServiceNotifier` decides. Only the master's thread uses it.
struct ServiceManager {
    private var notifier: ServiceNotifier
    private let socket: NotifySocket
    private let report: (Prefork.Event) -> Void
    /// Whether the last datagram was lost. Further ones that are lost are not reported.
    private var isLosing = false

    /// Returns `nil` if there is no service manager, or it cannot be reached. An event says why.
    /// - Parameter restart: see `ServiceNotifier`.
    init?(afterHandover restart: Bool? = nil, report: @escaping (Prefork.Event) -> Void) {
        let variables = ServiceVariables.decode(pid: System.pid) { System.environmentValue($0) }
        for fault in variables.faults { report(.ignoredVariable(reason: fault)) }
        guard let path = variables.path else { return nil }
        do throws(SystemError) {
            socket = try NotifySocket(SocketAddress(unixPath: path))
        } catch {
            report(.systemError(error.about(ServiceVariables.socketName)))
            return nil
        }
        notifier = ServiceNotifier(pid: System.pid, watchdog: variables.watchdog, afterHandover: restart)
        self.report = report
    }

    var isReloading: Bool { notifier.isReloading }

    /// When `update` has something to send. `nil` means not before the fleet changes.
    var next: Instant? { notifier.next }

    mutating func update(_ fleet: ServiceNotifier.Fleet, at now: Instant) {
        notifier.update(fleet, at: now)
        send(now)
    }

    /// A restart begins.
    mutating func restarting(at now: Instant) {
        notifier.restarting(at: now)
        send(now)
    }

    /// No restart is under way, whichever build serves. Further calls do nothing.
    mutating func restarted(at now: Instant) {
        notifier.restarted(at: now)
        send(now)
    }

    /// Sends everything that is due, without waiting.
    private mutating func send(_ now: Instant) {
        while let datagram = notifier.datagram(at: now) {
            do throws(SystemError) {
                try socket.send(datagram.text)
                notifier.sent(datagram, at: now)
                isLosing = false
            } catch {
                notifier.failed(at: now)
                if !isLosing { report(.systemError(error.about(ServiceVariables.socketName))) }
                isLosing = true
            }
        }
    }
}

extension SystemError {
    /// The same error, with a subject in front of its context.
    fileprivate func about(_ subject: String) -> SystemError {
        SystemError(call: call, code: code, context: context.isEmpty ? subject : "\(subject) \(context)")
    }
}
