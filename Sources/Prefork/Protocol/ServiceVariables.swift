/// What a service manager has told this process: where it listens, and how often it wants to hear from it
/// (sd_notify(3), sd_watchdog_enabled(3)).
struct ServiceVariables: Equatable {
    static let socketName = "NOTIFY_SOCKET"
    static let watchdogName = "WATCHDOG_USEC"
    static let watchdogPIDName = "WATCHDOG_PID"

    /// The path of the service manager's socket, as `SocketAddress` takes it. `nil` if no service manager listens.
    private(set) var path: String?
    /// The service manager acts if it hears nothing for this long. `nil` if it does not watch this process.
    private(set) var watchdog: Duration?
    /// Each names a variable whose value cannot be used.
    private(set) var faults: [String] = []

    /// - Parameter value: the value of a variable. `nil` if it is not set.
    static func decode(pid: Int32, _ value: (String) -> String?) -> ServiceVariables {
        var variables = ServiceVariables()
        guard let socket = value(socketName), !socket.isEmpty else { return variables }
        if let fault = fault(ofSocket: socket) {
            variables.faults = ["\(socketName) is \(quoted(socket)), \(fault)"]
            return variables
        }
        variables.path = socket.utf8.first == UInt8(ascii: "@") ? "\0" + socket.dropFirst() : socket
        variables.decodeWatchdog(pid: pid, value)
        return variables
    }

    private static func fault(ofSocket text: String) -> String? {
        if text.utf8.starts(with: "vsock".utf8) { return "and vsock addresses are not supported" }
        let isAbstract = text.utf8.first == UInt8(ascii: "@") && text.utf8.count > 1
        guard isAbstract || text.utf8.first == UInt8(ascii: "/") else {
            return "which is neither an absolute path nor a name that begins with @"
        }
        if isAbstract, !PlatformListener.hasAbstractNames { return "and this system has no abstract names" }
        if text.utf8.count > PlatformListener.longestPath { return "which is too long for an address" }
        return nil
    }

    private mutating func decodeWatchdog(pid: Int32, _ value: (String) -> String?) {
        guard let time = value(Self.watchdogName), !time.isEmpty else { return }
        if let process = value(Self.watchdogPIDName), !process.isEmpty {
            guard let number: Int32 = plainNumber(process) else {
                faults.append("\(Self.watchdogPIDName) is \(quoted(process)), which is not a process id")
                return
            }
            // It is another process that the service manager watches.
            if number != pid { return }
        }
        guard let microseconds: UInt64 = plainNumber(time), microseconds > 0, microseconds < UInt64.max else {
            faults.append("\(Self.watchdogName) is \(quoted(time)), which is not a number of microseconds")
            return
        }
        watchdog = .microseconds(microseconds)
    }
}
