// Whether a descriptor that another process has passed is a listener.
import PreforkLibc

extension Listener {
    /// The reason why an inherited descriptor is not a listener of this kind. `nil` if it is one.
    static func fault(of descriptor: CInt, unix: Bool) -> String? {
        if let fault = fault(of: descriptor) { return fault }
        let family = (try? SocketAddress(of: descriptor))?.family
        return (family == AF_UNIX) == unix
            ? nil : "descriptor \(descriptor) listens on an address of another family"
    }

    /// The reason why a descriptor is not a listener. `nil` if it is one.
    static func fault(of descriptor: CInt) -> String? {
        guard let type = try? SocketOption.get(descriptor, SOL_SOCKET, SO_TYPE, "SO_TYPE") else {
            return "descriptor \(descriptor) is not a socket"
        }
        guard type == SystemConstant.stream else { return "descriptor \(descriptor) is not a stream socket" }
        guard let address = try? SocketAddress(of: descriptor) else {
            return "descriptor \(descriptor) has no address"
        }
        guard [AF_INET, AF_INET6, AF_UNIX].contains(address.family) else {
            return "descriptor \(descriptor) is neither a TCP nor a Unix-domain socket"
        }
        let isListening = (try? SocketOption.get(descriptor, SOL_SOCKET, SO_ACCEPTCONN, "SO_ACCEPTCONN")) ?? 0
        return isListening != 0 ? nil : "descriptor \(descriptor) is a socket that does not listen"
    }
}
