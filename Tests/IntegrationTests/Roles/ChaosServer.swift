// The server of the chaos test's children, and the file in which they note accepted connections.
#if os(Linux)
    import PreforkLibc
    import Prefork

    /// A file that the test and all children map. The notes of a child outlive it.
    final class ChaosMap: Sendable {
        private static let ports = 65_536
        private static let slots = 64
        private static let size = (ports + slots) * 4
        /// The address of the mapping. One process writes a word and another reads it; aligned words are never torn.
        private let address: UInt

        init(_ path: String) throws {
            let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard file >= 0, ftruncate(file, Self.size) == 0,
                let mapped = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), mapped != MAP_FAILED
            else { throw Deliberate("no mapping of \(path): errno \(errno)") }
            close(file)
            address = UInt(bitPattern: mapped)
        }

        deinit { munmap(UnsafeMutableRawPointer(bitPattern: address), Self.size) }

        private func word(_ index: Int) -> UnsafeMutablePointer<Int32> {
            guard let pointer = UnsafeMutablePointer<Int32>(bitPattern: address + UInt(4 * index)) else {
                fatalError("a mapping at 0")
            }
            return pointer
        }

        /// The child that accepted the connection from this port of the client, or 0.
        subscript(port port: UInt16) -> pid_t {
            get { word(Int(port)).pointee }
            set { word(Int(port)).pointee = newValue }
        }

        /// The child that serves in that slot, or 0.
        subscript(slot slot: Int) -> pid_t {
            get { word(Self.ports + slot).pointee }
            set { word(Self.ports + slot).pointee = newValue }
        }
    }

    /// One connection after another, in one thread. At any moment at most one is accepted and unanswered.
    func serveChaos(_ child: Prefork.Child, _ map: ChaosMap) throws {
        let listener = try child.takeListener()
        map[slot: child.slot] = getpid()
        child.ready()
        var requests = [
            pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
            pollfd(fd: child.stopDescriptor, events: Int16(POLLIN), revents: 0),
        ]
        let answer = "slot \(child.slot)\n"
        while true {
            poll(&requests, 2, -1)
            if requests[1].revents != 0 { return }
            var peer = sockaddr_in()
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let connection = withUnsafeMutablePointer(to: &peer) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { accept(listener, $0, &length) }
            }
            if connection < 0 { continue }
            map[port: UInt16(bigEndian: peer.sin_port)] = getpid()
            var limit = timeval(tv_sec: 5, tv_usec: 0)
            setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            var byte: UInt8 = 0
            if recv(connection, &byte, 1, 0) == 1 {
                if byte == UInt8(ascii: "!") { fatalError("asked to trap") }
                send(connection, answer, answer.utf8.count, CInt(MSG_NOSIGNAL))
            }
            close(connection)
        }
    }
#endif
