// Datagrams to a service manager (sd_notify(3)).
import PreforkLibc

/// A socket that sends datagrams to one Unix-domain address. It is not connected: each datagram looks the address up
/// again, so a service manager that has made its socket anew gets the next one.
struct NotifySocket {
    private let address: SocketAddress
    private let socket: OpenSocket

    init(_ address: SocketAddress) throws(SystemError) {
        self.address = address
        let descriptor = try System.own(
            try System.call("socket") {
                makeSocket(AF_UNIX, SystemConstant.datagram | SystemConstant.closeOnExecNonBlocking, 0)
            })
        #if canImport(Darwin)
            try System.setCloseOnExec(descriptor.raw)
            try System.setNonBlocking(descriptor.raw)
            try SocketOption.set(descriptor.raw, SOL_SOCKET, SO_NOSIGPIPE, 1, "SO_NOSIGPIPE")
        #endif
        socket = OpenSocket(descriptor)
    }

    /// Sends one datagram without waiting.
    func send(_ text: String) throws(SystemError) { try address.send(Array(text.utf8), from: socket.raw) }
}

/// socket(2) under a name that no property hides.
private func makeSocket(_ family: CInt, _ kind: CInt, _ protocol: CInt) -> CInt { socket(family, kind, `protocol`) }
