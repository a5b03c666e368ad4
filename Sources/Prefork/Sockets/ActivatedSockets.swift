/// The sockets that systemd has passed to this process (sd_listen_fds(3)).
struct ActivatedSockets: Equatable {
    let descriptors: [CInt]
    let names: [String]

    /// The number of the first one, SD_LISTEN_FDS_START.
    private static let first: CInt = 3

    /// - Parameter value: the value of a variable. `nil` if it is not set.
    /// - Returns: the sockets, or `nil` and the fault.
    static func decode(pid: Int32, _ value: (String) -> String?) -> (sockets: ActivatedSockets?, fault: String) {
        guard let process = value("LISTEN_PID"), let count = value("LISTEN_FDS") else {
            return (nil, "LISTEN_PID and LISTEN_FDS are not set: no sockets were passed to this process")
        }
        guard process == "\(pid)" else {
            return (nil, "LISTEN_PID is \(quoted(process)), but this process is \(pid): they are for another one")
        }
        guard let number: Int16 = plainNumber(count), number > 0 else {
            return (nil, "LISTEN_FDS is \(quoted(count)), which is not a number of sockets")
        }
        var names = [String](repeating: "unknown", count: Int(number))  // Like sd_listen_fds_with_names(3).
        if let text = value("LISTEN_FDNAMES") {
            names = text.split(separator: ":", omittingEmptySubsequences: false).map { String($0) }
            guard names.count == Int(number) else {
                return (nil, "LISTEN_FDNAMES has \(names.count) names, LISTEN_FDS says \(number)")
            }
        }
        return (ActivatedSockets(descriptors: (first..<(first + CInt(number))).map { $0 }, names: names), "")
    }
}
