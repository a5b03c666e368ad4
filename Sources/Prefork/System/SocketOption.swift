// setsockopt(2) and getsockopt(2) of whole numbers.
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
        _ = try System.call("setsockopt", name) {
            setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
        }
    }

    static func get(_ descriptor: CInt, _ level: CInt, _ option: CInt, _ name: String) throws(SystemError) -> CInt {
        var value: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        _ = try System.call("getsockopt", name) { getsockopt(descriptor, level, option, &value, &size) }
        return value
    }
}
