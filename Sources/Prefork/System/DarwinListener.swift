// The parts of sockets that differ on Darwin. `LinuxListener` has the same members.
import PreforkLibc

#if canImport(Darwin)
    typealias PlatformListener = DarwinListener

    enum DarwinListener {
        /// The longest path of a Unix-domain socket in bytes: sun_path without its NUL (unix(4)).
        static let longestPath = 103

        /// Unix-domain sockets have files.
        static let hasAbstractNames = false

        /// Two sockets may listen on one address, but one of them gets all connections.
        static let spreadsConnections = false

        /// Calls socket(2), then sets close-on-exec and non-blocking, because Darwin has no flags for them. Our own
        /// spawns inherit only the named descriptors. Another library's spawn may come between the two calls.
        static func makeSocket(family: CInt) throws(SystemError) -> Descriptor {
            let descriptor = try System.own(try System.call("socket") { socket(family, SOCK_STREAM, 0) })
            try System.setCloseOnExec(descriptor.raw)
            try System.setNonBlocking(descriptor.raw)
            return descriptor
        }

        static func setFamily(_ storage: inout sockaddr_storage, _ family: CInt, size: Int) {
            storage.ss_len = UInt8(size)
            storage.ss_family = sa_family_t(family)
        }

        /// bind(2) of a Unix-domain socket to a path at which there is no file. It is bound in a directory that only
        /// this user can enter, gets the mode 0600 there, and is then renamed. Darwin takes no mode from a socket, and
        /// the umask belongs to all threads.
        static func bindForOwner(_ descriptor: CInt, _ path: String) throws(SystemError) {
            var template = Array("\(path).XXXXXX".utf8CString)
            let directory = try System.callForPointer("mkdtemp", path) { mkdtemp(&template) }
            let folder = String(cString: directory)
            defer { rmdir(folder) }
            let name = folder + "/s"
            guard name.utf8.count <= longestPath else {
                throw SystemError(call: "bind", code: ENAMETOOLONG, context: name)
            }
            try SocketAddress(unixPath: name).bind(descriptor, context: name)
            defer { unlink(name) }
            _ = try System.call("chmod", name) { chmod(name, 0o600) }
            _ = try System.call("renamex_np", path) { renamex_np(name, path, UInt32(RENAME_EXCL)) }
        }

        /// SO_REUSEPORT: other sockets may listen on the same address (setsockopt(2)).
        static func setReuseport(_ descriptor: CInt, _ isAllowed: Bool = true) throws(SystemError) {
            try SocketOption.set(descriptor, SOL_SOCKET, SO_REUSEPORT, isAllowed ? 1 : 0, "SO_REUSEPORT")
        }

        /// Darwin has no such option.
        static func setDeferAccept(_ descriptor: CInt, seconds: CInt) throws(SystemError) {
            throw SystemError(call: "setsockopt", code: ENOPROTOOPT, context: "TCP_DEFER_ACCEPT")
        }

        /// TCP_FASTOPEN (netinet/tcp.h) is a switch here. It must be set after listen(2), which this package does not
        /// do.
        static func setFastOpen(_ descriptor: CInt, queue: CInt) throws(SystemError) {
            throw SystemError(call: "setsockopt", code: ENOPROTOOPT, context: "TCP_FASTOPEN")
        }

        /// Darwin's shutdown(2) fails for a listening socket with ENOTCONN.
        static func stopped(_ descriptors: [CInt]) -> [Int] { [] }

        /// Darwin does not report it.
        static func queue(of descriptor: CInt) -> SocketQueue? { nil }

        /// Darwin has no such option.
        static func attach(_ instructions: [FilterInstruction], to descriptor: CInt) throws(SystemError) {
            throw SystemError(call: "setsockopt", code: ENOPROTOOPT, context: "SO_ATTACH_REUSEPORT_CBPF")
        }

        /// Darwin has no such option.
        static func detachProgram(from descriptor: CInt) throws(SystemError) {
            throw SystemError(call: "setsockopt", code: ENOPROTOOPT, context: "SO_DETACH_REUSEPORT_BPF")
        }
    }
#endif
