// Text that one program leaves for the next one in the same process.
import PreforkLibc

#if canImport(Darwin)
    /// This system has no such file.
    enum SealedMemory {
        static let isSupported = false

        static func make(_ name: String, _ text: String) throws(SystemError) -> Descriptor {
            throw SystemError(call: "memfd_create", code: ENOTSUP)
        }

        static func text(of file: CInt) throws(SystemError) -> String? {
            throw SystemError(call: "memfd_create", code: ENOTSUP)
        }
    }
#else
    /// A file in memory that no process can change once it is sealed (memfd_create(2), fcntl(2) F_ADD_SEALS).
    enum SealedMemory {
        static var isSupported: Bool { !HiddenSymbols.hasMoreRights }

        private static let addSeals: CInt = 1033  // F_ADD_SEALS
        private static let getSeals: CInt = 1034  // F_GET_SEALS
        private static let allSeals: CInt = 0xf  // F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE
        /// The most bytes that are read.
        private static let most = 64 << 20

        static func make(_ name: String, _ text: String) throws(SystemError) -> Descriptor {
            let file = try System.own(try HiddenSymbols.memoryFile(name))
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                let count = try System.call("write", name) {
                    rest.withUnsafeBytes { write(file.raw, $0.baseAddress, $0.count) }
                }
                rest = rest.dropFirst(count)
            }
            _ = try System.call("fcntl", "F_ADD_SEALS") { fcntl(file.raw, addSeals, allSeals) }
            return file
        }

        /// - Returns: `nil` if the file is not sealed, too long, or no UTF-8.
        static func text(of file: CInt) throws(SystemError) -> String? {
            let seals = try System.call("fcntl", "F_GET_SEALS") { fcntl(file, getSeals) }
            guard seals & allSeals == allSeals else { return nil }
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while bytes.count <= most {
                let count = try System.call("pread") { pread(file, &buffer, buffer.count, off_t(bytes.count)) }
                if count == 0 {
                    let text = String(decoding: bytes, as: UTF8.self)
                    return text.utf8.elementsEqual(bytes) ? text : nil
                }
                bytes.append(contentsOf: buffer.prefix(count))
            }
            return nil
        }
    }
#endif
