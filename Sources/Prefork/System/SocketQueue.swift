/// Connections that a listening socket has queued and no process has accepted.
struct SocketQueue: Equatable {
    let waiting: Int
    /// The backlog, as far as the kernel allows it.
    let limit: Int
}
