// setsockopt(2) and getsockopt(2).
import PreforkLibc

enum SocketOption {
    static func set(
        _ descriptor: CInt,
        _ level: CInt,
        _ option: CInt,
        _ value: CInt,
        _ name: String
    ) throws(SystemError) {
        var value = value
        try withUnsafeBytes(of: &value) { bytes throws(SystemError) in
            try set(descriptor, level, option, bytes, name)
        }
    }

    /// For options with a structure.
    static func set(
        _ descriptor: CInt,
        _ level: CInt,
        _ option: CInt,
        _ value: UnsafeRawBufferPointer,
        _ name: String
    ) throws(SystemError) {
        _ = try System.call("setsockopt", name) {
            setsockopt(descriptor, level, option, value.baseAddress, socklen_t(value.count))
        }
    }

    static func get(_ descriptor: CInt, _ level: CInt, _ option: CInt, _ name: String) throws(SystemError) -> CInt {
        var value: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        _ = try System.call("getsockopt", name) { getsockopt(descriptor, level, option, &value, &size) }
        return value
    }
}
